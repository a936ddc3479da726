"""A TCP connection to a site that can be cut, as a network does: what is on its way then is lost."""

import asyncio
import contextlib


class Cable:
    """Passes bytes between clients and `port`; between `cut` and `mend` nobody gets through."""

    def __init__(self, port):
        self.target = port
        self.ends = set()
        self.whole = True

    async def __aenter__(self):
        self.tasks = set()
        self.server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.ws_url = f"ws://127.0.0.1:{self.port}/api/live/ws"
        return self

    async def __aexit__(self, *exc_info):
        self.server.close()
        self._abort()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.wait_closed()

    def cut(self):
        """Every connection is gone at once, and new ones are refused."""
        self.whole = False
        self._abort()

    def mend(self):
        """New connections get through again."""
        self.whole = True

    def _abort(self):
        for end in self.ends:
            end.transport.abort()

    async def _join(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        if not self.whole:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        ends = {writer, far_writer}
        self.ends |= ends
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self.ends -= ends
        for end in ends:
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _pass(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
