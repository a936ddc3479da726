"""How often somebody may push: the project's rate for the scope ``live-push``; without one there is no limit."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

SCOPE = "live-push"


def push_rate() -> str | None:
    """``REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["live-push"]``, as "100/second"; None: no limit."""
    rate: Any = api_settings.DEFAULT_THROTTLE_RATES.get(SCOPE)
    return rate  # type: ignore[no-any-return]


class PushThrottle(SimpleRateThrottle):
    """Pushes of one user, over HTTP and WebSocket, to whatever stream. Keeps its count in Django's cache."""

    scope = SCOPE

    def get_rate(self) -> str | None:
        """As the settings are now."""
        return push_rate()

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """One for each user."""
        return self.key_of(request.user)

    def key_of(self, user: Any) -> str:
        """Where the user's count is kept."""
        return self.cache_format % {"scope": self.scope, "ident": user.pk}
