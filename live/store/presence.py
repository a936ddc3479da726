"""What the memory store knows of clients and nodes: who is present, who holds a lease, which nodes are alive.

Plain tables with a time in every entry, bounded by what the nodes of this process register. Not locked: the store is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from live.channel import Channel
from live.store.base import WANTED_SECONDS, Lease, Member, PresenceStats, Renewal

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


@dataclass(slots=True)
class _Loan:
    """A lease that is given, until when, and until when it counts that another owner asked for it."""

    lease: Lease
    until: float
    wanted: float = float("-inf")

    def is_of(self, lease: Lease) -> bool:
        """Whether it is that lease, whatever was noted since."""
        return (self.lease.owner, self.lease.token) == (lease.owner, lease.token)


class Leases:
    """Which owner has which lease until when."""

    def __init__(self) -> None:
        self._loans: dict[str, _Loan] = {}
        self._token = 0

    def acquire(self, asked: Lease, now: float, ttl: float) -> Lease | None:
        """The lease, unless another owner has it, to whom this wish is told; the token is given here."""
        loan = self._given(asked.name, now)
        if loan is None:
            self._token += 1
            loan = self._loans[asked.name] = _Loan(replace(asked, token=self._token), now + ttl)
        elif loan.lease.owner != asked.owner:
            loan.wanted = now + WANTED_SECONDS
            return None
        loan.until = now + ttl
        return loan.lease

    def holder(self, name: str, now: float) -> Lease | None:
        """The lease, whoever has it."""
        loan = self._given(name, now)
        return None if loan is None else loan.lease

    def holds(self, lease: Lease, now: float) -> bool:
        """Whether the lease was not lost."""
        return self._find(lease, now) is not None

    def renew(self, lease: Lease, now: float, ttl: float, note: bytes | None) -> Renewal:
        """More time for a lease that was not lost, and another note if there is one."""
        loan = self._find(lease, now)
        if loan is None:
            return Renewal.LOST
        loan.until = now + ttl
        if note is not None:
            loan.lease = replace(loan.lease, note=note)
        return Renewal.WANTED if loan.wanted > now else Renewal.HELD

    def release(self, lease: Lease, now: float) -> None:
        """Nobody has it any more, unless it was lost already."""
        if self._find(lease, now) is not None:
            del self._loans[lease.name]

    def expire(self, now: float) -> None:
        """Drops those whose time is over."""
        for name in list(self._loans):
            self._given(name, now)

    def _find(self, lease: Lease, now: float) -> _Loan | None:
        loan = self._given(lease.name, now)
        return loan if loan is not None and loan.is_of(lease) else None

    def _given(self, name: str, now: float) -> _Loan | None:
        loan = self._loans.get(name)
        if loan is not None and loan.until <= now:
            del self._loans[name]
            return None
        return loan


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
