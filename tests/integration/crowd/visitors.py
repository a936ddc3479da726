"""Clients that come, stay for a while and leave one way or the other: one wave of a soak.

All are there at once before the first leaves; then each comes and goes until the time is over, and everybody leaves.
Printed in the end: how many came, and how they left.
"""

import asyncio
import json
import random
import sys
from collections import Counter

from tests.integration.crowd.peer import Peer, allow_many_sockets, command, handshake, masked

WAYS = {"goodbye": 30, "closed": 15, "reset": 25, "halfway": 15, "mute": 8, "deaf": 7}
"""How clients leave, and how often of a hundred times.

goodbye: with a close frame; closed: without one; reset: with a RST; halfway: before they were in, anywhere between the
first byte of the handshake and the last of the first commands; mute: reads on, and never answers again; deaf: does not
even read.
"""

AT_THE_DOOR = 64
"""Clients that come in at the same time; servers are reached through a backlog."""

PATIENCE = 40.0
"""Seconds a client waits for an answer before it counts as left without one."""

BUSY = 1.3
"""Clients that come at least, for each of those that are there at once."""

GOODBYE_SECONDS = 30.0
"""Seconds the server has for its part of a close."""

ROOMS = [f"lobby/soak/{n}" for n in range(200)]
"""Many: everybody in one is told of everybody who comes and goes there."""
HALLS = [f"hall/soak/{n}" for n in range(50)]
KEPT = [f"kept/soak/{n}" for n in range(20)]
"""Few, and the only ones where clients publish: their histories are full soon."""
ALL = "kept/soak/all"


class Wave:
    """So many `clients` that come and go for some `seconds`, each for at most `stay`."""

    def __init__(self, *, port, clients, seconds, stay, seed, cookie):
        self.port, self.clients, self.seconds, self.stay, self.seed = port, clients, seconds, stay, seed
        self.openings = [handshake(), handshake(), handshake(cookie)]
        self.door = asyncio.Semaphore(AT_THE_DOOR)
        self.all_in = asyncio.Event()
        self.over = False
        self.staying = set()
        self.inside = set()
        self.most = 0
        self.counts = Counter()
        self.left, self.ended = Counter(), Counter()

    async def run(self):
        """Runs the wave; its numbers."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        dice = random.Random(self.seed)
        everybody = asyncio.gather(*[self.come_and_go(random.Random(dice.random())) for _ in range(self.clients)])
        waiting = asyncio.create_task(self.all_in.wait())
        # Whatever goes wrong with one of them ends the wave.
        await asyncio.wait([waiting, everybody], return_when=asyncio.FIRST_COMPLETED)
        filled = loop.time() - started
        await asyncio.wait([everybody], timeout=max(self.seconds - filled, self.seconds / 2))
        # On a machine that stood still meanwhile the time alone would be none.
        while not everybody.done() and self.counts["connections"] < BUSY * self.clients:
            await asyncio.wait([everybody], timeout=0.1)
        self.over = True
        for end in self.staying:
            end.set()
        await everybody
        return {
            **self.counts,
            "most_at_once": self.most,
            "seconds_to_fill": round(filled, 1),
            "seconds": round(loop.time() - started, 1),
            "left": dict(self.left),
            "ended_by_server": dict(self.ended),
        }

    async def come_and_go(self, dice):
        """One client after the other; the first stays until all are there."""
        while not (self.over or await self.visit(dice, first=True)):
            pass
        while not self.over:
            await self.visit(dice)

    async def visit(self, dice, *, first=False):
        """One client, from its coming to its leaving; whether it was in."""
        ways = [way for way in WAYS if not (first and way == "halfway")]
        way = dice.choices(ways, [WAYS[each] for each in ways])[0]
        self.counts["connections"] += 1
        try:
            async with self.door, asyncio.timeout(PATIENCE):
                peer = await (self.come_halfway(dice) if way == "halfway" else self.come_in(dice))
        except TimeoutError:
            self.counts["unanswered"] += 1
            return False
        except OSError:
            self.counts["failed"] += 1
            return False
        try:
            if way == "halfway":
                await self.turn_back(dice, peer)
            else:
                await self.be_there(dice, peer, way, first)
        finally:
            # Those that left with a RST leave here.
            peer.reset()
            self.counts["deliveries"] += peer.publications
            self.counts["gaps"] += peer.gaps
            self.counts["refused"] += peer.refused
        return way != "halfway"

    async def come_halfway(self, dice):
        """Comes, and says a part of what leads in."""
        way_in = dice.choice(self.openings) + masked(command(1, "connect"))
        way_in += masked(command(2, "subscribe", channel=dice.choice(ROOMS)))
        peer = await Peer.connect(self.port, way_in[: dice.randrange(1, len(way_in))])
        peer.waits |= {1: None, 2: None}
        return peer

    async def turn_back(self, dice, peer):
        """Leaves before it was in."""
        await self.stays(peer, dice.uniform(0, 0.5))
        self.left["halfway"] += 1
        if dice.random() < 0.5:
            peer.transport.abort()

    async def come_in(self, dice):
        """Connects to Live and to some channels."""
        peer = await Peer.connect(self.port, dice.choice(self.openings))
        try:
            await peer.until(lambda: peer.status)
            if peer.open:
                peer.ask("connect")
                names = [dice.choice(ROOMS), dice.choice(HALLS), *dice.sample(KEPT, 2), ALL]
                for name in dice.sample(names, dice.randrange(1, len(names) + 1)):
                    peer.ask("subscribe", channel=name)
                await peer.answered()
        except BaseException:
            peer.reset()
            raise
        return peer

    async def be_there(self, dice, peer, way, first):
        """Is a client for a while, and leaves."""
        self.inside.add(peer)
        try:
            if len(self.inside) == self.clients:
                self.most = max(self.most, sum(not each.gone for each in self.inside))
                self.all_in.set()
            if first:
                await self.all_in.wait()
            if way == "mute":
                peer.answers_pings = False
            elif way == "deaf":
                peer.transport.pause_reading()
            seconds = dice.uniform(0, self.stay)
            await self.stays(peer, seconds / 2)
            if way not in ("mute", "deaf"):
                self.be_busy(dice, peer)
            await self.stays(peer, seconds / 2)
        finally:
            self.inside.discard(peer)
        if peer.gone:
            self.ended[str(peer.code or f"{way}: {peer.error!r}")] += 1
            return
        self.left[way] += 1
        if way == "goodbye":
            peer.leave()
            try:
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await peer.until(lambda: False)
            except TimeoutError:
                self.counts["goodbyes_unanswered"] += 1
        elif way == "closed" or (way != "reset" and dice.random() < 0.5):
            peer.transport.abort()

    def be_busy(self, dice, peer):
        """Says something, leaves a channel and comes back, or neither."""
        if peer.gone:
            return
        if dice.random() < 0.2:
            self.counts["published"] += 1
            peer.ask("publish", channel=dice.choice(KEPT), data={"said": "x" * dice.randrange(200)})
        if peer.offsets and dice.random() < 0.3:
            name = dice.choice(list(peer.offsets))
            peer.ask("unsubscribe", channel=name)
            if dice.random() < 0.5:
                peer.ask("subscribe", channel=name)

    async def stays(self, peer, seconds):
        """Waits for so long, until it is over, or until the connection is gone."""
        if self.over or peer.gone:
            return
        end = asyncio.Event()
        self.staying.add(end)
        peer.when_gone = end.set
        timer = asyncio.get_running_loop().call_later(seconds, end.set)
        await end.wait()
        timer.cancel()
        self.staying.discard(end)


async def main(options):
    allow_many_sockets(options["clients"] + 200)
    print(json.dumps(await Wave(**options).run()))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
