"""System checks: what is wrong with the set-up, said before the site starts, with the way out.

==========  ==============================================================================
live.E001   a handler in ``LIVE["HANDLERS"]`` cannot be loaded
live.E002   a key of ``LIVE`` has a wrong value
live.E003   ``LIVE`` has an unknown key
live.E004   the store cannot use the CONFIG of the channel layer
live.E005   ``LIVE["CHANNEL_LAYER"]`` names no layer of ``CHANNEL_LAYERS``
live.E006   a plugin in ``LIVE["PLUGINS"]`` cannot be loaded
live.E007   a data source in ``LIVE["DATA_SOURCES"]`` names a plugin that there is not
live.W001   the in-memory channel layer with ``DEBUG = False`` (deploy)
live.W002   daphne is older than 4.2.2
live.W003   ``ASGI_APPLICATION`` is not set
live.W004   a channel layer between processes that is not on Redis: the store is in the memory of each
live.W005   the core layer of channels_redis in place of the pubsub one
live.W006   redis-py 8 with its timeout
live.W007   a key in the CONFIG of the pubsub layer that it does not look at
live.W008   a prefix with characters that make trouble in Redis
live.W009   the layer encrypts, the store does not
==========  ==============================================================================
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from live.conf import find_problems
from live.handlers.registry import load_handler
from live.plugins.registry import load_plugin, plugin_ids
from live.store.redis.topology import DEFAULT_PREFIX, Topology

SAFE_DAPHNE = (4, 2, 2)
"""The first release that limits the size of incoming messages (CVE-2026-44545)."""

TIMEOUT_REDIS = (8,)
"""The first release of redis-py with a timeout of its own (pitfall 9)."""


IN_MEMORY = "channels.layers.InMemoryChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"

_READ = ("hosts", "prefix", "serializer_format", "symmetric_encryption_keys")
"""Keys of CONFIG that the pubsub layer looks at; whatever else there is, it takes without a word."""
_NEVER_CALLED = ("on_disconnect", "on_reconnect")
_OF_THE_CORE_LAYER = ("capacity", "channel_capacity", "expiry", "group_expiry")

_PREFIX = re.compile(r"[A-Za-z0-9_.:/-]+")


def _layer() -> tuple[str, dict[str, Any]]:
    """The alias of the layer that joins the nodes, and its entry in ``CHANNEL_LAYERS``; {} where there is none."""
    raw = getattr(settings, "LIVE", {})
    alias = str(raw.get("CHANNEL_LAYER", "default")) if isinstance(raw, dict) else "default"
    layers: dict[str, Any] = getattr(settings, "CHANNEL_LAYERS", {})
    return alias, layers.get(alias, {})


def _layer_backend() -> str:
    return str(_layer()[1].get("BACKEND", IN_MEMORY))


@register("live")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The ``LIVE`` dictionary: keys, values, handlers, plugins and data sources."""
    raw = getattr(settings, "LIVE", {})
    problems = find_problems(raw)
    messages: list[CheckMessage] = [
        Error(f"{problem.message}.", hint=problem.hint or None, id="live.E003" if problem.unknown else "live.E002")
        for problem in problems
    ]
    handlers = raw.get("HANDLERS", {}) if isinstance(raw, dict) and not problems else {}
    for key, value in handlers.items():
        try:
            if value is not None:
                load_handler(value)
        except ImproperlyConfigured as error:
            messages.append(Error(f"LIVE['HANDLERS'][{key!r}]: {error}.", id="live.E001"))
    if not problems:
        messages += [*_check_plugins(raw.get("PLUGINS", {})), *_check_data_sources(raw.get("DATA_SOURCES", {}))]
    return messages


def _check_plugins(plugins: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for plugin_id, value in plugins.items():
        try:
            if value is not None:
                load_plugin(value)
        except ImproperlyConfigured as error:
            yield Error(f"LIVE['PLUGINS'][{plugin_id!r}]: {error}.", id="live.E006")


def _check_data_sources(sources: Mapping[str, Mapping[str, Any]]) -> Iterator[CheckMessage]:
    known = plugin_ids()
    for uid, source in sources.items():
        plugin_id = source["plugin"]
        if plugin_id not in known:
            near = difflib.get_close_matches(plugin_id, known, n=1)
            yield Error(
                f"LIVE['DATA_SOURCES'][{uid!r}] names the plugin {plugin_id!r}, which there is not.",
                hint=f"Did you mean {near[0]!r}?" if near else f"Known plugins: {', '.join(known)}.",
                id="live.E007",
            )


@register("live")
def check_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The server: an ASGI application is named, daphne is one that limits message sizes."""
    messages: list[CheckMessage] = []
    if not getattr(settings, "ASGI_APPLICATION", None):
        messages.append(
            checks.Warning(
                "ASGI_APPLICATION is not set, so daphne's runserver has nothing to serve.",
                hint="Put `application = live_application()` into asgi.py and name it, e.g. 'mysite.asgi.application'.",
                id="live.W003",
            )
        )
    if (found := _version("daphne")) is not None and found < SAFE_DAPHNE:
        messages.append(
            checks.Warning(
                f"daphne {'.'.join(map(str, found))} does not limit the size of WebSocket messages (CVE-2026-44545).",
                hint="pip install 'daphne>=4.2.2'",
                id="live.W002",
            )
        )
    return messages


@register("live")
def check_layer(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The channel layer: it exists, reaches the other nodes without loss, and the store finds the same Redis."""
    alias, layer = _layer()
    if not layer and alias != "default":
        return [
            Error(
                f"LIVE['CHANNEL_LAYER'] names {alias!r}, which CHANNEL_LAYERS does not have.",
                hint="Without a layer each process would be alone.",
                id="live.E005",
            )
        ]
    backend = _layer_backend()
    if backend == IN_MEMORY:
        return []
    if not backend.startswith("channels_redis."):
        return [
            checks.Warning(
                f"The channel layer {backend} joins several processes, but history, last values and presence are kept "
                "in the memory of each: channels keep no history, initial data is that of the process, and a stream of "
                "a plugin runs in each process that has a subscriber.",
                hint=f"Use {PUBSUB}: the store is then on the same Redis.",
                id="live.W004",
            )
        ]
    messages: list[CheckMessage] = []
    if backend == CORE:
        messages.append(
            checks.Warning(
                "The core layer of channels_redis loses messages when a node is slow or Redis restarts, and writes "
                "each publication once for every node.",
                hint=f"'BACKEND': '{PUBSUB}', with the same CONFIG.",
                id="live.W005",
            )
        )
    config = layer.get("CONFIG", {})
    where = f"CHANNEL_LAYERS[{alias!r}]['CONFIG']"
    if not isinstance(config, Mapping):
        return [*messages, Error(f"{where} must be a dictionary.", id="live.E004")]
    try:
        Topology.from_layer_config(config)
    except ValueError as error:
        return [*messages, Error(f"{where}: {error}.", id="live.E004")]
    if backend == PUBSUB:
        messages += _check_keys(where, config)
    return [*messages, *_check_prefix(where, config), *_check_timeouts(where, config), *_check_secrecy(config)]


def _check_keys(where: str, config: Mapping[str, Any]) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for key in config:
        if key in _READ:
            continue
        near = difflib.get_close_matches(str(key), _READ, n=1)
        if key in _NEVER_CALLED:
            hint = "Use live.signals.relay_disconnected and relay_connected: the layer never calls it."
        elif key in _OF_THE_CORE_LAYER:
            hint = "It belongs to the core layer; the pubsub layer keeps nothing that could expire or be full."
        else:
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(_READ)}."
        messages.append(checks.Warning(f"{where}[{key!r}] has no effect.", hint=hint, id="live.W007"))
    return messages


def _check_prefix(where: str, config: Mapping[str, Any]) -> list[CheckMessage]:
    prefix = config.get("prefix", DEFAULT_PREFIX)
    if _PREFIX.fullmatch(prefix):
        return []
    return [
        checks.Warning(
            f"{where}['prefix'] is {prefix!r}; names in Redis begin with it, and access lists and tools take some "
            "characters for patterns.",
            hint="Use letters, digits and '_', '-', '.', ':', '/'; each site that shares a Redis needs its own.",
            id="live.W008",
        )
    ]


def _check_timeouts(where: str, config: Mapping[str, Any]) -> list[CheckMessage]:
    found = _version("redis")
    hosts = config.get("hosts") or [None]
    unlimited = [isinstance(host, Mapping) and host.get("socket_timeout", 0) is None for host in hosts]
    if found is None or found < TIMEOUT_REDIS or all(unlimited):
        return []
    return [
        checks.Warning(
            f"redis-py {'.'.join(map(str, found))} ends what takes longer than 5 s, and a channel layer waits for its "
            "next message longer than that.",
            hint=f"pip install 'redis<8', or {where}['hosts']: [{{'address': 'redis://...', 'socket_timeout': None}}]",
            id="live.W006",
        )
    ]


def _check_secrecy(config: Mapping[str, Any]) -> list[CheckMessage]:
    if not config.get("symmetric_encryption_keys"):
        return []
    return [
        checks.Warning(
            "The channel layer encrypts what passes through Redis; history and last values stand there as they are.",
            hint="Publish to channels without history and keep_last what Redis must not know, or trust Redis.",
            id="live.W009",
        )
    ]


@register("live", Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What is fine while developing and not in production."""
    if settings.DEBUG or _layer_backend() != IN_MEMORY:
        return []
    return [
        checks.Warning(
            "The in-memory channel layer reaches one process only; a second one would not see its publications.",
            hint="One daphne process is fine with it. For several, use channels_redis.pubsub.RedisPubSubChannelLayer.",
            id="live.W001",
        )
    ]


def _version(package: str) -> tuple[int, ...] | None:
    try:
        return tuple(int(part) for part in re.findall(r"\d+", version(package))[:3])
    except PackageNotFoundError:
        return None
