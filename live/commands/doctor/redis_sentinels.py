"""The sentinels of a channel layer, and why a Redis or a sentinel did not answer."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from live.commands.doctor.finding import Finding, error, ok, warning
from live.store.redis.topology import CONNECT_TIMEOUT, SOCKET_TIMEOUT, Host


async def check_sentinels(host: Host) -> AsyncIterator[Finding]:
    """How many of the sentinels answer, and which primary they name."""
    addresses = [(str(address), int(port)) for address, port in host.options["sentinels"]]
    answers = await asyncio.gather(*(_ask_sentinel(host, *address) for address in addresses))
    primaries = Counter(primary for primary, _ in answers if primary)
    silent = [problem for _, problem in answers if problem]
    agreed = max(primaries.values(), default=0)
    named = f"{agreed} of {len(addresses)} name {' or '.join(primaries)}" if primaries else "none names a primary"
    found = "; ".join((named, *silent))
    fix = f"systemctl start redis-sentinel where it is down; redis-cli -p 26379 SENTINEL CKQUORUM {_name(host)}"
    if agreed * 2 <= len(addresses):
        yield error("redis-sentinel", found, fix)
    elif silent or len(primaries) > 1:
        yield warning("redis-sentinel", found, fix)
    else:
        yield ok("redis-sentinel", found)
    if len(addresses) < 3:
        fix = "Three sentinels on three machines (deploy/sentinel.conf), all of them in the settings."
        yield warning("redis-sentinel", f"{len(addresses)} in the settings", fix)


async def _ask_sentinel(host: Host, address: str, port: int) -> tuple[str, str]:
    """The primary's address, and what is wrong with this sentinel."""
    patience = {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_timeout": SOCKET_TIMEOUT}
    options = {**patience, "retry": Retry(NoBackoff(), 0), **(host.options.get("sentinel_kwargs") or {})}
    sentinel = Redis(host=address, port=port, **options)
    try:
        answer = await sentinel.execute_command(  # type: ignore[no-untyped-call]
            "SENTINEL GET-MASTER-ADDR-BY-NAME", _name(host)
        )
    except (RedisError, OSError) as failure:
        return "", f"{address}:{port} {reason(failure)}"
    finally:
        await sentinel.aclose()
    if not answer:
        return "", f"{address}:{port} knows no {_name(host)!r}"
    return ":".join(_text(word) for word in answer), ""


def _name(host: Host) -> str:
    """What the sentinels call the primary."""
    return str(host.options["master_name"])


def _text(word: object) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)


def reason(failure: BaseException) -> str:
    """Why a Redis did not answer, in words without secrets."""
    for known, text in _REASONS.items():
        if isinstance(failure, known):
            return text
    cause = failure.__cause__ or failure.__context__
    if isinstance(cause, OSError):
        return reason(cause)
    if isinstance(failure, OSError) and failure.strerror:
        return failure.strerror.lower()
    return f"does not answer ({type(failure).__name__})"


_REASONS: dict[type[BaseException], str] = {
    MasterNotFoundError: "no sentinel that can be reached knows a primary of that name",
    redis_errors.AuthenticationError: "refuses the password",
    redis_errors.AuthenticationWrongNumberOfArgsError: "refuses the password",
    redis_errors.NoPermissionError: "does not let this user ask",
    redis_errors.BusyLoadingError: "loads its data",
    redis_errors.MaxConnectionsError: "has as many clients as it takes",
    redis_errors.TimeoutError: "does not answer in time",
    ssl.SSLCertVerificationError: "has a certificate that is not trusted",
    ssl.SSLError: "speaks no TLS, or another one",
    ConnectionRefusedError: "nobody listens there",
    FileNotFoundError: "there is no such socket",
    TimeoutError: "does not answer in time",
}
