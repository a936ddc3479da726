"""What nodes say to each other, seen from one of them."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from live.channel import Channel
from live.logs import about
from live.node.control import (
    DELETED,
    ControlMessage,
    PendingSurvey,
    Survey,
    Wanted,
    answer_body,
    read_wanted,
    survey_body,
)
from live.node.relay import Body

if TYPE_CHECKING:
    from live.node.node import Node

logger = logging.getLogger("live.node")


class Messages:
    """Reads the messages that `node` gets, and asks all nodes in its name."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._surveys: dict[str, PendingSurvey] = {}

    def take(self, body: Body) -> None:
        """Does what a message asks for; one that cannot be read, of another version, is logged."""
        node = self._node
        try:
            match body["kind"]:
                case "control":
                    message = ControlMessage.read(body)
                    if message.action == "source":
                        self._source_changed(message.source, deleted=message.reason == DELETED)
                    else:
                        node.clients.apply(message, node.spawn)
                case "survey":
                    channel = Channel.parse(body["channel"]) if body["channel"] else None
                    answer = answer_body(str(body["survey"]), node.report(channel, read_wanted(body)))
                    node.spawn(node.relay.send_to(str(body["reply_to"]), answer), "answering a survey")
                case "answer":
                    pending = self._surveys.get(body["survey"])
                    if pending is not None:
                        pending.take(body["report"])
                case "plugin":
                    node.companions.take(body)
                case other:
                    raise ValueError(f"unknown kind {other!r}")
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("a message of another node cannot be read: %r", error, extra=about(node=node.id))

    def _source_changed(self, uid: str, *, deleted: bool) -> None:
        """What runs for a data source has to know, and who watches it may not be allowed to any more."""
        node = self._node
        node.companions.take({"kind": "plugin", "what": "source", "source": uid})
        if not deleted:
            channels = [each for each in node.hub.channels() if each.scope == "ds" and each.namespace == uid]
            node.clients.recheck({each for channel in channels for each in node.hub.subscribers(channel)}, node.spawn)

    async def survey(self, channel: Channel | None, wanted: Wanted, seconds: float) -> Survey:
        """The answers of all nodes within so many seconds; raises `EngineUnavailable`."""
        node = self._node
        # A process that serves nobody has not begun to receive.
        await node.relay.start()
        expected = await node.store.nodes() if node.store.shared else []
        number = uuid.uuid4().hex
        pending = self._surveys[number] = PendingSurvey(expected)
        try:
            await node.relay.broadcast(survey_body(number, node.relay.name, channel, wanted))
            return await pending.result(seconds)
        finally:
            del self._surveys[number]
