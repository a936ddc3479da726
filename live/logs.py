"""What log records of Live carry besides their text, so that logs can be searched and counted by it.

Which keys there are is said here and in docs/monitoring.md; never a session key, a token or data of a publication.
"""

from __future__ import annotations

from live.channel import Channel

MAX_TEXT = 200
"""Characters of one value: what a client sent may be long."""


def about(
    *, client: str = "", user: str = "", channel: Channel | str = "", node: str = "", code: int | None = None
) -> dict[str, object]:
    """For ``extra=`` of a log call: ``live_client``, ``live_user``, ``live_channel``, ``live_node``, ``live_code``.

    Ids and the channel's name as texts, `user` the primary key; what is not known is not there.
    """
    texts = {"live_client": client, "live_user": user, "live_channel": str(channel), "live_node": node}
    found: dict[str, object] = {key: text[:MAX_TEXT] for key, text in texts.items() if text}
    if code is not None:
        found["live_code"] = int(code)
    return found
