"""Which handler answers for a channel: by scope and namespace, else by scope.

Three sources, the later wins: the handlers that come with `live`, those registered in code, ``LIVE["HANDLERS"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from live.channel import Channel
from live.conf import get_settings
from live.exceptions import UnknownChannel
from live.handlers.base import ChannelHandler

BUILT_IN: Mapping[str, str] = {
    "grafana/dashboard": "live.handlers.dashboard.DashboardHandler",
    "grafana/broadcast": "live.handlers.broadcast.BroadcastHandler",
    "stream": "live.handlers.stream.StreamHandler",
    "plugin": "live.handlers.plugin.PluginHandler",
    "ds": "live.handlers.plugin.PluginHandler",
}

_H = TypeVar("_H", bound=type[ChannelHandler])

_registered: dict[str, type[ChannelHandler]] = {}
_table: dict[str, ChannelHandler] | None = None


def _is_handler(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, ChannelHandler)


def _key(scope: str, namespace: str | None) -> str:
    # A name made of these parts has to be valid, or the handler could never be reached.
    Channel(scope, namespace or "any", "path")
    return f"{scope}/{namespace}" if namespace else scope


@overload
def register(scope: str, namespace: str | None = None) -> Callable[[_H], _H]: ...
@overload
def register(scope: str, namespace: str | None, handler: _H) -> _H: ...


def register(scope: str, namespace: str | None = None, handler: Any = None) -> Any:
    """Makes a `ChannelHandler` subclass answer for ``scope/namespace/...``, or for the rest of ``scope/...``.

    As a decorator, ``@live.register("chat")``, or as a call, ``live.register("chat", "room", RoomHandler)``. Call it
    while Django starts (in ``AppConfig.ready``). Registering the same name again replaces the handler.
    Raises `InvalidChannel` for names no channel can have and `TypeError` for what is no handler class.
    """
    key = _key(scope, namespace)

    def add(cls: _H) -> _H:
        global _table
        if not _is_handler(cls):
            raise TypeError(f"a handler is a subclass of live.ChannelHandler, not {cls!r}")
        _registered[key] = cls
        _table = None
        return cls

    return add if handler is None else add(handler)


def unregister(scope: str, namespace: str | None = None) -> None:
    """Takes back a `register`; names that were not registered are ignored."""
    global _table
    _registered.pop(_key(scope, namespace), None)
    _table = None


def load_handler(value: str | type) -> type[ChannelHandler]:
    """The handler class that a value of ``LIVE["HANDLERS"]`` names; raises `ImproperlyConfigured` saying why not."""
    cls: Any = value
    if isinstance(value, str):
        try:
            cls = import_string(value)
        except ImportError as error:
            raise ImproperlyConfigured(f"{value!r} cannot be imported: {error}") from error
    if not _is_handler(cls):
        raise ImproperlyConfigured(f"{value!r} is no subclass of live.ChannelHandler")
    handler: type[ChannelHandler] = cls
    return handler


def _build() -> dict[str, ChannelHandler]:
    entries: dict[str, str | type | None] = {**BUILT_IN, **_registered, **get_settings().handlers}
    # One instance a class: a handler that answers for two names is one object.
    instances: dict[type[ChannelHandler], ChannelHandler] = {}
    table = {}
    for key, value in entries.items():
        if value is not None:
            cls = load_handler(value)
            table[key] = instances.setdefault(cls, cls())
    return table


def find_handler(channel: Channel) -> ChannelHandler:
    """The handler that answers for `channel`; raises `UnknownChannel` when there is none."""
    global _table
    if _table is None:
        _table = _build()
    handler = _table.get(f"{channel.scope}/{channel.namespace}") or _table.get(channel.scope)
    if handler is None:
        raise UnknownChannel(f"unknown channel: nothing answers for {channel.scope}/{channel.namespace}")
    return handler


def known_scopes() -> set[str]:
    """The scopes somebody answers for; raises `ImproperlyConfigured` as `find_handler` would."""
    global _table
    if _table is None:
        _table = _build()
    return {key.partition("/")[0] for key in _table}


def _reset(*, setting: str, **kwargs: Any) -> None:
    global _table
    if setting == "LIVE":
        _table = None


setting_changed.connect(_reset, dispatch_uid="live.handlers.registry.reset")
