"""Clients that listen to one channel, some of them without reading what comes; one of the others may speak.

Says ``{"ready": ...}`` when all are subscribed. Told "speak", it publishes what it is to, as fast as the slowest of
those who read, and says how many heard everything; told "end", it reads what is left for everybody, leaves, and says
how many connections the server had ended, by the code of its close frame.
"""

import asyncio
import json
import sys
from collections import Counter

from tests.integration.crowd.peer import Peer, allow_many_sockets, handshake

WINDOW = 4096
"""Bytes that the kernel takes for who reads nothing: the rest stays with the server."""

AHEAD = 6
"""Publications that the slowest reader may be behind."""

END_SECONDS = 15.0
"""Seconds in which the ends of the connections are to be seen."""


class Listener(Peer):
    """A peer that says when it heard something, and when it is gone."""

    moved = asyncio.Event()

    def take_publication(self, channel, offset):
        super().take_publication(channel, offset)
        self.moved.set()

    def connection_lost(self, error):
        super().connection_lost(error)
        self.moved.set()


class Audience:
    """So many `readers`, and `deaf` ones who stop to read; `count` publications of `size` bytes are spoken."""

    def __init__(self, *, port, channel, readers, deaf=0, count=0, size=0):
        self.port, self.channel, self.count, self.size = port, channel, count, size
        self.numbers = readers, deaf
        self.readers, self.deaf = [], []

    async def come(self):
        """Everybody subscribes, and the deaf stop to read."""
        readers, deaf = self.numbers
        self.readers = [await self.subscribed(None) for _ in range(readers)]
        self.deaf = [await self.subscribed(WINDOW) for _ in range(deaf)]
        for peer in self.deaf:
            peer.transport.pause_reading()
        return {"ready": len(self.readers) + len(self.deaf)}

    async def subscribed(self, window):
        """A client of the channel."""
        peer = await Listener.connect(self.port, handshake(), window=window)
        await peer.until(lambda: peer.status)
        peer.ask("connect")
        peer.ask("subscribe", channel=self.channel)
        await peer.answered()
        return peer

    async def speak(self):
        """Publishes; who heard what of it."""
        speaker, data = self.readers[0], "x" * self.size
        first = speaker.offsets[self.channel]
        for number in range(self.count):
            # As fast as this process can read for so many, and no faster: none of them is to be slow.
            await self.until_all(first + number - AHEAD)
            speaker.ask("publish", channel=self.channel, data=data)
        await self.until_all(first + self.count)
        await speaker.answered()
        return {
            "heard_all": sum(peer.publications == self.count and not peer.gone for peer in self.readers),
            "gaps": sum(peer.gaps for peer in self.readers),
            "refused": speaker.refused,
        }

    async def until_all(self, offset):
        """Waits until every reader that is there heard the publication of this offset."""
        while any(not peer.gone and peer.offsets[self.channel] < offset for peer in self.readers):
            Listener.moved.clear()
            await Listener.moved.wait()

    async def end(self):
        """Everybody reads what is there and leaves; how their connections had ended."""
        for peer in self.deaf:
            peer.transport.resume_reading()
        everybody = [*self.readers, *self.deaf]
        for peer in everybody:
            peer.leave()
        async with asyncio.timeout(END_SECONDS):
            for peer in everybody:
                await peer.until(lambda: False)
        return {"ended": Counter(str(peer.code) for peer in everybody)}


async def main(options):
    allow_many_sockets(1000)
    audience = Audience(**options)
    print(json.dumps(await audience.come()), flush=True)
    words = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(words)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while word := (await words.readline()).decode().strip():
        print(json.dumps(await getattr(audience, word)()), flush=True)
    transport.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
