"""Real-time for Django: channels, publications, dashboards that follow edits, metrics that become charts.

The public API. Names are loaded when they are first used, so ``import live`` works before Django is set up.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.access import (
        adisconnect_user,
        arecheck,
        aunsubscribe_user,
        disconnect_user,
        recheck,
        unsubscribe_user,
    )
    from live.channel import Channel
    from live.exceptions import (
        BadData,
        EngineUnavailable,
        Forbidden,
        InvalidChannel,
        LiveError,
        NotFound,
        PublicationTooLarge,
        SyncInAsync,
        UnknownChannel,
    )
    from live.handlers.base import ChannelHandler
    from live.handlers.dashboard import changed_by, watch_dashboards
    from live.handlers.registry import register
    from live.publishing import apublish, apublish_many, publish, publish_many
    from live.store.base import Position

__version__ = "0.1.0"

_WHERE = {
    "BadData": "live.exceptions",
    "Channel": "live.channel",
    "ChannelHandler": "live.handlers.base",
    "EngineUnavailable": "live.exceptions",
    "Forbidden": "live.exceptions",
    "InvalidChannel": "live.exceptions",
    "LiveError": "live.exceptions",
    "NotFound": "live.exceptions",
    "Position": "live.store.base",
    "PublicationTooLarge": "live.exceptions",
    "SyncInAsync": "live.exceptions",
    "UnknownChannel": "live.exceptions",
    "adisconnect_user": "live.access",
    "apublish": "live.publishing",
    "apublish_many": "live.publishing",
    "arecheck": "live.access",
    "aunsubscribe_user": "live.access",
    "changed_by": "live.handlers.dashboard",
    "disconnect_user": "live.access",
    "publish": "live.publishing",
    "publish_many": "live.publishing",
    "recheck": "live.access",
    "register": "live.handlers.registry",
    "unsubscribe_user": "live.access",
    "watch_dashboards": "live.handlers.dashboard",
}

__all__ = [
    "BadData",
    "Channel",
    "ChannelHandler",
    "EngineUnavailable",
    "Forbidden",
    "InvalidChannel",
    "LiveError",
    "NotFound",
    "Position",
    "PublicationTooLarge",
    "SyncInAsync",
    "UnknownChannel",
    "__version__",
    "adisconnect_user",
    "apublish",
    "apublish_many",
    "arecheck",
    "aunsubscribe_user",
    "changed_by",
    "disconnect_user",
    "publish",
    "publish_many",
    "recheck",
    "register",
    "unsubscribe_user",
    "watch_dashboards",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'live' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
