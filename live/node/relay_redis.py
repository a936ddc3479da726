"""What the relay has to know of the insides of channels_redis' pub/sub layer; the only module that does.

The layer neither tells when a connection was lost and made anew, nor bounds its queue, nor lets anybody publish many
messages at once. Each thing is looked up where it is needed; where a future version keeps it elsewhere, the relay does
without it, says so once, and the node's position checks (every 25 s) find later what is missing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("live.node")


def _is_pubsub(layer: Any) -> bool:
    try:
        from channels_redis.pubsub import RedisPubSubChannelLayer
    except ImportError:
        return False
    return isinstance(layer, RedisPubSubChannelLayer)


class _Quiet(logging.Filter):
    """Drops what the layer logs every second, with a traceback, while its server is away: the relay says it once."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (record.msg == "Unexpected exception in receive task" and isinstance(error, _connection_errors()))


_quiet = _Quiet()


def _connection_errors() -> tuple[type[BaseException], ...]:
    from redis import exceptions

    return (OSError, exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError)


class LayerInsides:
    """The insides of `layer` if it is the Redis pub/sub one; of any other layer nothing is known."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._known = _is_pubsub(layer)
        self._on_reconnect: Callable[[], None] | None = None
        self._connections: dict[int, object] = {}
        self._group_prefix: str | None = None
        """What stands before a group in the name of its pub/sub channel; "" where nobody else may publish there."""
        if self._known:
            # The same filter is added once, however many nodes there are.
            logging.getLogger("channels_redis.pubsub").addFilter(_quiet)

    def echo_groups(self) -> list[str]:
        """Groups of one member, one on each server of the layer."""
        name = f"live.echo.{uuid.uuid4().hex}"
        if not self._known:
            return [name]
        try:
            inner = self._layer._get_layer()
            wanted, number = dict.fromkeys(map(id, inner._shards), ""), 0
            while not all(wanted.values()):
                group = f"{name}.{number}"
                wanted[id(inner._get_shard(inner._get_group_channel_name(group)))] = group
                number += 1
            return list(wanted.values())
        except AttributeError as error:
            self._give_up(error)
            return [name]

    def announcement(self, group: str) -> str:
        """Where the layer listens for messages to `group`, if it takes them as plain msgpack."""
        if self._group_prefix is None:
            self._group_prefix = self._find_group_prefix()
        return self._group_prefix + group if self._group_prefix else ""

    def _find_group_prefix(self) -> str:
        if not self._known:
            return ""
        try:
            serializer = self._layer._serializer
            plain = type(serializer).__name__ == "MsgPackSerializer" and serializer.crypter is None
            if not plain or serializer.random_prefix_length:
                return ""
            return str(self._layer._get_layer()._get_group_channel_name(""))
        except AttributeError as error:
            self._give_up(error)
            return ""

    async def new_channel(self) -> str:
        """A layer channel of this process; one that could not be opened leaves nothing in the layer."""
        before = set(self._layer._get_layer().channels) if self._known else set()
        try:
            return str(await self._layer.new_channel())
        except BaseException:
            if self._known:
                channels = self._layer._get_layer().channels
                for name in set(channels) - before:
                    del channels[name]
            raise

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """From now on `callback` is called whenever a connection that receives was made anew."""
        self._on_reconnect = callback
        self._watch_connections()

    def _watch_connections(self) -> None:
        try:
            for shard in self._layer._get_layer()._shards if self._known else ():
                connection = shard._pubsub.connection if shard._pubsub else None
                if connection is not None and self._connections.get(id(shard)) is not connection:
                    self._connections[id(shard)] = connection
                    connection.register_connect_callback(self._connected)
        except AttributeError as error:
            self._give_up(error)

    async def _connected(self, connection: object) -> None:
        # Called after the one that subscribes to everything again.
        if self._on_reconnect is not None:
            self._on_reconnect()

    def shed(self, name: str, limit: int) -> int:
        """Empties the queue of the layer channel `name` when it holds more than `limit`; how many were dropped."""
        queue = self._layer._get_layer().channels.get(name) if self._known else None
        if queue is None or queue.qsize() <= limit:
            return 0
        dropped = 0
        while not queue.empty():
            queue.get_nowait()
            dropped += 1
        return dropped

    async def reset_connections(self) -> None:
        """Closes the connections that receive; the layer opens them again and subscribes to everything."""
        try:
            for shard in self._layer._get_layer()._shards if self._known else ():
                if shard._pubsub is not None and shard._pubsub.connection is not None:
                    await shard._pubsub.connection.disconnect(nowait=True)
        except (AttributeError, OSError) as error:
            logger.debug("the layer's connections were not begun anew: %r", error)

    def _give_up(self, error: AttributeError) -> None:
        self._known = False
        logger.warning("this version of channels_redis is built differently (%s); losses are found more slowly", error)
