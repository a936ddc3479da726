"""From the server's answers, as the protocol has them, to what a test reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from live.store import Position
from live.testing.values import History, Present, Publication, Subscribed


def publication(channel: str, body: dict[str, Any]) -> Publication:
    """One publication of `channel`, from a push or a list."""
    return Publication(channel, body.get("data"), body.get("offset", 0), body.get("info"))


def _publications(channel: str, bodies: Iterable[dict[str, Any]]) -> tuple[Publication, ...]:
    return tuple(publication(channel, body) for body in bodies)


def _position(body: dict[str, Any]) -> Position:
    return Position(body.get("offset", 0), body.get("epoch", ""))


def subscribed(channel: str, body: dict[str, Any]) -> Subscribed:
    """The answer to a subscribe."""
    missed = _publications(channel, body.get("publications", ()))
    position = None
    if body.get("recoverable"):
        position = _position(body)
        if missed:
            # The answer tells the one that was asked with.
            position = Position(missed[-1].offset, position.epoch)
    return Subscribed(body.get("data"), position, body.get("recovered", False), missed)


def history(channel: str, body: dict[str, Any]) -> History:
    """The answer to a history command."""
    return History(_publications(channel, body["publications"]), _position(body))


def presence(body: dict[str, Any]) -> list[Present]:
    """The answer to a presence command."""
    found = body["presence"]
    return [Present(client, found[client].get("user", ""), found[client].get("chan_info")) for client in sorted(found)]
