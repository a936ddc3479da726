"""Where Redis is: read from the CONFIG of the channel layer, so that it is configured once.

Hosts are taken in every form that channels_redis takes them, and a channel belongs to the host that the layer keeps its
group on. Nothing here connects, and nothing here may show a password: not in a message, not in a repr.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from live.channel import Channel

DEFAULT_HOST = "redis://localhost:6379"
DEFAULT_PREFIX = "asgi"

CONNECT_TIMEOUT = 2.0
SOCKET_TIMEOUT = 2.0
"""Seconds where the configuration names none. `None` is none: it is meant for the layer, which waits for messages."""

_RING = 4096


@dataclass(frozen=True, slots=True)
class Host:
    """One Redis, or the primary that Sentinels know: `options` are what channels_redis makes its pool of."""

    label: str
    """How logs name it: an address without user and password."""
    options: Mapping[str, Any] = field(repr=False)

    def pool(self) -> HostPool:
        """What makes connections to it. Raises ValueError and TypeError where the options are wrong."""
        options = dict(self.options)
        sentinel = None
        if "address" in options:
            pool = ConnectionPool.from_url(options.pop("address"), **options)
        elif options.get("master_name") is not None:
            name, addresses = options.pop("master_name"), [tuple(pair) for pair in options.pop("sentinels")]
            # Sentinels are asked while Redis is down, so they must not keep anybody waiting either.
            asking = {**_patience({}), **(options.pop("sentinel_kwargs", None) or {})}
            sentinel = Sentinel(addresses, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
            pool = SentinelConnectionPool(name, sentinel, **options)  # type: ignore[no-untyped-call]
        else:
            options.pop("master_name", None)
            pool = ConnectionPool(**options)
        # After the options of a URL are known.
        pool.connection_kwargs.update(_patience(pool.connection_kwargs))
        return HostPool(pool, sentinel)


def _patience(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a connection as the store needs them: it waits a limited time and retries by a rule of its own."""
    return {
        "socket_connect_timeout": options.get("socket_connect_timeout") or CONNECT_TIMEOUT,
        "socket_timeout": options.get("socket_timeout") or SOCKET_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
    }


class HostPool:
    """Makes the connections to one host; whoever asks for one closes it."""

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None) -> None:
        self._pool = pool
        self._sentinel = sentinel

    @property
    def connect_timeout(self) -> float:
        """Seconds a connection may take to come about."""
        return float(self._pool.connection_kwargs["socket_connect_timeout"])

    @property
    def socket_timeout(self) -> float:
        """Seconds an answer may take."""
        return float(self._pool.connection_kwargs["socket_timeout"])

    def connection(self) -> Any:
        """A connection that is not connected yet."""
        return self._pool.make_connection()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Closes the connections to Sentinels."""
        if self._sentinel is not None:
            for client in self._sentinel.sentinels:
                try:
                    await client.connection_pool.disconnect()
                except (RedisError, OSError):
                    pass


@dataclass(frozen=True, slots=True)
class Topology:
    """The hosts of a channel layer in their order, and the prefix of its names."""

    hosts: tuple[Host, ...]
    prefix: str = DEFAULT_PREFIX

    @classmethod
    def from_layer_config(cls, config: Mapping[str, Any]) -> Topology:
        """The topology that the CONFIG of an entry of ``CHANNEL_LAYERS`` describes.

        Raises ValueError that names the host by its index and what is wrong with it.
        """
        hosts = config.get("hosts") or [DEFAULT_HOST]
        if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Sequence):
            raise ValueError("hosts must be a list of hosts, even if there is only one")
        prefix = config.get("prefix", DEFAULT_PREFIX)
        if not isinstance(prefix, str):
            raise ValueError("prefix must be a text")
        return cls(tuple(_host(index, entry) for index, entry in enumerate(hosts)), prefix)

    def announcement(self, channel: Channel) -> str:
        """The Redis pub/sub channel on which the layer's group of `channel` receives."""
        return f"{self.prefix}__group__{channel.group}"

    def shard_of(self, channel: Channel) -> int:
        """The index of the host that has the channel's group, by the rule of the layer."""
        if len(self.hosts) == 1:
            return 0
        place = binascii.crc32(self.announcement(channel).encode()) & (_RING - 1)
        return int(place / (_RING / len(self.hosts)))


def _host(index: int, entry: Any) -> Host:
    """One entry of ``hosts``, proved by making a connection that is never opened."""
    if isinstance(entry, Mapping):
        options = {str(key): value for key, value in entry.items()}
    elif isinstance(entry, (tuple, list)):
        if len(entry) < 2:
            raise ValueError(f"hosts[{index}] must be (host, port)")
        options = {"host": entry[0], "port": entry[1]}
    else:
        options = {"address": entry}
    where = f"hosts[{index}]"
    if "address" in options and not isinstance(options["address"], str):
        raise ValueError(f"{where}['address'] must be a URL, not {type(options['address']).__name__}")
    if options.get("master_name") is not None:
        _check_sentinels(where, options.get("sentinels"))
    elif "sentinels" in options:
        raise ValueError(f"{where}['sentinels'] needs 'master_name', the name Sentinel has for the primary")
    try:
        connection = Host("", options).pool().connection()
    except TypeError as error:
        # "... got an unexpected keyword argument 'name'" names the key and never a value; Python 3.13 adds a guess.
        key = str(error).partition("unexpected keyword argument ")[2].partition(". Did you mean")[0]
        wrong = f"[{key}] is no option of a connection" if key else " has an option of the wrong type"
        raise ValueError(f"{where}{wrong}") from None
    except (ValueError, RedisError):
        # Their texts may hold a part of the URL, and so of the password.
        part = "['address'] is not a URL redis-py knows" if "address" in options else " has a value redis-py refuses"
        raise ValueError(f"{where}{part}") from None
    return Host(_label(connection, options), options)


def _check_sentinels(where: str, sentinels: Any) -> None:
    if not isinstance(sentinels, (list, tuple)) or not sentinels:
        raise ValueError(f"{where}['sentinels'] must be a list of (host, port)")
    for number, pair in enumerate(sentinels):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ValueError(f"{where}['sentinels'][{number}] must be (host, port)")


def _label(connection: Any, options: Mapping[str, Any]) -> str:
    if options.get("master_name") is not None:
        return f"primary {options['master_name']!r} of {len(options['sentinels'])} Sentinels"
    path = getattr(connection, "path", "")
    return f"unix:{path}" if path else f"{connection.host}:{connection.port}"
