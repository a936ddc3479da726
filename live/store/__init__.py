"""The state that outlives a message: history and positions, last values, rates, presence, leases, nodes."""

from live.store.base import (
    WANTED_SECONDS,
    ActiveChannel,
    ChannelOptions,
    ChannelState,
    Draft,
    Lease,
    Member,
    Position,
    PresenceStats,
    Publication,
    Renewal,
    Store,
)
from live.store.memory import MemoryStore

__all__ = [
    "WANTED_SECONDS",
    "ActiveChannel",
    "ChannelOptions",
    "ChannelState",
    "Draft",
    "Lease",
    "Member",
    "MemoryStore",
    "Position",
    "PresenceStats",
    "Publication",
    "Renewal",
    "Store",
]
