"""All checks, side by side, each of them bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from django.conf import settings

from live.commands.doctor import configuration
from live.commands.doctor.finding import SECONDS, Finding, bounded, in_thread
from live.commands.doctor.machine import Machine
from live.commands.doctor.processes import Limit, Server, find_servers
from live.commands.doctor.redis_hosts import check_redis
from live.commands.doctor.report import Report
from live.commands.doctor.site import check_site
from live.commands.site import Site


async def examine(site: Site | None, origin: str, report: Report) -> None:
    """All checks at once; the report gets what they find in one order."""
    looks = [
        bounded("settings", in_thread(configuration.check_configuration, site.host if site else "")),
        bounded("application", in_thread(configuration.check_application)),
        _machine(site),
        _redis(),
    ]
    if site is not None:
        looks.append(check_site(site, origin))
    for task in [asyncio.ensure_future(look) for look in looks]:
        for finding in await task:
            report.add(finding)


async def _redis() -> list[Finding]:
    topology = configuration.topology()
    alias = configuration.known_settings().channel_layer
    if topology is None:
        return []
    return await check_redis(topology, f"CHANNEL_LAYERS[{alias!r}]['CONFIG']['hosts']")


async def _machine(site: Site | None) -> list[Finding]:
    """Every check of the machine, each in a thread of its own."""
    port = (site.port or (443 if site.scheme == "https" else 80)) if site and _is_here(site.host) else None
    application = str(getattr(settings, "ASGI_APPLICATION", ""))
    servers: list[Server] = []
    with contextlib.suppress(TimeoutError, OSError, ValueError):
        async with asyncio.timeout(SECONDS):
            servers = await in_thread(find_servers, application, port)
    machine = Machine(configuration.known_settings().max_connections, servers, own_files=_own_files())
    checks = {
        "open-files": machine.open_files,
        "system-files": machine.system_files,
        "ports": machine.ports,
        "time-wait": machine.time_wait,
        "somaxconn": machine.somaxconn,
        "backlog": machine.backlog,
        "memory": machine.memory,
    }

    def listed(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
        return list(look())

    results = await asyncio.gather(*(bounded(check, in_thread(listed, look)) for check, look in checks.items()))
    return [finding for found in results for finding in found]


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _own_files() -> Limit | None:
    """How many files this process may open; None where systems do not say."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = (
        None if number == resource.RLIM_INFINITY else number for number in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return Limit(soft, hard)
