"""What lives with a node without the node knowing what it is: it is told what comes for it, and when to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from live.logs import about
from live.node.relay import Body

if TYPE_CHECKING:
    from live.node.node import Node

logger = logging.getLogger("live.node")


class Companion(Protocol):
    """What a node keeps for the floors above."""

    async def stop(self) -> None:
        """The node stops: ends everything, while store and relay still work. May be called more than once."""

    def take(self, body: Body) -> None:
        """A message of kind ``"plugin"`` arrived; raises `KeyError`, `TypeError` or `ValueError` when it is none."""


C = TypeVar("C", bound=Companion)


class Companions:
    """Those of one node, by what made them."""

    def __init__(self) -> None:
        self._all: dict[Callable[[Any], Companion], Companion] = {}

    def __iter__(self) -> Iterator[Companion]:
        return iter(list(self._all.values()))

    def of(self, node: Node, factory: Callable[[Node], C]) -> C:
        """The one that `factory` made, or makes now."""
        found = self._all.get(factory)
        if found is None:
            found = self._all[factory] = factory(node)
        return cast(C, found)

    def take(self, body: Body) -> None:
        """Gives a message to all of them."""
        for companion in self:
            companion.take(body)

    async def stop(self) -> None:
        """Stops all of them; what fails is logged."""
        for outcome in await asyncio.gather(*[each.stop() for each in self], return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("a companion of the node could not stop", exc_info=outcome, extra=about())
