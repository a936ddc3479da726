"""Many clients in a process of their own: what a test starts, tells and hears of it.

The programs beside this module are run with ``python -m``, so what they import here stays little.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent


class Crowd:
    """A running program of this folder; it says JSON, line by line, and is told words."""

    def __init__(self, process):
        self.process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, program, **options):
        """Starts `program`, and ends it when the test has not seen its end."""
        # None of `live` runs there: it need not be measured, which takes its time.
        env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", f"tests.integration.crowd.{program}", json.dumps(options)],
            cwd=ROOT,
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            process.stdin.close()
            await process.wait()

    async def hear(self):
        """The next thing it says."""
        line = await self.process.stdout.readline()
        assert line, f"the crowd ended with code {await self.process.wait()}"
        return json.loads(line)

    def tell(self, word):
        """Says a word to it."""
        self.process.stdin.write(word.encode() + b"\n")

    def stop(self):
        """Stops the process where it stands: its connections stay open, and nobody is at their other ends."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Goes on after `stop`."""
        self.process.send_signal(signal.SIGCONT)
