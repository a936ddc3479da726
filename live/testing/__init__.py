"""For the tests of projects that use `live`: a client in the test's own process, and what was published.

`LiveCommunicator` speaks to the ASGI application as a browser does, `assert_publishes` and `Recorder` tell what the
server published, `IsolatedNode` gives a test a node of its own; for pytest it is the fixture ``live_node``, which comes
with the package. Names are loaded when they are first used: pytest loads the plugin before Django is set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from live.lazy import lazily

if TYPE_CHECKING:
    from live.testing.assertions import assert_publishes
    from live.testing.communicator import LiveCommunicator
    from live.testing.isolation import IsolatedNode
    from live.testing.recorder import Recorder
    from live.testing.values import (
        CommandFailed,
        Disconnected,
        HandshakeRefused,
        History,
        Present,
        Publication,
        Subscribed,
    )

_WHERE = {
    "CommandFailed": "live.testing.values",
    "Disconnected": "live.testing.values",
    "HandshakeRefused": "live.testing.values",
    "History": "live.testing.values",
    "IsolatedNode": "live.testing.isolation",
    "LiveCommunicator": "live.testing.communicator",
    "Present": "live.testing.values",
    "Publication": "live.testing.values",
    "Recorder": "live.testing.recorder",
    "Subscribed": "live.testing.values",
    "assert_publishes": "live.testing.assertions",
}

__all__ = [
    "CommandFailed",
    "Disconnected",
    "HandshakeRefused",
    "History",
    "IsolatedNode",
    "LiveCommunicator",
    "Present",
    "Publication",
    "Recorder",
    "Subscribed",
    "assert_publishes",
]


if not TYPE_CHECKING:  # to a checker every name would be there
    __getattr__ = lazily(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
