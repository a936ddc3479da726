"""Control messages on their way to the nodes, in the order in which nobody has to wait for them.

Whoever saves a user must not be held up by Redis, and must not fail with it: the messages are handed to a thread of
this process that lives while there are some. What follows each other quickly goes out together, and while the nodes
cannot be reached it is kept and tried again, so that a right taken away during an outage is gone after it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable

from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction

from live.exceptions import LiveError
from live.logs import about
from live.node import runtime
from live.node.control import ControlMessage

logger = logging.getLogger("live.access")

MAX_USERS = 1000
"""Users named in one recheck; of more, everybody is checked."""

MAX_MESSAGES = 1000
"""Other messages that wait; what exceeds it is lost, and logged."""

GATHER_SECONDS = 0.02
"""How long messages wait for others that go with them."""

SEND_SECONDS = 2.0
"""How long one attempt may take."""

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts; the last one again and again."""


def _send(message: ControlMessage) -> None:
    runtime.run(lambda node: node.control(message), timeout=SEND_SECONDS)


def _prepare_nothing() -> None:
    pass


class Notices:
    """What waits to be sent by `send`; every method returns at once, and may be called in any thread or loop.

    `prepare` is called first, while the process can still start threads.
    """

    def __init__(
        self, send: Callable[[ControlMessage], None] = _send, prepare: Callable[[], None] = _prepare_nothing
    ) -> None:
        self._send = send
        self._prepare = prepare
        self._lock = threading.Lock()
        self._users: dict[str, None] = {}
        self._everybody = False
        self._messages: dict[ControlMessage, None] = {}
        self._thread: threading.Thread | None = None

    def add(self, message: ControlMessage) -> None:
        """Sends `message`; one that waits already is not sent twice."""
        with self._lock:
            if len(self._messages) >= MAX_MESSAGES and message not in self._messages:
                logger.error(
                    "too many control messages wait for the other nodes; one to %s is lost",
                    message.action,
                    extra=_about(message),
                )
                return
            self._messages[message] = None
            self._wake()

    def recheck(self, users: Iterable[str] | None) -> None:
        """Has the permissions of these users (their ids) checked again; None: of everybody."""
        with self._lock:
            self._gather(users)
            self._wake()

    def join(self) -> None:
        """Waits until nothing is left to send, or everything was given up."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _gather(self, users: Iterable[str] | None) -> None:
        if users is not None and not self._everybody:
            self._users.update(dict.fromkeys(users))
        if users is None or len(self._users) > MAX_USERS:
            self._everybody = True
            self._users.clear()

    def _wake(self) -> None:
        if self._thread is not None:
            return
        # No daemon: a command that ends right after its save ends when the message is out.
        thread = threading.Thread(target=self._work, name="live notices")
        try:
            self._prepare()
            thread.start()
        except RuntimeError as error:
            logger.error("control messages are not sent: %s", error)
        else:
            self._thread = thread

    def _take(self) -> list[ControlMessage]:
        messages = [*self._messages]
        if self._everybody:
            messages.append(ControlMessage("recheck"))
        elif self._users:
            messages.append(ControlMessage("recheck", tuple(self._users)))
        self._messages.clear()
        self._users.clear()
        self._everybody = False
        return messages

    def _put_back(self, messages: list[ControlMessage]) -> None:
        for message in messages:
            if message.action == "recheck":
                self._gather(message.users or None)
            else:
                self._messages[message] = None

    def _work(self) -> None:
        """Sends until there is nothing left. The thread's own: it may wait."""
        failures = 0
        while True:
            time.sleep(GATHER_SECONDS)
            with self._lock:
                messages = self._take()
                if not messages:
                    self._thread = None
                    return
            error = self._send_all(messages)
            if error is None:
                if failures:
                    logger.info("control messages reach the other nodes again")
                failures = 0
                continue
            with self._lock:
                self._put_back(messages)
            if not failures:
                logger.error("control messages wait, the other nodes cannot be told: %s", error)
            if not _pause(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]):
                logger.error("%d control messages were not sent: %s", len(messages), error)
                with self._lock:
                    self._take()
                    self._thread = None
                return
            failures += 1

    def _send_all(self, messages: list[ControlMessage]) -> LiveError | None:
        """Sends `messages` and removes those that are out; why the first of the rest is not."""
        while messages:
            try:
                self._send(messages[0])
            except LiveError as error:
                return error
            except Exception:
                # A mistake of ours; with the next attempt it would be made again.
                logger.exception("the control message %s was not sent", messages[0].action, extra=_about(messages[0]))
            del messages[0]
        return None

    def forget(self) -> None:
        """Begins anew: in a forked child, whose parent sends what waits and whose thread is the parent's."""
        self.__init__(self._send, self._prepare)  # type: ignore[misc]


def _about(message: ControlMessage) -> dict[str, object]:
    user = message.users[0] if len(message.users) == 1 else ""
    return about(client=message.client, user=user, channel=message.channel, code=message.code or None)


def _pause(seconds: float) -> bool:
    """Waits; False when the process is about to end, which nothing here may delay."""
    until = time.monotonic() + seconds
    while (rest := until - time.monotonic()) > 0:
        if not threading.main_thread().is_alive():
            return False
        time.sleep(min(rest, 0.1))
    return True


notices = Notices(prepare=runtime.prepare)
"""Those of this process."""

os.register_at_fork(after_in_child=notices.forget)


def on_commit(action: Callable[[], None], using: str | None = None) -> None:
    """Calls `action` when the transaction commits, and not at all when it is rolled back."""
    try:
        transaction.on_commit(action, using=using)
    except (SynchronousOnlyOperation, transaction.TransactionManagementError):
        # Inside an event loop there is no transaction to wait for, and of one kept by hand the end cannot be known.
        action()
