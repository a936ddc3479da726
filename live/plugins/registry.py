"""Which plugin has which id. The later wins: built in, installed, registered in code, ``LIVE["PLUGINS"]``.

A plugin is imported and made when it is first asked for. One that cannot be is logged once and is as if it were not
there: the others, and the site, have nothing to do with it. `live.checks` reports it before the site starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, overload

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from live.channel import is_part
from live.conf import get_settings
from live.exceptions import NotFound
from live.plugins.base import StreamPlugin
from live.plugins.failures import about_plugin

logger = logging.getLogger("live.plugins")

BUILT_IN: Mapping[str, str] = {
    "testdata": "live.plugins.testdata.TestDataPlugin",
    "host": "live.plugins.host.HostPlugin",
}

ENTRY_POINTS = "live.plugins"
"""The group in which packages name their plugins: ``id = "package.module:Class"``."""

Value = str | type | EntryPoint
"""How a plugin is named: a dotted path, the class, what a package says."""

_P = TypeVar("_P", bound=type[StreamPlugin])


@dataclass(slots=True)
class _Entry:
    value: Value
    plugin: StreamPlugin | None = None
    broken: bool = False


_registered: dict[str, type[StreamPlugin]] = {}
_installed: dict[str, EntryPoint] | None = None
_table: dict[str, _Entry] = {}
_complete = False
"""Whether the table says what the sources of plugins say now."""


@overload
def register_plugin(plugin_id: str) -> Callable[[_P], _P]: ...
@overload
def register_plugin(plugin_id: str, plugin: _P) -> _P: ...


def register_plugin(plugin_id: str, plugin: Any = None) -> Any:
    """Makes a `StreamPlugin` subclass answer for ``plugin/<plugin_id>/...`` and for data sources that name it.

    As a decorator, ``@live.register_plugin("weather")``, or as a call. Call it while Django starts (in
    ``AppConfig.ready``). Registering the same id again replaces the plugin. Raises `ValueError` for an id no channel
    can have and `TypeError` for what is no plugin class.
    """
    _check_id(plugin_id)

    def add(cls: _P) -> _P:
        if not _is_plugin(cls):
            raise TypeError(f"a plugin is a subclass of live.StreamPlugin, not {cls!r}")
        _registered[plugin_id] = cls
        _forget(plugin_id)
        return cls

    return add if plugin is None else add(plugin)


def unregister_plugin(plugin_id: str) -> None:
    """Takes back a `register_plugin`; ids that were not registered are ignored."""
    _registered.pop(plugin_id, None)
    _forget(plugin_id)


def plugin_ids() -> list[str]:
    """The ids of all plugins, also of those that cannot be loaded."""
    return sorted(_entries())


def find_plugin(plugin_id: str) -> StreamPlugin:
    """The plugin of that id, always the same object; raises `NotFound` when there is none or it cannot be loaded."""
    entry = _entries().get(plugin_id)
    if entry is not None and entry.plugin is None and not entry.broken:
        try:
            entry.plugin = load_plugin(entry.value)()
        except Exception as error:
            # Anybody's code, in its module or its constructor.
            entry.broken = True
            logger.error("plugin %s is left out: %s", plugin_id, error, exc_info=error, extra=about_plugin(plugin_id))
    if entry is None or entry.plugin is None:
        raise NotFound(f"no plugin {plugin_id}")
    return entry.plugin


def load_plugin(value: Value) -> type[StreamPlugin]:
    """The plugin class that `value` names; raises `ImproperlyConfigured` saying why not."""
    cls: Any = value
    shown = repr(value.value if isinstance(value, EntryPoint) else value)
    try:
        if isinstance(value, str):
            cls = import_string(value)
        elif isinstance(value, EntryPoint):
            cls = value.load()
    except Exception as error:
        # A plugin's module runs when it is imported, and may raise anything.
        raise ImproperlyConfigured(f"{shown} cannot be imported: {error!r}") from error
    if not _is_plugin(cls):
        raise ImproperlyConfigured(f"{shown} is no subclass of live.StreamPlugin")
    plugin: type[StreamPlugin] = cls
    return plugin


def _is_plugin(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, StreamPlugin)


def _check_id(plugin_id: str) -> None:
    if not is_part(plugin_id):
        raise ValueError(f"a plugin's id is made of letters, digits, '_' and '-', not {plugin_id!r}")


def _entries() -> dict[str, _Entry]:
    global _table, _complete
    if not _complete:
        values: dict[str, Value | None] = {
            **BUILT_IN,
            **_find_installed(),
            **_registered,
            **get_settings().plugins,
        }
        table: dict[str, _Entry] = {}
        for plugin_id, value in values.items():
            if value is not None:
                # Plugins that stay what they are stay the same objects.
                known = _table.get(plugin_id)
                table[plugin_id] = known if known is not None and known.value == value else _Entry(value)
        _table, _complete = table, True
    return _table


def _find_installed() -> dict[str, EntryPoint]:
    """What packages offer, looked up once: it does not change while the process lives."""
    global _installed
    if _installed is None:
        _installed = {}
        for point in entry_points(group=ENTRY_POINTS):
            try:
                _check_id(point.name)
            except ValueError as error:
                logger.error("an installed plugin, %s, is left out: %s", point.value, error)
            else:
                _installed[point.name] = point
    return _installed


def _forget(plugin_id: str | None = None) -> None:
    """Looks at all sources again at the next question, and makes the plugin of that id anew."""
    global _complete
    _complete = False
    if plugin_id is not None:
        _table.pop(plugin_id, None)


def _reset(*, setting: str, **kwargs: Any) -> None:
    if setting == "LIVE":
        _forget()


setting_changed.connect(_reset, dispatch_uid="live.plugins.registry.reset")
