"""The HTTP client of the commands: a running site's API, with patience while the site is away.

On the standard library: one kept connection, bounded retries. It never follows a redirect, which would turn a POST
into a GET, but names it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from live.commands.base import DEFAULT_URL, Console, refused, unavailable
from live.exceptions import BadData
from live.protocol import dump_json, load_json

TIMEOUT = 30.0
"""Seconds one request may take."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between tries: the first, doubled each time, up to the longest; what the site asks for comes first."""
AWAY = {429, 502, 503, 504}
"""Answers after which trying again makes sense."""
API = "/api/live"


class Answer(NamedTuple):
    """What the site answered."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def json(self) -> Any:
        """The body's value; None where it is no JSON."""
        try:
            return load_json(self.body)
        except BadData:
            return None

    @property
    def message(self) -> str:
        """The message of an error, or the status's own words."""
        answer = self.json
        message = answer.get("message") if isinstance(answer, dict) else None
        return message if isinstance(message, str) else http.client.responses.get(self.status, "unknown answer")


class Site:
    """The API of the site at `url`: its root, or the address of its API; http, https, ws and wss are the same here.

    `pause` waits between tries; it is an argument for tests.
    """

    def __init__(
        self,
        url: str,
        console: Console,
        *,
        token: str | None = None,
        retries: int = 5,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.scheme, self.host, self.port, self.root = _parse(url)
        self._token = token or os.environ.get("LIVE_TOKEN", "")
        if not (self._token.isascii() and self._token.isprintable()):
            raise refused("the token holds characters that no token has")
        self._console = console
        self._retries = retries
        self._pause = pause
        self._connection: http.client.HTTPConnection | None = None

    @classmethod
    def of(cls, options: dict[str, Any], console: Console) -> Site | None:
        """The site that a command's options name, or None."""
        if not options["url"]:
            return None
        return cls(options["url"], console, token=options["token"], retries=options["retries"])

    @property
    def address(self) -> str:
        """The site's root, for messages."""
        return f"{self.scheme}://{_netloc(self.host, self.port)}{self.root}"

    @property
    def websocket(self) -> str:
        """Where its WebSocket is."""
        return f"ws{self.scheme[4:]}://{_netloc(self.host, self.port)}{self.root}{API}/ws"

    def get(self, path: str) -> Any:
        """The value that ``GET path`` answers; raises `CommandError` for everything but 200."""
        return self._checked(self.request("GET", path))

    def post_json(self, path: str, value: Any) -> Any:
        """The value that ``POST path`` answers; raises `CommandError` for everything but 200."""
        return self._checked(self.request("POST", path, dump_json(value), "application/json"))

    def request(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> Answer:
        """The answer, whatever it is, after as many tries as it takes and may; `path` is below the API.

        Raises `CommandError` (unavailable) when the site stays away.
        """
        tries = 0
        while True:
            reason, wait = "", FIRST_PAUSE * 2 ** min(tries, 10)
            try:
                answer = self._send(method, path, body, content_type)
            except (socket.gaierror, ssl.SSLError) as error:
                self.close()
                raise unavailable(f"{self.address} cannot be reached: {error}") from None
            except (OSError, http.client.HTTPException) as error:
                self.close()
                reason = f"{self.address} cannot be reached: {str(error) or type(error).__name__}"
            else:
                if answer.status not in AWAY:
                    return answer
                reason = f"{self.address} answers {answer.status}: {answer.message}"
                with contextlib.suppress(ValueError):
                    wait = float(answer.headers.get("Retry-After", wait))
            if tries == self._retries:
                raise unavailable(reason)
            tries += 1
            wait = min(max(wait, 0.0), LONGEST_PAUSE)
            self._console.note(f"{reason}; trying again in {wait:g} s ({tries} of {self._retries})")
            self._pause(wait)

    def _send(self, method: str, path: str, body: bytes | None, content_type: str) -> Answer:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self.host, self.port, timeout=TIMEOUT)
        headers = {"User-Agent": "manage.py live", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Token {self._token}"
        if content_type:
            headers["Content-Type"] = content_type
        try:
            self._connection.request(method, f"{self.root}{API}/{path}", body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # A proxy may have answered and closed before it read the whole body.
            pass
        response = self._connection.getresponse()
        return Answer(response.status, response.read(), response.headers)

    def _checked(self, answer: Answer) -> Any:
        if answer.status != 200:
            raise self.refusal(answer)
        value = answer.json
        if value is None:
            raise refused(f"{self.address} answered no JSON; is {API} served there by live?")
        return value

    def refusal(self, answer: Answer) -> Exception:
        """The error that says what the site answered."""
        text = f"{self.address} answers {answer.status}: {answer.message}"
        if 300 <= answer.status < 400:
            text = f"{self.address} is elsewhere: {answer.headers.get('Location', '?')[:200]}"
        elif answer.status == 404 and answer.json is None:
            text += f"; are live's URLs included below {API}/ there?"
        elif answer.status in (401, 403) and not self._token:
            text += " (no token was given: --token, or LIVE_TOKEN in the environment)"
        return refused(text)

    def close(self) -> None:
        """Lets go of the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _netloc(host: str, port: int | None) -> str:
    return (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")


def _parse(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and the path of the site's root."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refused(f"{url!r} is no URL: {error}") from None
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not parts.hostname:
        raise refused(f"{url!r} is no URL of a site; one is {DEFAULT_URL}")
    root = parts.path.rstrip("/")
    for end in (f"{API}/ws", API):
        root = root.removesuffix(end)
    return scheme, parts.hostname, port, quote(root, safe="/%")
