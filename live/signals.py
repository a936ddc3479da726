"""The signals of `live`."""

from django.dispatch import Signal

dashboard_changed = Signal()
"""Send it when a dashboard was saved or deleted; every open page that watches it is told after the commit.

Arguments: `uid` (str, required: the dashboard's uid), `action` (required: ``"saved"`` or ``"deleted"``), `session_id`
(the random id of the browser tab that made the change, which then ignores the event), `version` (of the dashboard as it
stands now; any JSON number or text), `user` (who did it; the event carries the display name), `using` (alias of the
database whose transaction is waited for). A wrong `uid` or `action` raises `ValueError`; a failure to publish is
logged and raises nothing.
"""
