"""Messages between nodes: what to do with clients wherever they are, and the survey that asks all nodes.

They travel through the relay as dictionaries; a node that gets one it cannot read, from a newer version, logs it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from live.channel import Channel
from live.node.relay import Body

Action = Literal["disconnect", "unsubscribe", "recheck", "source"]

DELETED = "deleted"
"""The reason of a message about a data source that is gone."""

MAX_LISTED = 500
"""Clients that one answer to a survey lists at most."""


def session_digest(key: str) -> str:
    """What stands for a session key in messages: the key itself would let its reader in."""
    return hashlib.sha256(f"live.session:{key}".encode()).hexdigest()[:32] if key else ""


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """What every node is to do with the clients it concerns, or with the streams of a data source."""

    action: Action
    users: tuple[str, ...] = ()
    """Ids of the users concerned; none: everybody, which only a recheck may ask for."""
    session: str = ""
    """Digest of a session: only its clients are concerned, whoever their user is."""
    channel: str = ""
    """The channel to unsubscribe from."""
    code: int = 0
    reason: str = ""
    client: str = ""
    """Id of the one client that is concerned, whoever its user is."""
    source: str = ""
    """Uid of the data source that was changed or deleted; no client is concerned, only what runs for it."""

    def concerns(self, user: str, session_key: str, client: str = "") -> bool:
        """Whether the client of that user, session and id is meant."""
        if self.client:
            return self.client == client
        if self.session:
            return self.session == session_digest(session_key)
        return user in self.users if self.users else self.action == "recheck"

    def body(self) -> Body:
        """The message as it travels."""
        return {"kind": "control", **asdict(self)}

    @classmethod
    def read(cls, body: Body) -> ControlMessage:
        """The message that travelled; raises `KeyError`, `TypeError` or `ValueError`."""
        action = body["action"]
        if action not in get_args(Action):
            raise ValueError(f"unknown action {action!r}")
        return cls(
            action,
            tuple(map(str, body["users"])),
            str(body["session"]),
            str(body["channel"]),
            int(body["code"]),
            str(body["reason"]),
            # Nodes of an older version do not send them.
            str(body.get("client", "")),
            str(body.get("source", "")),
        )


@dataclass(frozen=True, slots=True)
class ClientReport:
    """What a node tells of one of its clients."""

    client: str
    user: str
    """The user's id; "" for an anonymous one."""
    since: float
    """When it came, in seconds of Unix time."""
    subscriptions: int
    queue_bytes: int
    """Bytes on their way to it that it has not taken yet."""

    @classmethod
    def read(cls, report: dict[str, Any]) -> ClientReport:
        """The report that travelled; raises `KeyError`, `TypeError` or `ValueError`."""
        numbers = {name: int(report[name]) for name in ("subscriptions", "queue_bytes")}
        return cls(str(report["client"]), str(report["user"]), float(report["since"]), **numbers)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which clients a survey asks for: at most `limit` of each node, those that most waits for first."""

    limit: int = 0
    ids: tuple[str, ...] = ()
    """Ids of the users and of the clients that are meant; none: all."""


NOBODY = Wanted()


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What one node answers to a survey."""

    node: str
    clients: int
    users: int
    """Different ones among the clients that are logged in."""
    channels: int
    """Channels with a subscriber there."""
    subscribers: int = 0
    """Subscribers of the channel that was asked for."""
    listed: tuple[ClientReport, ...] = ()
    """The clients that were asked for."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The answers of all nodes, in the order of their ids, and the ids of those that did not answer in time."""

    nodes: list[NodeReport]
    missing: list[str] = field(default_factory=list)


class PendingSurvey:
    """Collects the answers to one survey."""

    def __init__(self, expected: Sequence[str]) -> None:
        self._expected = set(expected)
        self._reports: dict[str, NodeReport] = {}
        self._complete = asyncio.Event()

    def take(self, report: dict[str, Any]) -> None:
        """One node answered; raises `KeyError`, `TypeError` or `ValueError` for what is no report."""
        numbers = {name: int(report[name]) for name in ("clients", "users", "channels", "subscribers")}
        listed = tuple(map(ClientReport.read, report.get("listed", ())))
        found = NodeReport(str(report["node"]), **numbers, listed=listed)
        self._reports[found.node] = found
        if self._expected <= self._reports.keys():
            self._complete.set()

    async def result(self, seconds: float) -> Survey:
        """What was answered within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._complete.wait()
        except TimeoutError:
            pass
        missing = sorted(self._expected - self._reports.keys())
        return Survey([self._reports[node] for node in sorted(self._reports)], missing)


def survey_body(survey: str, reply_to: str, channel: Channel | None, wanted: Wanted) -> Body:
    """The question."""
    name = str(channel) if channel else ""
    return {"kind": "survey", "survey": survey, "reply_to": reply_to, "channel": name, "clients": asdict(wanted)}


def read_wanted(body: Body) -> Wanted:
    """Which clients a question asks for; raises `KeyError`, `TypeError` or `ValueError`."""
    clients = body.get("clients") or {"limit": 0, "ids": ()}
    return Wanted(min(int(clients["limit"]), MAX_LISTED), tuple(map(str, clients["ids"])))


def answer_body(survey: str, report: NodeReport) -> Body:
    """One node's answer."""
    return {"kind": "answer", "survey": survey, "report": asdict(report)}
