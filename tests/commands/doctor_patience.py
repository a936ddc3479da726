"""How long `doctor` waits for what answers: longer than a busy machine stands still."""

import sys

from django.apps import AppConfig


def lengthen(change=setattr):
    """Gives everything that answers the time to; `change` is how a module's name is given another value."""
    # What they import asks for models.
    from live.commands.doctor import examine, finding, redis_sentinels, wire
    from live.store.redis import topology

    for module in (finding, examine):
        change(module, "SECONDS", 40.0)
    change(wire, "PATIENCE", 30.0)
    for module in (topology, redis_sentinels):
        change(module, "CONNECT_TIMEOUT", 30.0)
        change(module, "SOCKET_TIMEOUT", 30.0)


class Patience(AppConfig):
    """An app that makes the command so patient, in a process of its own."""

    name = "tests.commands"

    def ready(self):
        if "doctor" in sys.argv:
            lengthen()
