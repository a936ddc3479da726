"""``manage.py live listen CHANNEL...``: the publications of a running site, one a line."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import CommandError

from live.commands.base import DEFAULT_URL, Console, Subcommand, positive, refused, unavailable
from live.commands.site import Site
from live.exceptions import ErrorCode, UnsubscribeCode
from live.protocol import dump_json, load_json

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_SESSION = re.compile(r"[A-Za-z0-9_:.=-]+")
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 1.0
MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one message; a site sends far less."""


class Listen(Subcommand):
    """Over the WebSocket, so it hears what a page would hear, whatever channel layer the site has."""

    name = "listen"
    help = "print the publications of channels of a running site"
    examples = """\
examples:
  manage.py live listen stream/host/cpu stream/host/mem
  manage.py live listen grafana/broadcast/hall --count 1 --json | jq .data
  manage.py live listen chat/team/room --url https://live.example.com --session <sessionid cookie>

A line is the channel and the data, or with --json an object with channel, data, and offset where there is history.
Ctrl-C ends it (exit code 130). Needs the package websockets: pip install 'channels-live[cli]'."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""
        parser.add_argument("channels", metavar="CHANNEL", nargs="+", help="scope/namespace/path")
        parser.add_argument("--url", default=DEFAULT_URL, metavar="URL", help=f"where the site is ({DEFAULT_URL})")
        parser.add_argument("--session", default="", metavar="KEY", help="listen as the user of this session cookie")
        parser.add_argument("--count", type=positive, metavar="N", help="end after N lines")
        parser.add_argument("--initial", action="store_true", help="print what a new subscriber gets first as well")
        parser.add_argument("--json", action="store_true", help="print JSON objects")

    def run(self, options: dict[str, Any], console: Console) -> None:
        """Prints until it is interrupted, or has printed enough."""
        try:
            from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
            from websockets.sync.client import connect
        except ImportError:
            raise refused("listening needs the package websockets: pip install 'channels-live[cli]'") from None
        site = Site(options["url"], console, token="")
        session = options["session"]
        if session and not _SESSION.fullmatch(session):
            raise refused("the session key holds characters that no key has")
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"} if session else {}
        try:
            with connect(
                site.websocket,
                additional_headers=cookie,
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
                max_size=MAX_MESSAGE,
                proxy=None,
            ) as socket:
                Listener(socket, options, console, site.address).listen()
        except ConnectionClosed as error:
            raise unavailable(f"the connection to {site.address} ended: {error}") from None
        except InvalidStatus as error:
            status = error.response.status_code
            text = f"{site.websocket} answers {status}"
            raise (unavailable(text) if status >= 500 else refused(text)) from None
        except InvalidHandshake as error:
            raise refused(f"{site.websocket} is no WebSocket of live: {error}") from None
        except OSError as error:
            raise unavailable(f"{site.address} cannot be reached: {error}") from None


class Listener:
    """One connection: the commands that wait for their replies, and the lines printed so far."""

    def __init__(self, socket: ClientConnection, options: dict[str, Any], console: Console, address: str) -> None:
        self._socket = socket
        self._channels: list[str] = list(dict.fromkeys(options["channels"]))
        self._as_json: bool = options["json"]
        self._initial: bool = options["initial"]
        self._left: int | None = options["count"]
        self._console = console
        self._address = address
        self._id = 0
        self._waiting: dict[int, str] = {}
        self._missing = set(self._channels)

    def listen(self) -> None:
        """Subscribes and prints; returns when enough was printed. Raises `CommandError` and websockets' errors."""
        self._send({"connect": {"name": "manage.py live"}})
        for channel in self._channels:
            self._subscribe(channel)
        while self._left != 0:
            message = self._socket.recv()
            text = message if isinstance(message, str) else message.decode()
            # Not splitlines(), which also takes what may stand in JSON, such as U+2028, for the end of a line.
            for line in text.split("\n"):
                if line and self._left != 0:
                    value = load_json(line)
                    if not isinstance(value, dict):
                        raise refused(f"{self._address} does not speak live's protocol")
                    self._take(value)

    def _send(self, command: dict[str, Any]) -> None:
        self._id += 1
        self._socket.send(dump_json({"id": self._id, **command}).decode())

    def _subscribe(self, channel: str) -> None:
        self._send({"subscribe": {"channel": channel}})
        self._waiting[self._id] = channel

    def _take(self, message: dict[str, Any]) -> None:
        if not message:
            self._socket.send("{}")
        elif "push" in message:
            self._take_push(message["push"])
        else:
            channel = self._waiting.pop(message.get("id", 0), "")
            if error := message.get("error"):
                raise _failure(f"{channel or self._address}: {error['code']} {error['message']}", error)
            if channel:
                self._subscribed(channel, message.get("subscribe", {}))

    def _subscribed(self, channel: str, reply: dict[str, Any]) -> None:
        first_time = channel in self._missing
        self._missing.discard(channel)
        if first_time and not self._missing:
            self._console.note(f"listening to {', '.join(self._channels)} of {self._address}")
        if self._initial and "data" in reply:
            self._print(channel, {**reply, "initial": True})

    def _take_push(self, push: dict[str, Any]) -> None:
        channel = push.get("channel", "")
        if "pub" in push:
            self._print(channel, push["pub"])
        elif "disconnect" in push:
            reason = push["disconnect"]
            code = reason["code"]
            text = f"{self._address} ended the connection: {code} {reason['reason']}"
            # These codes tell clients not to come back.
            raise refused(text) if 3500 <= code < 4000 or 4500 <= code < 5000 else unavailable(text)
        elif "unsubscribe" in push:
            reason = push["unsubscribe"]
            if reason["code"] < UnsubscribeCode.INSUFFICIENT_STATE:
                raise refused(f"{channel}: the site ended the subscription: {reason['code']} {reason['reason']}")
            self._console.note(f"{channel}: publications were missed ({reason['reason']}); subscribing again")
            self._subscribe(channel)

    def _print(self, channel: str, publication: dict[str, Any]) -> None:
        if self._left == 0:
            return
        if self._as_json:
            shown = {key: publication[key] for key in ("data", "offset", "info", "initial") if key in publication}
            text = dump_json({"channel": channel, **shown}).decode()
        else:
            text = f"{channel} {dump_json(publication['data']).decode()}"
        self._console.line(text)
        if self._left is not None:
            self._left -= 1


def _failure(text: str, error: dict[str, Any]) -> CommandError:
    temporary = error.get("temporary") or error["code"] == ErrorCode.INTERNAL
    return unavailable(text) if temporary else refused(text)
