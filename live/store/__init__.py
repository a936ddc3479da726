"""The state that outlives a message: history and positions, last values, rates."""

from live.store.base import (
    ActiveChannel,
    ChannelOptions,
    ChannelState,
    Position,
    Publication,
    Store,
)
from live.store.memory import MemoryStore

__all__ = ["ActiveChannel", "ChannelOptions", "ChannelState", "MemoryStore", "Position", "Publication", "Store"]
