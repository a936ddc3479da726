"""The Centrifuge client protocol without I/O: bytes to commands, replies and pushes to bytes.

`commands` reads what a client sends, `replies` writes what it is told, both in JSON; `protobuf` is the other flavour,
read into the same commands and made of the same replies. `session` knows which command may come when.
Nothing here knows sockets, event loops, users or channels' rules (client-protocol §1, §2).
"""

from live.protocol import protobuf, replies
from live.protocol.commands import (
    Command,
    Connect,
    History,
    Malformed,
    Method,
    Pong,
    Presence,
    PresenceStats,
    Publish,
    Subscribe,
    Unavailable,
    Unsubscribe,
    decode,
)
from live.protocol.json import dump_json, load_json
from live.protocol.session import Session

__all__ = [
    "Command",
    "Connect",
    "History",
    "Malformed",
    "Method",
    "Pong",
    "Presence",
    "PresenceStats",
    "Publish",
    "Session",
    "Subscribe",
    "Unavailable",
    "Unsubscribe",
    "decode",
    "dump_json",
    "load_json",
    "protobuf",
    "replies",
]
