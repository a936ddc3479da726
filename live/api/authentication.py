"""Who calls the HTTP API: a token in the Authorization header, or the session of a browser (grafana-live §2.9)."""

from __future__ import annotations

from typing import Any

from django.apps import apps
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


class LiveSessionAuthentication(SessionAuthentication):
    """Django's session, with the CSRF check."""

    def enforce_csrf(self, request: Request) -> None:
        """Refuses a request without the token in its header; `PermissionDenied`.

        Of Django's request, not DRF's: that one would parse the body as a form to look for the token there.
        """
        super().enforce_csrf(request._request)  # type: ignore[arg-type]
