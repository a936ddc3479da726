"""Running a plugin without a runner: a sender that keeps what it is given and ends the run when it has enough."""

import asyncio

import live


class Enough(Exception):
    """What ends a run."""


class Collector:
    """Stands in for the runner's sender; `values` is what was sent, the last one wanted ends the run."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.values = []
        self.arrived = asyncio.Event()

    async def send(self, value):
        await asyncio.sleep(0)
        self.values.append(value)
        self.arrived.set()
        if len(self.values) == self.wanted:
            raise Enough

    async def wait(self, condition):
        """Waits until `condition()` holds; looked at whenever something is sent. The test's timeout bounds it."""
        while not condition():
            self.arrived.clear()
            await self.arrived.wait()


def request(channel, *, data=None, **settings):
    """A request about `channel`; with settings, of a data source that has them."""
    channel = live.Channel.parse(channel)
    source = live.DataSource(channel.namespace, "x", settings) if channel.scope == "ds" else None
    return live.StreamRequest(channel, data, source=source)


async def collect(plugin, asked, wanted):
    """The first so many values of the plugin's run."""
    sender = Collector(wanted)
    try:
        await plugin.run_stream(asked, sender)
    except Enough:
        return sender.values
    raise AssertionError(f"the run ended after {len(sender.values)} values")


def columns(frame):
    """The frame's values by column."""
    return {field.name: field.values for field in frame.fields}
