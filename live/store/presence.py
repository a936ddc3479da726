"""What the memory store knows of clients and nodes: who is present, who holds a lease, which nodes are alive.

Plain tables with a time in every entry, bounded by what the nodes of this process register. Not locked: the store is.
"""

from __future__ import annotations

from live.channel import Channel
from live.store.base import Lease, Member, PresenceStats

EXPIRED_TTL = 600.0
"""Seconds that members past their time are kept for `Store.expire_members` to find."""


class Presence:
    """The members of each channel, with the time until which each is present."""

    def __init__(self) -> None:
        self._channels: dict[Channel, dict[str, tuple[Member, float]]] = {}

    def add(self, channel: Channel, member: Member, until: float) -> None:
        """The client is present until then."""
        self._channels.setdefault(channel, {})[member.client] = (member, until)

    def remove(self, channel: Channel, client: str) -> bool:
        """The client is not present any more; whether it was, even if only because nobody removed it in time."""
        found = self._channels.get(channel, {}).pop(client, None)
        self._drop_empty(channel)
        return found is not None

    def members(self, channel: Channel, now: float) -> list[Member]:
        """Who is present, in the order of client ids."""
        present = self._channels.get(channel, {})
        return [present[client][0] for client in sorted(present) if present[client][1] > now]

    def stats(self, channel: Channel, now: float) -> PresenceStats:
        """How many are present."""
        members = self.members(channel, now)
        return PresenceStats(len(members), len({member.user for member in members}))

    def expire(self, channel: Channel, now: float) -> list[Member]:
        """Removes and returns those whose time is over."""
        present = self._channels.get(channel, {})
        gone = [client for client in sorted(present) if present[client][1] <= now]
        members = [present.pop(client)[0] for client in gone]
        self._drop_empty(channel)
        return members

    def forget(self, now: float) -> None:
        """Drops those whose time has been over for long without anybody asking for them."""
        for channel in list(self._channels):
            self.expire(channel, now - EXPIRED_TTL)

    def _drop_empty(self, channel: Channel) -> None:
        if not self._channels.get(channel, True):
            del self._channels[channel]


class Leases:
    """Which owner has which lease until when."""

    def __init__(self) -> None:
        self._leases: dict[str, tuple[Lease, float]] = {}
        self._token = 0

    def acquire(self, name: str, owner: str, now: float, ttl: float) -> Lease | None:
        """The lease, unless another owner has it."""
        lease = self._held(name, now)
        if lease is None:
            self._token += 1
            lease = Lease(name, owner, self._token)
        elif lease.owner != owner:
            return None
        self._leases[name] = (lease, now + ttl)
        return lease

    def renew(self, lease: Lease, now: float, ttl: float) -> bool:
        """More time for a lease that was not lost."""
        if self._held(lease.name, now) != lease:
            return False
        self._leases[lease.name] = (lease, now + ttl)
        return True

    def release(self, lease: Lease, now: float) -> None:
        """Nobody has it any more, unless it was lost already."""
        if self._held(lease.name, now) == lease:
            del self._leases[lease.name]

    def expire(self, now: float) -> None:
        """Drops those whose time is over."""
        for name in list(self._leases):
            self._held(name, now)

    def _held(self, name: str, now: float) -> Lease | None:
        lease, until = self._leases.get(name, (None, 0.0))
        if lease is not None and until <= now:
            del self._leases[name]
            return None
        return lease


class Nodes:
    """The ids of the nodes with the time until which each counts as alive."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def touch(self, node: str, until: float) -> None:
        """The node is alive until then."""
        self._until[node] = until

    def forget(self, node: str) -> None:
        """The node is gone."""
        self._until.pop(node, None)

    def alive(self, now: float) -> list[str]:
        """The nodes whose time is not over, in the order of their ids; the others are forgotten."""
        self._until = {node: until for node, until in self._until.items() if until > now}
        return sorted(self._until)
