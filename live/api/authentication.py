"""Who calls the HTTP API: a token in the Authorization header, or the session of a browser (grafana-live §2.9)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from rest_framework.authentication import SessionAuthentication, TokenAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class LiveTokenAuthentication(TokenAuthentication):
    """DRF's tokens as ``Token <key>`` and as ``Bearer <key>``; nobody where ``rest_framework.authtoken`` is missing.

    Has to be the first class of a view: its challenge is what turns "not authenticated" into 401.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """The token's user; None without such a header; raises `AuthenticationFailed` for a wrong one."""
        if not apps.is_installed("rest_framework.authtoken"):
            return None
        if get_authorization_header(request)[:7].lower() == b"bearer ":
            self.keyword = "Bearer"
        return super().authenticate(request)

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        """The user of `key`."""
        # Not every database takes every character: PostgreSQL raises for a NUL.
        if not (key.isascii() and key.isprintable()):
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(key)

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401."""
        return 'Token realm="live", Bearer realm="live"'


class RecentTokens:
    """Users by the Authorization header they came with, each for `SECONDS` after it was checked.

    A sender of metrics comes many times a second, and to ask the database about its token and its permissions (which
    Django keeps with the user object) takes longer than the push. So a token that was deleted, a user that was
    deactivated and a permission that was taken away count for `SECONDS` more, never longer. Bounded: the oldest goes.
    """

    SECONDS = 5.0
    SIZE = 1024

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, Any, Any]] = OrderedDict()
        self._refreshing: set[bytes] = set()
        self._lock = threading.Lock()

    def get(self, header: bytes) -> tuple[Any, Any] | None:
        """The user and the token; None where they have to be looked up."""
        entry = self._entries.get(header)
        if entry is None or self._clock() >= entry[0]:
            return None
        return entry[1], entry[2]

    def put(self, header: bytes, user: Any, token: Any, asked: float) -> None:
        """`header` was found to be that user's; `asked` is the `now()` from before the database was asked."""
        with self._lock:
            self._entries.pop(header, None)
            self._entries[header] = (asked + self.SECONDS, user, token)
            while len(self._entries) > self.SIZE:
                self._entries.popitem(last=False)

    def grows_old(self, header: bytes) -> bool:
        """Whether it is time to check the token again, before it is forgotten; says so to one caller only."""
        with self._lock:
            entry = self._entries.get(header)
            if entry is None or header in self._refreshing or self._clock() < entry[0] - self.SECONDS / 2:
                return False
            self._refreshing.add(header)
            return True

    def forget(self, header: bytes) -> None:
        """The token is not good any more."""
        with self._lock:
            self._entries.pop(header, None)

    def refreshed(self, header: bytes) -> None:
        """What `grows_old` asked for is done."""
        with self._lock:
            self._refreshing.discard(header)

    def now(self) -> float:
        """The clock's time, for `put`."""
        return self._clock()

    def clear(self) -> None:
        """Forgets all of them."""
        with self._lock:
            self._entries.clear()


recent_tokens = RecentTokens()


def find_user(header: bytes) -> tuple[Any, Any] | None:
    """The user and the token of an Authorization header; None where it names no token.

    Asks the database, so not on an event loop. Raises `AuthenticationFailed` for a wrong token.
    """
    return recent_tokens.get(header) or _ask(header)


def _ask(header: bytes, learn: Callable[[Any], object] = lambda user: None) -> tuple[Any, Any] | None:
    asked = recent_tokens.now()
    request = HttpRequest()
    request.META["HTTP_AUTHORIZATION"] = header
    found = LiveTokenAuthentication().authenticate(Request(request))
    if found is not None:
        learn(found[0])
        recent_tokens.put(header, *found, asked)
    return found


def check_again(header: bytes, learn: Callable[[Any], object]) -> None:
    """Asks the database about a token that `grows_old`; `learn` asks what else will be wanted of its user."""
    try:
        _ask(header, learn)
    except AuthenticationFailed:
        recent_tokens.forget(header)
    finally:
        recent_tokens.refreshed(header)


class LiveSessionAuthentication(SessionAuthentication):
    """Django's session, with the CSRF check."""

    def enforce_csrf(self, request: Request) -> None:
        """Refuses a request without the token in its header; `PermissionDenied`.

        Of Django's request, not DRF's: that one would parse the body as a form to look for the token there.
        """
        super().enforce_csrf(request._request)  # type: ignore[arg-type]
