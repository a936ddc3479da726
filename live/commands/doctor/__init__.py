"""``manage.py live doctor``: what would go wrong, why it matters, and the command that puts it right.

`finding` is what a check says; `machine`, `configuration`, `redis_hosts` and `site` are the checks; `report` shows what
they found.
"""

from live.commands.doctor.command import Doctor

__all__ = ["Doctor"]
