"""Drafts on their way into Redis: many in one call of one script, in the order they were given."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from redis.exceptions import ResponseError

from live.channel import Channel
from live.exceptions import LeaseLost
from live.store.base import ChannelOptions, Draft, Lease, Position, Publication
from live.store.redis.connection import unavailable
from live.store.redis.lanes import Lane, refused
from live.store.redis.scripts import Command, load, unpack
from live.store.redis.topology import Host

CALL_DRAFTS = 200
CALL_BYTES = 1024 * 1024
"""Limits of one call, for which Redis does nothing else; one draft always goes."""

MAX_DRAFTS = 50_000
MAX_BYTES = 64 * 1024 * 1024
"""What may wait; more is refused."""

_SCHEMA, _SHORT, _INFO, _KEY = 1, 2, 4, 8
_FLAGS = [b"%d" % flags for flags in range(16)]
_COUNTS = [b"%d" % count for count in range(CALL_DRAFTS + 1)]
_WHOLE, _THERE, _LOST = b"wdl"
_NOTHING = Publication(b"")


@lru_cache(maxsize=1024)
def _options_text(options: ChannelOptions) -> bytes:
    parts = (options.history_size, options.history_ttl, options.key_interval, int(options.keep_last))
    return " ".join(map(str, parts)).encode()


def _lease_words(lease: Lease) -> tuple[bytes, ...]:
    return lease.name.encode(), lease.owner.encode(), b"%d" % lease.token


class _Group:
    """The drafts of one call to one channel, with the same options, announcement and fence."""

    __slots__ = ("announce", "fence", "options", "places", "words")

    def __init__(self, draft: Draft) -> None:
        self.options = draft.options
        self.announce = draft.announce
        self.fence = draft.fence
        self.places: list[int] = []
        self.words: list[bytes] = []

    def fits(self, draft: Draft) -> bool:
        """Whether the draft can be added."""
        options, fence = draft.options, draft.fence
        return (
            (options is self.options or options == self.options)
            and draft.announce == self.announce
            and (fence is self.fence or fence == self.fence)
        )

    def head(self) -> tuple[bytes, ...]:
        """How many drafts there are, and the lease they count under if there is one."""
        count = _COUNTS[len(self.places)]
        return (count,) if self.fence is None else (b"-" + count, *_lease_words(self.fence))


class Call:
    """Drafts put into the words of one call of append.lua, and its answer read."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.size = 0
        self._groups: list[tuple[Channel, _Group]] = []
        self._open: dict[Channel, _Group] = {}

    @property
    def full(self) -> bool:
        """Whether no draft should be added."""
        return len(self.drafts) >= CALL_DRAFTS or self.size >= CALL_BYTES

    def add(self, draft: Draft) -> None:
        """One more draft; those of a channel stay in their order."""
        group = self._open.get(draft.channel)
        if group is None or not group.fits(draft):
            group = self._open[draft.channel] = _Group(draft)
            self._groups.append((draft.channel, group))
        group.places.append(len(self.drafts))
        self.drafts.append(draft)
        words = group.words
        flags, place, size = 0, len(words), len(draft.data)
        words += (b"", draft.data)
        if draft.schema is not None:
            flags |= _SCHEMA
            words.append(draft.schema)
        if draft.short is not None:
            flags |= _SHORT
            size += len(draft.short)
            words.append(draft.short)
        if draft.info is not None:
            flags |= _INFO
            words.append(draft.info)
        if draft.key:
            flags |= _KEY
            words.append(draft.key.encode())
        words[place] = _FLAGS[flags]
        self.size += size

    def words(self) -> list[bytes]:
        """The arguments of the script."""
        words: list[bytes] = []
        for channel, group in self._groups:
            words += (
                channel.digest.encode(),
                str(channel).encode(),
                _options_text(group.options),
                group.announce.encode(),
                *group.head(),
                *group.words,
            )
        return words

    def read(self, answer: bytes) -> tuple[list[Publication], list[int], list[int]]:
        """What subscribers get of each draft, the places of those there already, and of those whose fence is lost."""
        publications = [_NOTHING] * len(self.drafts)
        there: list[int] = []
        lost: list[int] = []
        parts = iter(answer.split(b" "))
        for _, group in self._groups:
            epoch = next(parts).decode()
            history = group.options.has_history
            for place, part in zip(group.places, parts, strict=False):
                draft = self.drafts[place]
                form = part[0]
                if form == _LOST:
                    lost.append(place)
                    continue
                data = draft.data if form == _WHOLE or draft.short is None else draft.short
                if history:
                    publications[place] = Publication(data, int(part[1:]), epoch, draft.info)
                    if form == _THERE:
                        there.append(place)
                else:
                    publications[place] = Publication(data, 0, "", draft.info)
        return publications, there, lost


class _Batch:
    """What one caller gave: its drafts, those answered, whether a fence was lost, and what of it waits."""

    __slots__ = ("answer", "bytes", "drafts", "lost", "publications")

    def __init__(self, drafts: Sequence[Draft], size: int) -> None:
        self.drafts = drafts
        self.bytes = size
        self.lost = False
        self.publications: list[Publication] = []
        self.answer: asyncio.Future[list[Publication]] = asyncio.get_running_loop().create_future()
        # Its caller may have been cancelled.
        self.answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    def end(self) -> None:
        """Tells the caller what became of its drafts, all of which are answered."""
        if self.answer.done():
            return
        if self.lost:
            self.answer.set_exception(LeaseLost())
        else:
            self.answer.set_result(self.publications)


class DraftLane(Lane):
    """Drafts in their order, as many in one call as wait.

    `head` gives the first arguments of every script, `limits` are most channels and most bytes of a history.
    """

    def __init__(
        self,
        host: Host,
        failed: Callable[[BaseException], None],
        *,
        head: Callable[[], tuple[bytes, ...]],
        limits: tuple[bytes, bytes],
    ) -> None:
        super().__init__(host, failed)
        self._head = head
        self._limits = limits
        self._queue: deque[_Batch] = deque()
        self._drafts = 0
        self._bytes = 0
        # How Redis knows a call that is made again.
        self._writer = os.urandom(8).hex().encode()
        self._calls = 0

    async def append(self, drafts: Sequence[Draft]) -> list[Publication]:
        """What subscribers get of each draft. Raises `LeaseLost` and `EngineUnavailable`."""
        self._check()
        size = sum([_size(draft) for draft in drafts])
        # Alone it goes whatever its size: its caller holds it in memory anyway.
        if self._queue and (self._drafts + len(drafts) > MAX_DRAFTS or self._bytes + size > MAX_BYTES):
            raise unavailable("has too much to do")
        batch = _Batch(drafts, size)
        self._queue.append(batch)
        self._drafts += len(drafts)
        self._bytes += size
        self._start()
        return await batch.answer

    def _waiting(self) -> bool:
        while self._queue and self._queue[0].answer.done():
            batch = self._queue.popleft()
            self._drafts -= len(batch.drafts) - len(batch.publications)
            self._bytes -= batch.bytes
        return bool(self._queue)

    async def _turn(self) -> None:
        call = Call()
        taken: list[_Batch] = []
        counts: list[int] = []
        try:
            for batch in self._queue:
                if call.full:
                    break
                if not batch.answer.done():
                    taken.append(batch)
                    counts.append(_fill(call, batch))
            self._calls += 1
            head = (*self._head(), *self._limits, self._writer, b"%d" % self._calls)
            command = Command((*head, *call.words()), load("append"))
        except Exception as error:
            mistake = error
            _fail(taken, lambda: mistake)
            return
        (answer,) = await self._connection.ask([command])
        if isinstance(answer, ResponseError):
            refusal = answer
            _fail(taken, lambda: refused("publications", refusal))
            return
        publications, there, lost = call.read(answer)
        if there:
            await self._read_kept(call.drafts, publications, there)
        place = 0
        for batch, count in zip(taken, counts, strict=True):
            sent = batch.drafts[len(batch.publications) : len(batch.publications) + count]
            self._drafts -= count
            size = sum([_size(draft) for draft in sent])
            self._bytes -= size
            batch.bytes -= size
            batch.publications += publications[place : place + count]
            batch.lost = batch.lost or any(place <= one < place + count for one in lost)
            place += count
            if len(batch.publications) == len(batch.drafts):
                batch.end()

    async def _read_kept(self, drafts: list[Draft], publications: list[Publication], there: list[int]) -> None:
        """Puts the publications of earlier drafts with the same key in the places of these."""
        commands = []
        for place in there:
            kept = publications[place]
            words = (drafts[place].channel.digest.encode(), b"%d" % (kept.offset - 1), kept.epoch.encode(), b"1", b"")
            commands.append(Command((*self._head(), *words), load("history")))
        for place, answer in zip(there, await self._connection.ask(commands), strict=True):
            if not isinstance(answer, ResponseError):
                found, _ = read_history(answer)
                # Where it is gone since, dropped for what came with this draft, the draft says the same.
                if found and found[0].position == publications[place].position:
                    publications[place] = found[0]

    def _fail(self, failure: Callable[[], BaseException]) -> None:
        _fail(self._queue, failure)
        self._waiting()


def _fail(batches: Iterable[_Batch], failure: Callable[[], BaseException]) -> None:
    """Tells the callers of an error, each of one of its own."""
    for batch in batches:
        if not batch.answer.done():
            batch.answer.set_exception(failure())


def _size(draft: Draft) -> int:
    return len(draft.data) + (0 if draft.short is None else len(draft.short))


def _fill(call: Call, batch: _Batch) -> int:
    """Adds of the batch what there is room for; how many."""
    first = len(batch.publications)
    for count in range(len(batch.drafts) - first):
        if call.full:
            return count
        call.add(batch.drafts[first + count])
    return len(batch.drafts) - first


def read_history(answer: list[Any]) -> tuple[list[Publication], Position]:
    """What history.lua tells: publications and the top."""
    epoch, offset, lengths, joined = answer
    top = Position(int(offset), epoch.decode())
    values = unpack(lengths, joined)
    return [
        Publication(data, int(at), top.epoch, info or None) for at, data, info in zip(*[values] * 3, strict=True)
    ], top
