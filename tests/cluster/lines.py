"""Scripts that these tests start and talk to: one JSON object a line in, one a line out."""

import json
import queue
import subprocess
import sys
import threading
import time

from tests.site import ROOT

STOP_SECONDS = 5


def say(**words):
    """What a script tells its test."""
    print(json.dumps(words), flush=True)


def hear():
    """The next object that a script is told by its test; None when there is no more."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


class Script:
    """A running ``python -m <module>``; what it prints beside its objects goes to `log_path`."""

    def __init__(self, module, arguments, env, log_path):
        self.module = module
        self.log_path = log_path
        self.said = queue.Queue()
        self.waiting = []
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.put(json.loads(line))
        self.said.put(None)

    def tell(self, **words):
        """Sends one object."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def expect(self, name, seconds=60, least=None):
        """Waits for an object with this key, at least so large where that is said; its value. Others are skipped."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                words = self.said.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"{self.module} did not say {name!r} in {seconds} s:\n{self.log}") from None
            if words is None:
                raise RuntimeError(f"{self.module} ended:\n{self.log}")
            if name in words and (least is None or words[name] >= least):
                return words[name]

    def stop(self):
        """Ends it, with what it was doing."""
        self.process.kill()
        self.process.wait()
        self.reader.join(STOP_SECONDS)
        self.process.stdin.close()
        self.process.stdout.close()

    @property
    def log(self):
        """What it printed beside its objects."""
        return self.log_path.read_text(errors="replace")
