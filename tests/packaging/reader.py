"""A reader of docs/tutorial.md who does what it says: types its commands, writes its files, in their order.

What a block is for is said in its first line, as the page explains to everybody. Only the address of the site and Ann's
password are the reader's own.
"""

import http.client
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.docs.markdown import Block, code_blocks
from tests.packaging.fresh import NAME, FreshEnvironment
from tests.site import free_port

SECONDS = 60
PASSWORD = "correct horse"
INSTALL = f"mkdir tutorial\ncd tutorial\npython3 -m venv .venv\n. .venv/bin/activate\npip install {NAME}\n"
"""What is not typed: a `FreshEnvironment` with the built wheel stands for it."""
COMMENTS = {"python": ("# ", ""), "js": ("// ", ""), "css": ("/* ", " */"), "html": ("{# ", " #}")}
NAMED = re.compile(r"(?P<path>[\w./]+), (?:the (?P<whole>whole) file|at the (?P<end>end)|below (?P<line>.+))")
LEFT_RUNNING = "# leave it running"
DJANGO_ADMIN = """#!{python}
from django.core.management import execute_from_command_line

execute_from_command_line()
"""


class Unknown(Exception):
    """A block that says in no known way what to do with it."""


def wait_for(condition, what: str):
    """What `condition()` returns once that is true; AssertionError after `SECONDS`, with what was waited for."""
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s"
        time.sleep(0.02)
    return value


def named(block: Block) -> re.Match[str]:
    """The file that a block is, or is a part of. Raises `Unknown`."""
    begin, end = COMMENTS.get(block.language, ("", ""))
    if begin and block.first.startswith(begin) and block.first.endswith(end):
        said = NAMED.fullmatch(block.first.removeprefix(begin).removesuffix(end))
        if said and not said["path"].startswith("/") and ".." not in said["path"]:
            return said
    raise Unknown(f"line {block.line}: a block of {block.language!r} begins with {block.first!r}")


class Reader:
    """Follows the page in a folder of its own; `url` is where its site is."""

    def __init__(self, page: str, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.blocks = list(code_blocks(page))
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self._wheel = wheel
        self._state = folder.with_name("shell")
        self._shown = ""
        self._running: list[subprocess.Popen[bytes]] = []
        self._printed = 0
        self._python = folder

    def follow(self, text: str) -> None:
        """Does what the next blocks say, up to the first that has this text in it."""
        block = None
        while block is None or text not in block.text:
            assert self.blocks, f"no block with {text!r} is left"
            block = self.blocks.pop(0)
            if block.language in ("sh", "text"):
                self._do(block)
                continue
            files = [block]
            while text not in block.text and self.blocks and self.blocks[0].language not in ("sh", "text"):
                block = self.blocks.pop(0)
                files.append(block)
            self._save(files)

    def restarted(self) -> None:
        """Waits until the server runs the files that were written last, some Python of it among them."""

        def noticed() -> bool:
            # What was written before the server's first look at its files would be no change to it.
            self._python.touch()
            return "changed, reloading" in self.log(0)[self._printed :]

        wait_for(noticed, f"the server's notice of {self._python}")
        wait_for(lambda: "Starting ASGI" in self.log(0)[self._printed :] and self.get("/")[0], "the server's new start")

    def log(self, number: int) -> str:
        """What the command number `number` of those that are left running has printed."""
        return self.folder.with_name(f"running-{number}.log").read_text()

    def get(self, path: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of a page; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=SECONDS) as response:
                return response.status, dict(response.headers), response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read().decode()
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError):
            # It may have ended in the middle of its answer.
            return 0, {}, ""

    def close(self) -> None:
        """Ends what was left running."""
        for process in self._running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _save(self, blocks: list[Block]) -> None:
        # The server starts again when it finds a changed file; it shall find all of them.
        self._signal(signal.SIGSTOP)
        self._printed = len(self.log(0)) if self._running else 0
        for block in blocks:
            self._write(block)
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._running:
            os.killpg(self._running[0].pid, number)

    def _write(self, block: Block) -> None:
        said = named(block)
        path = self.folder / said["path"]
        if path.suffix == ".py" and path.exists():
            self._python = path
        if said["whole"]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            return
        there, added = path.read_text(), block.text.partition("\n")[2]
        if said["end"]:
            path.write_text(f"{there}\n{added}")
            return
        (found,) = re.finditer(rf"^[ ]*{re.escape(said['line'])}\n", there, re.MULTILINE)
        path.write_text(there[: found.end()] + added + there[found.end() :])

    def _do(self, block: Block) -> None:
        if block.text == INSTALL:
            self._install()
        elif block.language == "text":
            missing = [line for line in block.text.splitlines() if line not in self._shown.splitlines()]
            assert missing == [], f"{missing} is not in what was printed:\n{self._shown}"
        elif block.first == LEFT_RUNNING:
            self._leave(block.text)
        elif re.search(r"\bpip\b", block.text) or block.first.startswith("#"):
            raise Unknown(f"line {block.line}: a block of shell begins with {block.first!r}")
        else:
            self._shown = self._run(block.text)

    def _install(self) -> None:
        self.folder.mkdir()
        environment = FreshEnvironment(self.folder / ".venv", self._wheel)
        # The one script of a package that the page uses; `FreshEnvironment` makes none.
        script = self.folder / ".venv/bin/django-admin"
        script.write_text(DJANGO_ADMIN.format(python=environment.python))
        script.chmod(0o755)
        self._state.write_text(". .venv/bin/activate\n")

    def _run(self, text: str) -> str:
        kept = f"{self._typed(text)}\nexport -p > '{self._state}'"
        shell = self._shell(kept, "-e", "-o", "pipefail")
        done = subprocess.run(**shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS)
        assert done.returncode == 0, f"{text}ended with code {done.returncode}:\n{done.stdout}"
        return done.stdout

    def _leave(self, text: str) -> None:
        path = self.folder.with_name(f"running-{len(self._running)}.log")
        with path.open("wb") as log:
            process = subprocess.Popen(**self._shell(self._typed(text)), stdout=log, stderr=log, start_new_session=True)
        self._running.append(process)
        if len(self._running) == 1:
            wait_for(lambda: self.get("/")[0], f"the site\n{self.log(0)}")
        self._shown = path.read_text()

    def _typed(self, text: str) -> str:
        text = text.replace("127.0.0.1:8000", self.address)
        text = re.sub(r"(manage\.py createsuperuser\b)", r"\1 --noinput", text)
        return re.sub(r"(manage\.py runserver)$", rf"\1 {self.address}", text, flags=re.MULTILINE)

    def _shell(self, text: str, *options: str) -> dict[str, Any]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            "args": ["bash", *options, "-c", f". '{self._state}'\n{text}"],
            "cwd": self.folder,
            "env": kept | {"PYTHONUNBUFFERED": "1", "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
            "stdin": subprocess.DEVNULL,
        }
