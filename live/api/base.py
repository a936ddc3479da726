"""What all views of the HTTP API share: nothing of the project's ``REST_FRAMEWORK`` settings, and errors as JSON.

Every error is ``{"message": ...}``, with ``errors`` where there is a list of them. What a client sent never makes a
traceback; what goes wrong on our side still does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, QueryDict, UnreadablePostError
from django.utils.datastructures import MultiValueDict
from rest_framework import exceptions, status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback

from live.api.authentication import LiveSessionAuthentication, LiveTokenAuthentication
from live.exceptions import ErrorCode, LiveError, PublicationTooLarge
from live.frames import InvalidLineProtocol, LineError
from live.logs import about
from live.node import runtime

logger = logging.getLogger("live.api")

RETRY_AFTER = 5
"""Seconds after which a sender may try again when the engine is down."""

_STATUS = {
    ErrorCode.UNKNOWN_CHANNEL: 404,
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.INVALID_CHANNEL: 400,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told that did something wrong, or came at a bad time."""

    status: int
    """The HTTP status."""
    message: str
    errors: Sequence[LineError] = ()
    """The wrong lines of a push."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As JSON."""
        body: dict[str, Any] = {"message": self.message}
        if self.errors:
            body["errors"] = [error.as_dict() for error in self.errors]
        return body


class PayloadTooLarge(exceptions.APIException):
    """The body is larger than allowed."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class LengthRequired(exceptions.APIException):
    """The server cannot read a body without its length."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"


class UnsupportedEncoding(exceptions.APIException):
    """The body is compressed in a way that is not understood."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_encoding"


class FirstRenderer(DefaultContentNegotiation):
    """Always the view's first renderer: senders of metrics ask for all sorts of types and expect none."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first."""
        return renderers[0], renderers[0].media_type


class LiveAPIView(APIView):
    """The base of the views; says everything itself that DRF would otherwise take from the project's settings."""

    authentication_classes = [LiveTokenAuthentication, LiveSessionAuthentication]
    renderer_classes = [JSONRenderer]
    parser_classes = []
    throttle_classes = []
    content_negotiation_class = FirstRenderer
    versioning_class = None
    metadata_class = None
    http_method_names = ["get", "head", "post"]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """The request, whose body nobody may take for a form: the CSRF check would look for a token in it."""
        if not hasattr(request, "_post"):
            request._post = QueryDict()  # type: ignore[attr-defined]
            request._files = MultiValueDict()  # type: ignore[attr-defined]
        return super().initialize_request(request, *args, **kwargs)

    def error_body(self, refusal: Refusal) -> dict[str, Any]:
        """The JSON of an error, for APIs whose errors have another form."""
        return refusal.body()

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """Ours, whatever the project's is."""
        return answer_error


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to what a view raised; None for what is our fault, which then becomes a 500 as everywhere."""
    refusal = find_refusal(error)
    if refusal is None:
        return None
    if refusal.status == 503:
        logger.warning("answered 503: %s", refusal.message, extra=about(node=runtime.node_id()))
    set_rollback()
    view = context.get("view")
    body = view.error_body(refusal) if isinstance(view, LiveAPIView) else refusal.body()
    return Response(body, status=refusal.status, headers=refusal.headers)


def find_refusal(error: Exception) -> Refusal | None:
    """How `error` is told to whoever caused it, or has to wait for its end; None for what is our fault."""
    if isinstance(error, InvalidLineProtocol):
        return Refusal(400, error.message, error.errors)
    if isinstance(error, PublicationTooLarge):
        return Refusal(413, error.message)
    if isinstance(error, LiveError):
        if error.temporary:
            return Refusal(503, error.message, headers={"Retry-After": str(RETRY_AFTER)})
        code = _STATUS.get(error.code)
        return None if code is None else Refusal(code, error.message)
    if isinstance(error, exceptions.APIException):
        return Refusal(error.status_code, str(error.detail), headers=_headers(error))
    if isinstance(error, Http404):
        return Refusal(404, "not found")
    if isinstance(error, PermissionDenied):
        return Refusal(403, "forbidden")
    if isinstance(error, (SuspiciousOperation, UnreadablePostError)):
        # Too many parameters, an upload that broke off ...
        return Refusal(400, "bad request")
    return None


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(ceil(wait))
    return headers
