"""The stores the contract suite runs over, each with a clock the test moves."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from live.store import MemoryStore, Store


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


@dataclass
class StoreCase:
    """A store under test: at most 3 channels, forgotten after 60 s, 1,000 bytes of history each."""

    store: Store
    advance: Callable[[float], None]


def memory_store():
    clock = Clock()
    return StoreCase(MemoryStore(max_channels=3, ttl=60, history_max_bytes=1000, clock=clock), clock.advance)


@pytest.fixture(params=[memory_store], ids=["memory"])
async def case(request):
    case = request.param()
    yield case
    await case.store.close()
