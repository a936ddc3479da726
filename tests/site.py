"""A real site for tests: daphne in a process of its own, on a free port, with a database of its own."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import websockets

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
TOKEN = "SELECT key FROM authtoken_token JOIN auth_user ON user_id = id WHERE username = 'demo'"
MADE = ("db.sqlite3", "secret_key", "logs/activity.log")
"""The files that `Site.make_database` leaves in a site's folder."""
_prepared = {}
"""Their contents by their names, for each settings module."""


def free_port():
    """A port that nobody listens on, and that nobody else gets until this process ends, also while nobody listens.

    Servers bind it all the same: they set SO_REUSEADDR, as the socket does that keeps it. Only Linux lets them.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port = keeper.getsockname()[1]
        if sys.platform == "linux":
            # Stays open.
            keeper.detach()
        return port


class Site:
    """The demo site under daphne; `var` is its folder, `live` changes the ``LIVE`` settings."""

    daphne_options = ()

    def __init__(self, var: Path, **live):
        self.var = var
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/api/live/ws"
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LIVE_VAR": str(var),
            "LIVE_TEST_SETTINGS": json.dumps(live),
            "PYTHONUNBUFFERED": "1",
        }
        self.log_path = var / "daphne.log"
        self.process = None
        self._token = None

    def manage(self, *arguments):
        """Runs manage.py with the site's settings; its output."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.env, check=True, capture_output=True, text=True, timeout=50
        ).stdout

    def prepare(self):
        """Gives it the database with the demo's user and dashboards: made for the first site, copied for the others."""
        settings = self.env["DJANGO_SETTINGS_MODULE"]
        if settings not in _prepared:
            self.make_database()
            made = [name for name in MADE if (self.var / name).exists()]
            _prepared[settings] = {name: (self.var / name).read_bytes() for name in made}
        for name, content in _prepared[settings].items():
            (self.var / name).parent.mkdir(exist_ok=True)
            (self.var / name).write_bytes(content)

    def make_database(self):
        """What `prepare` runs."""
        self.manage("migrate", "--verbosity=0")
        self.manage("seed_demo")

    @property
    def token(self):
        """The demo user's push token."""
        if self._token is None:
            with contextlib.closing(sqlite3.connect(self.var / "db.sqlite3")) as database:
                (self._token,) = database.execute(TOKEN).fetchone()
        return self._token

    def command(self):
        """What starts the server."""
        endpoint = f"tcp:port={self.port}:interface=127.0.0.1:backlog=1024"
        command = [sys.executable, "-m", "daphne", "-e", endpoint, "--no-server-name"]
        return [*command, *self.daphne_options, "project.asgi:application"]

    def start(self):
        """Starts daphne and waits until it answers."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=ROOT, env=self.env, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the site did not start:\n{self.log}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self, how=signal.SIGTERM):
        """Ends daphne and waits for its end."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            self.process = None

    @property
    def log(self):
        """What the site printed so far."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def request(self, method, path, body=None, **headers):
        """One HTTP request; (status, body)."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def push(self, stream_id, body, token=None, **headers):
        """Pushes line protocol as an agent does; (status, body)."""
        authorization = {"Authorization": f"Token {self.token if token is None else token}"}
        return self.request("POST", f"/api/live/push/{stream_id}", body, **authorization, **headers)

    @contextlib.asynccontextmanager
    async def connect(self, *, hello=True, cookie="", path="", **kwargs):
        """A raw WebSocket to the site, connected to Live unless `hello` is False."""
        headers = {"Cookie": cookie} if cookie else {}
        headers.update(kwargs.pop("headers", {}))
        url = self.ws_url if not path else f"ws://127.0.0.1:{self.port}{path}"
        async with websockets.connect(url, additional_headers=headers, max_size=None, **kwargs) as ws:
            peer = WirePeer(ws)
            if hello:
                await peer.ask({"connect": {"name": "test"}})
            yield peer


class WirePeer:
    """The client's end of a raw connection: commands out, replies and pushes in."""

    def __init__(self, ws):
        self.ws = ws
        self.last_id = 0
        self.waiting = []

    async def send(self, *commands):
        """Sends commands in one message, giving ids to those that have none; the last id."""
        lines = []
        for command in commands:
            if isinstance(command, dict) and command and "id" not in command:
                self.last_id += 1
                command = {"id": self.last_id, **command}
            lines.append(command if isinstance(command, str) else json.dumps(command))
        await self.ws.send("\n".join(lines))
        return self.last_id

    async def receive(self):
        """The next reply or push; pings are answered on the way."""
        while not self.waiting:
            message = await asyncio.wait_for(self.ws.recv(), 20)
            lines = [json.loads(line) for line in message.split("\n")]
            # A ping may be joined with what else there is to say.
            self.waiting = [line for line in lines if line != {}]
            if len(self.waiting) < len(lines):
                await self.ws.send("{}")
        return self.waiting.pop(0)

    async def ask(self, command):
        """Sends one command and returns its reply; pushes in between are skipped."""
        number = await self.send(command)
        while True:
            reply = await self.receive()
            if reply.get("id") == number:
                return reply

    async def subscribe(self, channel, **fields):
        """The reply to subscribe."""
        return await self.ask({"subscribe": {"channel": channel, **fields}})

    async def publication(self):
        """The next publication."""
        while True:
            push = (await self.receive()).get("push", {})
            if "pub" in push:
                return push["pub"]

    async def closed(self):
        """Waits for the end; (close code, the disconnect push before it or None)."""
        push = None
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                push = (await self.receive()).get("push", {}).get("disconnect") or push
        return self.ws.close_code, push
