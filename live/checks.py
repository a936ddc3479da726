"""System checks: what is wrong with the set-up, said before the site starts, with the way out.

==========  ==============================================================================
live.E001   a handler in ``LIVE["HANDLERS"]`` cannot be loaded
live.E002   a key of ``LIVE`` has a wrong value
live.E003   ``LIVE`` has an unknown key
live.W001   the in-memory channel layer with ``DEBUG = False`` (deploy)
live.W002   daphne is older than 4.2.2
live.W003   ``ASGI_APPLICATION`` is not set
live.W004   a channel layer between processes, while the store is in the memory of each
==========  ==============================================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from live.conf import find_problems
from live.handlers.registry import load_handler

SAFE_DAPHNE = (4, 2, 2)
"""The first release that limits the size of incoming messages (CVE-2026-44545)."""


def _layer_backend() -> str:
    alias = str(getattr(settings, "LIVE", {}).get("CHANNEL_LAYER", "default"))
    layers: dict[str, Any] = getattr(settings, "CHANNEL_LAYERS", {})
    return str(layers.get(alias, {}).get("BACKEND", "channels.layers.InMemoryChannelLayer"))


def _in_memory() -> bool:
    return _layer_backend() == "channels.layers.InMemoryChannelLayer"


@register("live")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The ``LIVE`` dictionary: keys, values, handlers."""
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
    return messages


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
    if (found := _daphne_version()) is not None and found < SAFE_DAPHNE:
        messages.append(
            checks.Warning(
                f"daphne {'.'.join(map(str, found))} does not limit the size of WebSocket messages (CVE-2026-44545).",
                hint="pip install 'daphne>=4.2.2'",
                id="live.W002",
            )
        )
    if not _in_memory():
        messages.append(
            checks.Warning(
                "A channel layer joins several processes, but history and last values are kept in each process's "
                "memory: channels keep no history, and initial data is that of the process.",
                hint="Run one process with the in-memory layer until the Redis store is there.",
                id="live.W004",
            )
        )
    return messages


@register("live", Tags.security, deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What is fine while developing and not in production."""
    if settings.DEBUG or not _in_memory():
        return []
    return [
        checks.Warning(
            "The in-memory channel layer reaches one process only; a second one would not see its publications.",
            hint="One daphne process is fine with it. For several, use channels_redis.pubsub.RedisPubSubChannelLayer.",
            id="live.W001",
        )
    ]


def _daphne_version() -> tuple[int, ...] | None:
    try:
        return tuple(int(part) for part in re.findall(r"\d+", version("daphne"))[:3])
    except PackageNotFoundError:
        return None
