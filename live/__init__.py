"""Real-time for Django: channels, publications, dashboards that follow edits, metrics that become charts.

The public API. Names are loaded when they are first used, so ``import live`` works before Django is set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from live.lazy import lazily

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
        LeaseLost,
        LiveError,
        NotFound,
        PluginFailed,
        PublicationTooLarge,
        SyncInAsync,
        UnknownChannel,
    )
    from live.frames import Field, Frame, Kind
    from live.handlers.base import Admission, ChannelHandler
    from live.handlers.dashboard import changed_by, watch_dashboards
    from live.handlers.registry import register
    from live.plugins.base import (
        DataSource,
        StreamAnswer,
        StreamOffer,
        StreamPlugin,
        StreamRequest,
        StreamSender,
        StreamStatus,
    )
    from live.plugins.registry import register_plugin
    from live.plugins.sources import unwatch_data_sources, watch_data_sources
    from live.publishing import apublish, apublish_many, publish, publish_many
    from live.store.base import Position

__version__ = "0.1.0"

_WHERE = {
    "Admission": "live.handlers.base",
    "BadData": "live.exceptions",
    "Channel": "live.channel",
    "ChannelHandler": "live.handlers.base",
    "DataSource": "live.plugins.base",
    "EngineUnavailable": "live.exceptions",
    "Field": "live.frames",
    "Forbidden": "live.exceptions",
    "Frame": "live.frames",
    "InvalidChannel": "live.exceptions",
    "Kind": "live.frames",
    "LeaseLost": "live.exceptions",
    "LiveError": "live.exceptions",
    "NotFound": "live.exceptions",
    "PluginFailed": "live.exceptions",
    "Position": "live.store.base",
    "PublicationTooLarge": "live.exceptions",
    "StreamAnswer": "live.plugins.base",
    "StreamOffer": "live.plugins.base",
    "StreamPlugin": "live.plugins.base",
    "StreamRequest": "live.plugins.base",
    "StreamSender": "live.plugins.base",
    "StreamStatus": "live.plugins.base",
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
    "register_plugin": "live.plugins.registry",
    "unsubscribe_user": "live.access",
    "unwatch_data_sources": "live.plugins.sources",
    "watch_dashboards": "live.handlers.dashboard",
    "watch_data_sources": "live.plugins.sources",
}

__all__ = [
    "Admission",
    "BadData",
    "Channel",
    "ChannelHandler",
    "DataSource",
    "EngineUnavailable",
    "Field",
    "Forbidden",
    "Frame",
    "InvalidChannel",
    "Kind",
    "LeaseLost",
    "LiveError",
    "NotFound",
    "PluginFailed",
    "Position",
    "PublicationTooLarge",
    "StreamAnswer",
    "StreamOffer",
    "StreamPlugin",
    "StreamRequest",
    "StreamSender",
    "StreamStatus",
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
    "register_plugin",
    "unsubscribe_user",
    "unwatch_data_sources",
    "watch_dashboards",
    "watch_data_sources",
]


if not TYPE_CHECKING:  # to a checker every name would be there
    __getattr__ = lazily(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
