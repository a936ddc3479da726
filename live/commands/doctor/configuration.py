"""The settings: the system checks, the layer, DEBUG and hosts, the ASGI application, the packages."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.core.checks.messages import ERROR
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host
from django.utils.module_loading import import_string
from django.utils.version import get_version_tuple

from live.asgi import LiveApplication
from live.checks import IN_MEMORY
from live.commands.base import printable
from live.commands.doctor.finding import Finding, Level, error, ok, warning
from live.conf import LiveSettings, get_settings
from live.store.redis.topology import Topology

SERVERS = ("daphne", "uvicorn")
NEEDED = {
    "Django": (5, 2),
    "channels": (4, 3),
    "djangorestframework": (3, 16),
    "orjson": (3, 10),
    "line-protocol-parser": (2, 0),
}
"""What Live does not run without, and the oldest release it runs with."""
NEEDED_FOR_REDIS = {"channels-redis": (4, 3), "redis": (5, 0, 1)}
TOLD = ("Twisted", "autobahn")
"""What else is worth knowing: daphne is made of it."""

_CHECK_OF = {"live.W002": "versions", "live.W003": "application"}
_OF_THE_LAYER = {"live.E004", "live.E005", "live.W001", *(f"live.W00{number}" for number in range(4, 10))}


def known_settings() -> LiveSettings:
    """The ``LIVE`` settings, or the defaults where they are wrong."""
    try:
        return get_settings()
    except ImproperlyConfigured:
        return LiveSettings()


def layer() -> dict[str, Any]:
    """The entry in ``CHANNEL_LAYERS`` of the layer that joins the nodes; {} where there is none."""
    layers = getattr(settings, "CHANNEL_LAYERS", {})
    entry = layers.get(known_settings().channel_layer) if isinstance(layers, dict) else None
    return entry if isinstance(entry, dict) else {}


def on_redis() -> bool:
    """Whether layer and store are on Redis."""
    return str(layer().get("BACKEND", "")).startswith("channels_redis.")


def topology() -> Topology | None:
    """Where Redis is; None where it is not used or its configuration is wrong."""
    if not on_redis():
        return None
    try:
        return Topology.from_layer_config(layer().get("CONFIG", {}))
    except (ValueError, AttributeError):
        return None


def system_checks() -> dict[str, list[Finding]]:
    """What Live's system checks say, those for deployment too, by the check it belongs to."""
    found: dict[str, list[Finding]] = {}
    for message in run_checks(tags=["live"], include_deployment_checks=True):
        check = "layer" if message.id in _OF_THE_LAYER else _CHECK_OF.get(str(message.id), "settings")
        found.setdefault(check, []).append(_finding(check, message))
    return found


def _finding(check: str, message: CheckMessage) -> Finding:
    make = error if message.level >= ERROR else warning
    fix = message.hint or f"Correct it in the settings module, {settings.SETTINGS_MODULE}."
    return make(check, f"{message.msg} ({message.id})", fix)


def check_configuration(host: str = "") -> list[Finding]:
    """Everything but the application; `host` is the one of ``--url``."""
    said = system_checks()
    findings = [*said.get("settings", ()), *_settings(sound="settings" not in said)]
    findings += said.get("application", ())
    versions = [*said.get("versions", ()), *_versions()]
    # What is fine is a list of all, which says nothing beside what is not.
    findings += [finding for finding in versions if finding.level is not Level.OK] or versions
    findings += [*_debug(), *_allowed_hosts(host)]
    findings += said.get("layer", ()) or [ok("layer", _describe_layer())]
    return findings


def _settings(*, sound: bool) -> Iterator[Finding]:
    live = known_settings()
    if live.max_connections == 0:
        yield warning(
            "settings",
            "LIVE['MAX_CONNECTIONS'] is 0: Live is off",
            "LIVE = {'MAX_CONNECTIONS': 100}, or -1 for no limit",
            "Every client is refused.",
        )
    elif sound:
        who = "visitors too" if live.allow_anonymous else "only who is logged in"
        yield ok("settings", f"sound; MAX_CONNECTIONS {live.max_connections}, {who}")


def check_application() -> list[Finding]:
    """Whether ``ASGI_APPLICATION`` can be imported; that runs the project's own code."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        return []
    try:
        application = import_string(path)
    except ImportError as failure:
        why = printable(str(failure))[:200]
        return [
            error("application", f"{path} cannot be imported: {why}", f"python -c 'import {path.rpartition('.')[0]}'")
        ]
    except Exception as failure:
        # The project's own code; its texts may hold anything.
        found = f"{path} cannot be imported: {type(failure).__name__}"
        return [error("application", found, f"python -c 'import {path.rpartition('.')[0]}' shows where")]
    kind = "live_application()" if isinstance(application, LiveApplication) else type(application).__name__
    return [ok("application", f"{path}, {kind}")]


def _debug() -> Iterator[Finding]:
    if settings.DEBUG:
        yield warning("debug", "DEBUG is on", "DEBUG = False in the settings of production")
    else:
        yield ok("debug", "off")


def _allowed_hosts(host: str) -> Iterator[Finding]:
    hosts = list(settings.ALLOWED_HOSTS)
    name = f"[{host}]" if ":" in host else host
    if not hosts and not settings.DEBUG:
        yield error("allowed-hosts", "ALLOWED_HOSTS is empty", f"ALLOWED_HOSTS = [{name or 'live.example.com'!r}]")
    elif name and hosts and not validate_host(name.lower(), hosts):
        yield error("allowed-hosts", f"{name} is not in ALLOWED_HOSTS", f"ALLOWED_HOSTS = {[*hosts, name]!r}")
    elif "*" in hosts and not settings.DEBUG:
        yield warning(
            "allowed-hosts",
            "ALLOWED_HOSTS allows every host",
            f"ALLOWED_HOSTS = [{name or 'live.example.com'!r}]",
            "A page whose host name is pointed at this site (DNS rebinding) passes the origin check.",
        )
    else:
        yield ok("allowed-hosts", ", ".join(hosts) or "localhost, as DEBUG is on")


def _describe_layer() -> str:
    backend = str(layer().get("BACKEND", IN_MEMORY))
    known = topology()
    if known is None:
        return f"{backend}: one process, the store is its memory"
    hosts = ", ".join(host.label for host in known.hosts)
    return f"{backend} on {hosts}; names begin with {known.prefix!r}"


def _versions() -> Iterator[Finding]:
    needed = {**NEEDED, **(NEEDED_FOR_REDIS if on_redis() else {})}
    installed = {name: _version(name) for name in (*needed, *SERVERS, *TOLD)}
    if not any(installed[name] for name in SERVERS):
        yield error("versions", "there is no server for WebSockets", "pip install 'daphne>=4.2.2'")
    for name, oldest in needed.items():
        least = ".".join(map(str, oldest))
        found = installed[name]
        if found is None or get_version_tuple(found) < oldest:
            is_what = "is not installed" if found is None else f"is {found}"
            yield error("versions", f"{name} {is_what}", f"pip install '{name}>={least}'")
    parts = [f"{name} {number}" for name, number in installed.items() if number]
    yield ok("versions", f"Python {platform.python_version()}, {', '.join(parts)}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
