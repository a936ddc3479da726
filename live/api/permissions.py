"""Who may use the HTTP API."""

from __future__ import annotations

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from live.conf import live_settings

PUSH = "live.push"


class MayPush(BasePermission):
    """Users with the permission ``live.push``."""

    message = f"pushing needs the permission {PUSH}"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the user has it."""
        return _is_authenticated(request) and request.user.has_perm(PUSH)


class MayConnect(BasePermission):
    """Whoever may open the WebSocket: who is logged in, and anybody where ``LIVE["ALLOW_ANONYMOUS"]``."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the user may."""
        return live_settings.allow_anonymous or _is_authenticated(request)


def _is_authenticated(request: Request) -> bool:
    # A project may have told DRF that a visitor's user is None.
    return getattr(request.user, "is_authenticated", False)
