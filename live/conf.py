"""The ``LIVE`` settings: one typed object, defaults beside the fields.

Nothing here is read at import time; the object is built at the first use and again after ``setting_changed``, so
``override_settings(LIVE={...})`` simply works. Values are validated here; `live.checks` reports what is wrong before
the site starts.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from live.channel import is_part
from live.origin import compile_pattern


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Every key of the ``LIVE`` dictionary, in lower case; the key in settings.py is in upper case."""

    allow_anonymous: bool = False
    """Whether visitors who are not logged in may connect. Handlers still decide about each channel."""

    allowed_origins: tuple[str, ...] = ()
    """Globs of origins that may open a WebSocket beside the site's own, as ``https://*.example.com``; ``*``: all."""

    root_url: str = ""
    """The site's own URL as browsers see it, for sites behind a proxy that changes the Host header; empty: unknown."""

    max_connections: int = 100
    """Clients this node accepts at once; -1 means no limit, 0 turns Live off."""

    max_handshakes: int = 1000
    """WebSockets whose session may wait to be looked up at once; more are refused, and their clients back off."""

    session_check_seconds: float = 300.0
    """Seconds in which the sessions of all clients are looked at once; one that has ended, as it ran out or was
    deleted, ends its WebSockets. 0: never."""

    max_message_size: int = 64 * 1024
    """Largest WebSocket message a client may send, in bytes; a larger one closes the connection with 1009."""

    max_publication_size: int = 512 * 1024
    """Largest publication in bytes of JSON; a larger one is refused to its publisher."""

    max_subscriptions: int = 128
    """Channels one client may be subscribed to at once; one more is answered 106."""

    connect_timeout: float = 15.0
    """Seconds a socket may stay open without a connect command; then 4002."""

    ping_interval: int = 25
    """Seconds between pings to a client; whole seconds, 0 turns pings off."""

    pong_timeout: float = 10.0
    """Seconds a client has to answer a ping; then 3012. Must be smaller than the interval."""

    client_queue_max_bytes: int = 1024 * 1024
    """Bytes that may wait for one client that reads slowly; over it the client is disconnected with 3008."""

    client_pending_max_bytes: int = 1024 * 1024
    """Bytes of commands of one client that may wait for their turn; over it 3013."""

    client_commands_per_second: int = 2500
    """Commands one client may send a second, five times as many at once after a pause; over it 3013. 0: no limit."""

    publish_timeout: float = 5.0
    """Seconds a synchronous publish waits for the node before it raises `EngineUnavailable`."""

    push_max_bytes: int = 4 * 1024 * 1024
    """Largest body of a push in bytes, inflated; a larger one is answered 413."""

    stream_history_size: int = 300
    """Publications of a stream kept for pages that open late."""

    stream_history_ttl: float = 300.0
    """Seconds a publication of a stream is kept for pages that open late; 0: no history."""

    store_max_channels: int = 10_000
    """Channels the store remembers, on each Redis host; the ones idle the longest are forgotten first."""

    history_max_bytes: int = 4 * 1024 * 1024
    """Most bytes of history kept for one channel, however many publications its handler asks for."""

    presence_ttl: float = 60.0
    """Seconds a client counts as present without a sign of life of its node; nodes give one every 25 s."""

    drain_seconds: float = 10.0
    """Seconds over which a node that is told to stop spreads the disconnects of its clients; 0: all at once."""

    last_value_ttl: float = 7 * 24 * 3600.0
    """Seconds the last value of an idle channel is kept for new subscribers."""

    metrics_token: str = ""
    """What `live.metrics.MetricsView` takes as ``Authorization: Bearer``; empty: only staff may read the metrics."""

    channel_layer: str = "default"
    """Alias of the channel layer in ``CHANNEL_LAYERS`` that joins the nodes."""

    handlers: Mapping[str, str | type | None] = field(default_factory=dict)
    """Handlers by ``"scope"`` or ``"scope/namespace"``: a dotted path or a class; None removes a built-in one."""

    plugins: Mapping[str, str | type | None] = field(default_factory=dict)
    """Streaming plugins by id: a dotted path or a class; None removes one that is built in or installed."""

    data_sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Data sources by uid: ``{"plugin": id, "settings": {...}, "name": text, "permission": "app.codename"}``, of which
    all but the plugin may be left out. Without a permission every user who is logged in may query it."""

    plugin_frames_per_second: int = 1000
    """Publications a second that one run of a plugin may send; a faster one waits."""


def _number(low: float, *, whole: bool = True) -> Callable[[Any], str | None]:
    kinds = int if whole else (int, float)

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, kinds):
            return f"must be a {'whole number' if whole else 'number'}, not {value!r}"
        return None if value >= low else f"must be at least {low:g}, not {value!r}"

    return check


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"must be True or False, not {value!r}"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"must be a text, not {value!r}"


def _secret(value: Any) -> str | None:
    # The value itself is for nobody's eyes.
    sound = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    return None if sound else "must be a text of ASCII characters without spaces"


def _origins(value: Any) -> str | None:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        return f"must be a list of patterns, not {value!r}"
    for pattern in value:
        if not isinstance(pattern, str):
            return f"must hold texts, not {pattern!r}"
        try:
            compile_pattern(pattern)
        except ValueError as error:
            return str(error)
    return None


def _handlers(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return f"must be a dictionary of handlers, not {value!r}"
    for key, handler in value.items():
        if not isinstance(key, str) or key.count("/") > 1 or not all(key.split("/")):
            return f"has the key {key!r}; a key is 'scope' or 'scope/namespace'"
        if handler is not None and not isinstance(handler, (str, type)):
            return f"[{key!r}] must be a dotted path or a class, not {handler!r}"
    return None


def _plugins(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return f"must be a dictionary of plugins, not {value!r}"
    for key, plugin in value.items():
        if not is_part(key):
            return f"has the key {key!r}; a plugin's id is made of letters, digits, '_' and '-'"
        if plugin is not None and not isinstance(plugin, (str, type)):
            return f"[{key!r}] must be a dotted path or a class, not {plugin!r}"
    return None


_SOURCE_KEYS: dict[str, type] = {"plugin": str, "settings": Mapping, "name": str, "permission": str}


def _data_sources(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return f"must be a dictionary of data sources, not {type(value).__name__}"
    for uid, source in value.items():
        if not is_part(uid):
            return f"has the key {uid!r}; a data source's uid is made of letters, digits, '_' and '-'"
        if not isinstance(source, Mapping):
            return f"[{uid!r}] must be a dictionary, not {type(source).__name__}"
        if wrong := _find_wrong_in(source):
            return f"[{uid!r}] {wrong}"
    return None


def _find_wrong_in(source: Mapping[Any, Any]) -> str | None:
    # Never a value: settings hold passwords.
    for key, value in source.items():
        if key not in _SOURCE_KEYS:
            near = difflib.get_close_matches(str(key), _SOURCE_KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(_SOURCE_KEYS)}"
            return f"has the key {key!r}; {hint}"
        if not isinstance(value, _SOURCE_KEYS[key]):
            wanted = "a dictionary" if key == "settings" else "a text"
            return f"[{key!r}] must be {wanted}, not {type(value).__name__}"
    if not source.get("plugin"):
        return "must name its 'plugin'"
    permission = source.get("permission")
    if permission is not None and not all(permission.partition(".")[::2]):
        return f"['permission'] must be as 'app_label.codename', not {permission!r}"
    return None


_RULES: dict[str, Callable[[Any], str | None]] = {
    "allow_anonymous": _flag,
    "allowed_origins": _origins,
    "root_url": _text,
    "max_connections": _number(-1),
    "max_handshakes": _number(1),
    "session_check_seconds": _number(0, whole=False),
    "max_message_size": _number(1024),
    "max_publication_size": _number(1024),
    "max_subscriptions": _number(1),
    "connect_timeout": _number(0.01, whole=False),
    "ping_interval": _number(0),
    "pong_timeout": _number(0.01, whole=False),
    "client_queue_max_bytes": _number(4096),
    "client_pending_max_bytes": _number(4096),
    "client_commands_per_second": _number(0),
    "publish_timeout": _number(0.01, whole=False),
    "push_max_bytes": _number(1),
    "stream_history_size": _number(0),
    "stream_history_ttl": _number(0, whole=False),
    "store_max_channels": _number(1),
    "history_max_bytes": _number(0),
    "presence_ttl": _number(30, whole=False),
    "drain_seconds": _number(0, whole=False),
    "last_value_ttl": _number(1, whole=False),
    "metrics_token": _secret,
    "channel_layer": _text,
    "handlers": _handlers,
    "plugins": _plugins,
    "data_sources": _data_sources,
    "plugin_frames_per_second": _number(1),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with ``LIVE``: the key as the user wrote it, what is wrong, what would help."""

    key: str
    message: str
    hint: str = ""
    unknown: bool = False


def find_problems(raw: Any) -> list[Problem]:
    """Everything that is wrong with `raw`, the value of ``settings.LIVE``; empty when it is sound."""
    if not isinstance(raw, Mapping):
        return [Problem("", f"LIVE must be a dictionary, not {raw!r}")]
    problems = []
    known = [name.upper() for name in _RULES]
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(str(key).upper(), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
            problems.append(Problem(str(key), f"LIVE has no key {key!r}", hint, unknown=True))
        elif wrong := _RULES[key.lower()](value):
            problems.append(Problem(key, f"LIVE[{key!r}] {wrong}"))
    if not problems:
        problems = _find_contradictions(_build(raw))
    return problems


def _find_contradictions(live: LiveSettings) -> list[Problem]:
    problems = []
    if live.ping_interval and live.pong_timeout >= live.ping_interval:
        problems.append(Problem("PONG_TIMEOUT", "LIVE['PONG_TIMEOUT'] must be smaller than LIVE['PING_INTERVAL']"))
    if live.max_publication_size >= live.client_queue_max_bytes:
        problems.append(
            Problem(
                "MAX_PUBLICATION_SIZE",
                "LIVE['MAX_PUBLICATION_SIZE'] must be smaller than LIVE['CLIENT_QUEUE_MAX_BYTES']",
                "A publication as large as the queue would disconnect every subscriber as slow.",
            )
        )
    return problems


def _build(raw: Mapping[str, Any]) -> LiveSettings:
    values = {key.lower(): value for key, value in raw.items()}
    if "allowed_origins" in values:
        values["allowed_origins"] = tuple(values["allowed_origins"])
    return LiveSettings(**values)


_current: LiveSettings | None = None


def get_settings() -> LiveSettings:
    """The settings as they stand now; raises `ImproperlyConfigured` naming every key that is wrong."""
    global _current
    if _current is None:
        raw = getattr(django_settings, "LIVE", {})
        problems = find_problems(raw)
        if problems:
            raise ImproperlyConfigured("; ".join(f"{p.message}. {p.hint}".strip() for p in problems))
        _current = _build(raw)
    return _current


class _LazySettings:
    """Looks every attribute up in the current settings, so that modules can import one name and never cache it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(get_settings(), name)


live_settings = cast(LiveSettings, _LazySettings())


def _reset(*, setting: str, **kwargs: Any) -> None:
    global _current
    if setting == "LIVE":
        _current = None


setting_changed.connect(_reset, dispatch_uid="live.conf.reset")

assert set(_RULES) == {f.name for f in fields(LiveSettings)}, "every setting needs a rule"  # noqa: S101
