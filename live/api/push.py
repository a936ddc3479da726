"""``POST push/<stream id>``: metrics come in as Influx line protocol (grafana-live §2.2).

The view is asynchronous and asks nothing of a thread while the sender is known: a push of a few lines is worth less
than the hops between threads that a synchronous view costs under ASGI.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import NotAuthenticated, PermissionDenied, Throttled
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from live.api.authentication import check_again, recent_tokens
from live.api.base import LiveAPIView
from live.api.body import is_gzip, read_body
from live.api.ingest import Push, PushOptions, prepare_aside, publish_push
from live.api.permissions import MAY_NOT_PUSH, may_push
from live.api.throttling import PushThrottle, push_rate
from live.conf import live_settings
from live.handlers.stream import learn_push_permission
from live.node import current_node
from live.users import User


class PushView(LiveAPIView):
    """Line protocol -> one frame per measurement -> ``stream/<stream id>/<measurement>``.

    All or nothing, unless with ``?partial=1``. 200 with an empty body; 400 with the wrong lines, 401, 403, 413, 415,
    429; 503 with Retry-After when publishing failed, so that the sender keeps its batch.
    """

    # `post` asks the stream's handler; this is what it begins with, and what a description of the API may say.
    permission_classes = [IsAuthenticated]
    http_method_names = ["post"]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """The view; Django refuses async ones under ATOMIC_REQUESTS, and this one has nothing to roll back."""
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """What `APIView.dispatch` does, with `await`."""
        self.args, self.kwargs = args, kwargs
        drf_request = self.initialize_request(request, *args, **kwargs)
        self.request = drf_request
        self.headers = self.default_response_headers
        response: HttpResponseBase
        try:
            if request.method != "POST":
                self.http_method_not_allowed(drf_request)
            response = await self.post(drf_request, *args, **kwargs)
        except Exception as error:
            response = self.handle_exception(error)
        self.response = self.finalize_response(drf_request, response, *args, **kwargs)  # type: ignore[arg-type]
        return self.response

    async def post(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Publishes the body's lines."""
        stream_id, query = self.read_target(request, **kwargs)
        user = await _authenticate(request)
        if not await may_push(user, stream_id):
            raise PermissionDenied(MAY_NOT_PUSH)
        await throttle(user)
        options = PushOptions.read(stream_id, query)
        gzip = is_gzip(request._request)
        body = read_body(request._request, live_settings.push_max_bytes)
        push = await prepare_aside(body, options, gzip=gzip)
        await publish_push(push)
        return self.answer(push, options)

    def read_target(self, request: Request, **kwargs: Any) -> tuple[str, Mapping[str, str]]:
        """The stream id, unchecked, and the parameters."""
        return kwargs["stream_id"], request.query_params

    def answer(self, push: Push, options: PushOptions) -> HttpResponse:
        """What the sender is told when all went well."""
        if not options.partial:
            return HttpResponse()
        errors = [error.as_dict() for error in push.errors]
        body = {"accepted": push.accepted, "rejected": push.rejected, "errors": errors}
        return HttpResponse(orjson.dumps(body), content_type="application/json")


async def _authenticate(request: Request) -> User:
    """The request's user; raises `NotAuthenticated` and what the authenticators raise."""
    header = get_authorization_header(request)
    known = recent_tokens.get(header)
    # The node first: who is told that the token grows old has to check it.
    if known and (node := current_node()) is not None and recent_tokens.grows_old(header):
        # In time, so that a sender that comes often never waits for the database. In an empty context: the request's
        # brings a thread that ends with the request.
        again = database_sync_to_async(check_again)(header, learn_push_permission)
        Context().run(node.spawn, again, "checking a token again")
    user: Any = known[0] if known else await sync_to_async(_look_up)(request, header)
    # A project may have told DRF that a visitor's user is None.
    if user is None or not user.is_authenticated:
        raise NotAuthenticated
    return user  # type: ignore[no-any-return]


def _look_up(request: Request, header: bytes) -> Any:
    asked = recent_tokens.now()
    user: Any = request.user
    # A session's user is looked up at the first access.
    authenticated = user is not None and user.is_authenticated
    if authenticated and request.auth is not None:
        recent_tokens.put(header, user, request.auth, asked)
    return user


async def throttle(user: User) -> None:
    """Raises `Throttled` when `user` pushed as often as the project allows."""
    if push_rate() is not None:
        await sync_to_async(_throttle)(user)


def _throttle(user: User) -> None:
    request = Request(HttpRequest())
    request.user = user  # type: ignore[assignment]
    limit = PushThrottle()
    if not limit.allow_request(request, None):  # type: ignore[arg-type]
        raise Throttled(limit.wait())
