"""A plugin that does what a test says, a store that can be held up, and who watches: for tests of the runner."""

import asyncio
import contextlib
import time

import live
from live.exceptions import EngineUnavailable
from live.node import Node
from live.plugins.runner import Runner, RunnerStats, runner_of
from live.plugins.times import Times
from live.store import ChannelOptions, MemoryStore
from tests.peers import Recorder, eventually

HISTORY = ChannelOptions(history_size=100, keep_last=True)
NOTHING = RunnerStats()
FAST = Times(lease=30.0, margin=0.5, round=0.05, look=0.05, looks=3, cancel=0.3, sources=60.0, stop=5.0)
"""A lease outlives every hiccup of a busy machine, and who stops has time to give it back; the rest goes fast."""


class Watcher(Recorder):
    """A subscriber of one channel that leaves when it is told to."""

    subscription = None

    def unsubscribe_by_server(self, channel, code, reason=""):
        if channel == self.subscription.channel and not self.subscription.ended:
            self.ended.append((channel, code, reason))
            self.place.node.hub.remove(self.subscription)


class RunRecord:
    """One start of a run."""

    def __init__(self, request, sender=None):
        self.request = request
        self.sender = sender
        self.over = False


class Probe(live.StreamPlugin):
    """Keeps a record of every start; what it then does `script(record)` says: at first it waits."""

    def __init__(self):
        self.records = []
        self.most = 0
        """Runs of one channel at once."""
        self.script = forever

    @property
    def running(self):
        return [record for record in self.records if not record.over]

    async def subscribe_stream(self, request):
        return live.StreamAnswer()

    async def run_stream(self, request, sender):
        record = RunRecord(request, sender)
        self.records.append(record)
        self.most = max(self.most, sum(each.request.channel == request.channel for each in self.running))
        try:
            await self.script(record)
        finally:
            record.over = True

    async def started(self, count):
        """Waits for so many starts; the last of them."""
        await eventually(lambda: len(self.records) >= count)
        return self.records[count - 1]


async def forever(record):
    await asyncio.get_running_loop().create_future()


class Counting:
    """A script: sends {"run": number, "n": i} again and again."""

    def __init__(self, pause=0.005):
        self.pause = pause
        self.runs = 0

    async def __call__(self, record):
        self.runs += 1
        run, n = self.runs, 0
        while True:
            await record.sender.send({"run": run, "n": n})
            n += 1
            await asyncio.sleep(self.pause)


class Ignoring:
    """A script that does not let itself be cancelled until `free` is set; then it tries to send `last`."""

    made = []
    """Those of the test that runs: each has to be set free in the end."""

    def __init__(self):
        self.made.append(self)
        self.free = asyncio.Event()
        self.cancelled = 0
        self.failure = None

    async def __call__(self, record):
        while not self.free.is_set():
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        try:
            await record.sender.send("last")
        except BaseException as error:
            self.failure = error
            raise


class GatedStore(MemoryStore):
    """A store whose methods can be held up or fail: ``hold("acquire")``, ``down = True``.

    With ``ahead = 100`` leases that were given before are over by so many seconds sooner.
    """

    def __init__(self):
        super().__init__(max_channels=1000, ttl=1000, clock=lambda: time.monotonic() + self.ahead)
        self.ahead = 0.0
        self.down = False
        self.gates = {}
        self.calls = []

    @contextlib.contextmanager
    def hold(self, method):
        """Calls of the method wait, after it was done, until the end of the block; gives an event: one waits."""
        gate, arrived = asyncio.Event(), asyncio.Event()
        self.gates[method] = gate, arrived
        try:
            yield arrived
        finally:
            gate.set()
            del self.gates[method]

    async def _pass(self, method, call):
        self.calls.append(method)
        if self.down:
            raise EngineUnavailable("the store is down")
        result = await call
        if method in self.gates:
            gate, arrived = self.gates[method]
            arrived.set()
            await gate.wait()
        return result

    async def acquire(self, *args, **kwargs):
        return await self._pass("acquire", _lazy(super().acquire, *args, **kwargs))

    async def holder(self, *args, **kwargs):
        return await self._pass("holder", _lazy(super().holder, *args, **kwargs))

    async def renew(self, *args, **kwargs):
        return await self._pass("renew", _lazy(super().renew, *args, **kwargs))

    async def release(self, *args, **kwargs):
        return await self._pass("release", _lazy(super().release, *args, **kwargs))

    async def append_many(self, *args, **kwargs):
        return await self._pass("append_many", _lazy(super().append_many, *args, **kwargs))


class _Lazy:
    """Calls when it is awaited, and is nothing that has to be awaited."""

    def __init__(self, function, args, kwargs):
        self.made = function, args, kwargs

    def __await__(self):
        function, args, kwargs = self.made
        return function(*args, **kwargs).__await__()


def _lazy(function, *args, **kwargs):
    return _Lazy(function, args, kwargs)


class Place:
    """One node with its runner, as the handler and the clients see it."""

    def __init__(self, settings, layer, store):
        self.store = store
        self.node = Node(settings=settings, layer=layer, store=store)

    @property
    def runner(self) -> Runner:
        return runner_of(self.node)

    @property
    def stats(self):
        return self.runner.stats()

    @property
    def at_rest(self):
        """Nothing is watched, and what ended has given its lease back: that comes a moment after the numbers."""
        return self.stats == NOTHING and not self.runner._turns

    async def join(self, channel, data=None):
        """Subscribes as a client does: asks the runner, then joins the hub."""
        await self.runner.watch(channel, data)
        recorder = Watcher()
        recorder.place = self
        recorder.subscription, state, _ = await self.node.subscribe(channel, recorder, HISTORY)
        self.node.release(recorder.subscription, state.position)
        self.node.clients.admit(recorder)
        return recorder

    async def leave(self, recorder):
        self.node.clients.forget(recorder)
        await self.node.unsubscribe(recorder.subscription)

    async def crash(self):
        """Ends everything as if the process had died: nothing is given back, nobody is told."""
        runner = self.runner
        runner._closed = True
        await self.node.relay.stop()
        runs = [run for entry in runner._entries.values() if (run := entry.run) is not None]
        tasks = [runner._keeper, *runner._tasks, *(run._task for run in runs)]
        for run in runs:
            run.cancelled = True
        for entry in runner._entries.values():
            runner._leases.let_go(entry)
        runner._entries.clear()
        for task in filter(None, tasks):
            task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)
