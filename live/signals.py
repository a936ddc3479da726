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

relay_disconnected = Signal()
"""This process cannot reach the other nodes: Redis is away. Sent once for each time, not for each attempt.

Arguments: `node` (str: the id of this process's node). Clients stay connected; publishing and subscribing to channels
with history answer a temporary error until `relay_connected`, and ``/readyz`` says so meanwhile. Receivers are called
beside what the node does, and what they raise is logged. A layer of one process (in memory) never sends it.
"""

relay_connected = Signal()
"""This process reaches the other nodes: for the first time, again, or over a connection that was made anew.

Arguments: `node`, as for `relay_disconnected`; a connection that is cut and made anew within seconds sends this one
only. What was missed meanwhile is read from the store, or the subscribers are told that it cannot be.
"""
