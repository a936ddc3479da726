"""Who may use the HTTP API."""

from __future__ import annotations

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from live.channel import Channel
from live.conf import live_settings
from live.exceptions import InvalidChannel
from live.handlers import find_handler
from live.handlers.stream import PUSH, SCOPE, StreamHandler, has_push_permission
from live.users import User

MAY_NOT_PUSH = f"pushing needs the permission {PUSH}"


async def may_push(user: User, stream_id: str) -> bool:
    """Whether `user` may push to the stream: what its handler's `can_push` says.

    A stream id that no channel can have is nobody's; then the permission ``live.push`` decides whether the user is told
    so. Raises `UnknownChannel` where streams have no handler, and what the handler raises.
    """
    try:
        handler = find_handler(Channel(SCOPE, stream_id, "-"))
    except InvalidChannel:
        return await has_push_permission(user)
    if isinstance(handler, StreamHandler):
        return await handler.can_push(user, stream_id)
    return await has_push_permission(user)


class MayConnect(BasePermission):
    """Whoever may open the WebSocket: who is logged in, and anybody where ``LIVE["ALLOW_ANONYMOUS"]``."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the user may."""
        return live_settings.allow_anonymous or _is_authenticated(request)


def _is_authenticated(request: Request) -> bool:
    # A project may have told DRF that a visitor's user is None.
    return getattr(request.user, "is_authenticated", False)
