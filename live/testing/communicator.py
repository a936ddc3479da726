"""A client in the test's own process: it speaks the protocol to the ASGI application, without a server or a socket.

The application runs in a task of its own, as it would on a server. What a test waits for has a limit in time, and when
that is over only the waiting ends: the application goes on undisturbed.
"""

# A timeout that ends the waiting alone is what this class is for.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from channels.db import database_sync_to_async
from channels.routing import get_default_application
from django.conf import settings

from live.asgi import WEBSOCKET_PATH, live_application
from live.channel import Channel
from live.node import runtime
from live.protocol import dump_json, load_json
from live.store import Position, PresenceStats
from live.testing import replies
from live.testing.isolation import stop_with_loop
from live.testing.login import make_session
from live.testing.values import CommandFailed, Disconnected, HandshakeRefused, History, Present, Publication, Subscribed
from live.users import User

T = TypeVar("T")
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

MAX_EVENTS = 1000
"""Events on their way to the application; who sends more waits."""

CLOSE_TIMEOUT = 10.0
"""Seconds the application has to end after its socket is gone."""

SHOWN = 5
"""Pushes that the message of a timeout shows."""


class LiveCommunicator:
    """One client of the site, connected as long as ``async with LiveCommunicator(user=...) as client:`` lasts.

    `user` is a saved user, who gets a session like one that has logged in; None: an anonymous visitor. `headers` are
    those of the handshake, such as ``{"Origin": "https://example.com"}``. `application` is what is spoken to; None: the
    project's ``ASGI_APPLICATION``, or where there is none `live_application()`. `path` is where it serves clients.
    `timeout` is how many seconds an answer, and whatever else the test waits for, may take, unless the call says
    otherwise; then `TimeoutError` is raised.

    Every method that waits raises `Disconnected` when the server has ended the connection, and what the application
    raised if it failed. Pings are answered by themselves.
    """

    max_unread = 10_000
    """Pushes kept for the test to read; over it the client takes nothing more, as one whose tab is stuck."""

    def __init__(
        self,
        application: Application | None = None,
        *,
        user: User | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = f"/{WEBSOCKET_PATH}",
        timeout: float = 5.0,
    ) -> None:
        self.timeout = timeout
        self.client_id = ""
        """The id that the server gave this client; "" before it is connected."""
        self.disconnection: Disconnected | None = None
        """How the server ended the connection; None while it has not."""
        self._application = application
        self._user = user
        self._headers = dict(headers or {})
        self._path = path
        self._task: asyncio.Task[None] | None = None
        self._to_application: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_EVENTS)
        self._changed = asyncio.Event()
        self._accepted = False
        self._leaving = False
        self._reason = ""
        self._number = 0
        self._wanted: set[int] = set()
        self._replies: dict[int, dict[str, Any]] = {}
        self._unread: deque[dict[str, Any]] = deque()

    async def __aenter__(self) -> Self:
        """Connects."""
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection; raises what the application raised, or notes it on what the test failed with."""
        try:
            await self.close()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"The application failed, too: {failure!r}")

    # The connection

    async def connect(self, data: Any = None) -> dict[str, Any]:
        """Opens the WebSocket and sends the connect command with `data`; returns the server's answer.

        Raises `HandshakeRefused` where the WebSocket is not accepted, and `Disconnected` where the connection is ended
        instead of answered; nothing is left behind then.
        """
        if self._task is not None:
            raise RuntimeError("this LiveCommunicator was connected already: make another one")
        application: Any = self._application or _default_application()
        scope = await self._scope()
        self._to_application.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(application(scope, self._to_application.get, self._take), name="live client")
        self._task.add_done_callback(lambda task: self._changed.set())
        try:
            await self._until(lambda: self._accepted or None, "the WebSocket was not accepted")
            if (node := runtime.current_node()) is not None:
                stop_with_loop(node)
            answer = await self._ask("connect", {} if data is None else {"data": data})
        except BaseException:
            await self._end(self._task)
            raise
        self.client_id = answer["client"]
        return answer

    async def close(self) -> None:
        """Closes the WebSocket and waits until the application has ended; raises what it raised. May be repeated."""
        if self._leaving or self._task is None:
            return
        await self._end(self._task)
        if (error := self._failure()) is not None:
            raise error

    async def disconnected(self, *, timeout: float | None = None) -> Disconnected:
        """Waits until the server has ended the connection; its `code` and `reason` are what a client is told."""
        return await self._until(lambda: self.disconnection, "the server did not end the connection", timeout)

    async def _scope(self) -> dict[str, Any]:
        headers = {name.lower(): value for name, value in self._headers.items()}
        headers.setdefault("host", "testserver")
        if self._user is not None:
            cookie = f"{settings.SESSION_COOKIE_NAME}={await database_sync_to_async(make_session)(self._user)}"
            headers["cookie"] = "; ".join(filter(None, [headers.get("cookie"), cookie]))
        return {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ["127.0.0.1", 0],
            "server": ["testserver", 80],
            "subprotocols": [],
            "extensions": {},
        }

    async def _end(self, task: asyncio.Task[None]) -> None:
        self._leaving = True
        self._changed.set()
        if not task.done():
            if self._to_application.full():
                # It reads nothing any more, so nothing that waits for it matters.
                self._to_application.get_nowait()
            self._to_application.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await asyncio.wait({task}, timeout=CLOSE_TIMEOUT)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            raise TimeoutError(f"the application still ran {CLOSE_TIMEOUT:g} s after its WebSocket was closed")
        # Looked at, or asyncio would report it as nobody's.
        self._failure()

    def _failure(self) -> BaseException | None:
        """What the application raised, if it did."""
        task = self._task
        return None if task is None or not task.done() or task.cancelled() else task.exception()

    # Commands

    async def subscribe(
        self,
        channel: Channel | str,
        *,
        data: Any = None,
        since: Position | None = None,
    ) -> Subscribed:
        """Subscribes to `channel`; `data` is handed to its handler. With `since` also asks for what was missed since.

        Raises `CommandFailed` where the server refuses.
        """
        fields: dict[str, Any] = {} if data is None else {"data": data}
        if since is not None:
            fields |= {"recover": True, "offset": since.offset, "epoch": since.epoch}
        return replies.subscribed(str(channel), await self._call("subscribe", channel, **fields))

    async def unsubscribe(self, channel: Channel | str) -> None:
        """Ends the subscription of `channel`; no error where there is none."""
        await self._call("unsubscribe", channel)

    async def publish(self, channel: Channel | str, data: Any) -> None:
        """Publishes `data` as this client; raises `CommandFailed` where the handler refuses."""
        await self._call("publish", channel, data=data)

    async def history(
        self,
        channel: Channel | str,
        *,
        since: Position | None = None,
        limit: int = -1,
        reverse: bool = False,
    ) -> History:
        """What the channel keeps: after `since`, or before it with `reverse`; at most `limit`, -1: all."""
        fields: dict[str, Any] = {"limit": limit, "reverse": reverse}
        if since is not None:
            fields["since"] = {"offset": since.offset, "epoch": since.epoch}
        return replies.history(str(channel), await self._call("history", channel, **fields))

    async def presence(self, channel: Channel | str) -> list[Present]:
        """Who is present in `channel`, in the order of client ids."""
        return replies.presence(await self._call("presence", channel))

    async def presence_stats(self, channel: Channel | str) -> PresenceStats:
        """How many clients, and how many different users, are present in `channel`."""
        answer = await self._call("presence_stats", channel)
        return PresenceStats(answer["num_clients"], answer["num_users"])

    async def _call(self, method: str, channel: Channel | str, **fields: Any) -> dict[str, Any]:
        return await self._ask(method, {"channel": str(channel), **fields})

    async def _ask(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        self._wanted.add(number)
        try:
            await self.send({"id": number, method: body})
            what = f"{method} {body.get('channel', '')}".strip()
            reply = await self._until(lambda: self._replies.get(number), f"{what} was not answered")
        finally:
            self._wanted.discard(number)
            self._replies.pop(number, None)
        if (error := reply.get("error")) is not None:
            raise CommandFailed(what, error["code"], error["message"], temporary=error.get("temporary", False))
        answer: dict[str, Any] = reply[method]
        return answer

    async def send(self, message: Mapping[str, Any] | str) -> None:
        """Sends one message of the protocol as it is, a text or JSON; for what no method of this class does."""
        if self._task is None or self._leaving:
            raise RuntimeError("this LiveCommunicator is not connected")
        text = message if isinstance(message, str) else dump_json(message).decode()
        if self.disconnection is None:
            await self._to_application.put({"type": "websocket.receive", "text": text})

    # What comes

    async def publication(self, channel: Channel | str | None = None, *, timeout: float | None = None) -> Publication:
        """The next publication, of `channel` or of any; waits for it. Other pushes stay unread."""
        name = None if channel is None else str(channel)
        found = await self._until(
            lambda: self._take_unread(lambda push: "pub" in push and name in (None, push["channel"])),
            f"no publication came{'' if name is None else f' in {name}'}",
            timeout,
        )
        return replies.publication(found["channel"], found["pub"])

    async def publications(self, channel: Channel | str | None = None) -> list[Publication]:
        """The publications that have come and were not read, of `channel` or of all; empty: none. Waits for no more.

        Everything that was published in this process before the call has come: it is on its way before the answer to a
        command, which is waited for. So an empty list says that nothing was published for this client.
        """
        # Answered without an error whatever the client may, also where there is no subscription.
        await self._call("unsubscribe", "live/testing/none")
        name = None if channel is None else str(channel)
        mine = [push for push in self._unread if "pub" in push and name in (None, push["channel"])]
        for push in mine:
            self._unread.remove(push)
        self._changed.set()
        return [replies.publication(push["channel"], push["pub"]) for push in mine]

    async def receive(self, *, timeout: float | None = None) -> dict[str, Any]:
        """The next push of any kind, as the protocol has it: ``{"channel": ..., "join": {"info": ...}}``; waits for it.

        The kinds are ``pub``, ``join``, ``leave``, ``unsubscribe`` and ``disconnect``.
        """
        return await self._until(lambda: self._take_unread(lambda push: True), "nothing came", timeout)

    def _take_unread(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        for push in self._unread:
            if wanted(push):
                # The first one that is equal is this one, or as good.
                self._unread.remove(push)
                self._changed.set()
                return push
        return None

    async def _until(self, find: Callable[[], T | None], otherwise: str, timeout: float | None = None) -> T:
        """What `find` finds, looked for whenever something comes; `otherwise` says what a timeout means."""
        if self._task is None:
            raise RuntimeError("this LiveCommunicator is not connected")
        seconds = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds) as limit:
                while (found := find()) is None:
                    self._check_alive()
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            if not limit.expired():
                # The application's own.
                raise
            raise TimeoutError(f"{otherwise} within {seconds:g} s; {self._describe_unread()}") from None

    def _check_alive(self) -> None:
        if (error := self._failure()) is not None:
            raise error
        if self.disconnection is not None:
            raise self.disconnection
        if self._leaving or (self._task is not None and self._task.done()):
            raise Disconnected(1006, "the connection is closed")

    def _describe_unread(self) -> str:
        if not self._unread:
            return "nothing else waits to be read"
        shown = ", ".join(dump_json(push).decode()[:200] for push in list(self._unread)[:SHOWN])
        return f"{len(self._unread)} pushes wait to be read: {shown}"

    # From the application

    async def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "websocket.accept":
                self._accepted = True
            case "websocket.send":
                text = event.get("text")
                for line in (event["bytes"].decode() if text is None else text).split("\n"):
                    await self._take_message(load_json(line))
            case "websocket.close" if self.disconnection is None:
                code = event.get("code", 1000)
                if self._accepted:
                    self.disconnection = Disconnected(code, self._reason or event.get("reason") or "")
                else:
                    self.disconnection = HandshakeRefused(code)
                await self._to_application.put({"type": "websocket.disconnect", "code": code})
        self._changed.set()

    async def _take_message(self, message: dict[str, Any]) -> None:
        if not message:
            await self._to_application.put({"type": "websocket.receive", "text": "{}"})
        elif "push" in message:
            await self._keep(message["push"])
        elif message.get("id") in self._wanted:
            self._replies[message["id"]] = message

    async def _keep(self, push: dict[str, Any]) -> None:
        while len(self._unread) >= self.max_unread and not self._leaving:
            self._changed.clear()
            await self._changed.wait()
        self._unread.append(push)
        # Now: what follows in the same message may have to wait until this is read.
        self._changed.set()
        self._reason = push.get("disconnect", {}).get("reason") or self._reason


def _default_application() -> Any:
    if getattr(settings, "ASGI_APPLICATION", None):
        return get_default_application()
    return live_application()
