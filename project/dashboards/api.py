"""The API of dashboards: everybody reads, model permissions decide who writes, no write is lost."""

import re

from django.http import Http404
from rest_framework import pagination, permissions, status, viewsets
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response

import live

from .changes import StaleVersion, save_change
from .models import Dashboard
from .serializers import DashboardSerializer

SESSION_HEADER = "X-Live-Session"
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{0,64}")
MAX_BODY = 512 * 1024
"""Bytes of one request; the largest valid dashboard is well below."""


class TooLarge(APIException):
    """The body is larger than any valid dashboard."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"A dashboard has at most {MAX_BODY // 1024} KiB."


class DashboardPagination(pagination.LimitOffsetPagination):
    """100 dashboards a page, so that the answer stays bounded."""

    default_limit = 100
    max_limit = 100


class DashboardViewSet(viewsets.ModelViewSet):
    """List, read, create, change and delete dashboards.

    PUT and PATCH must carry the `version` of the state they are based on: missing answers 400, stale answers 409 with
    `{"detail": ..., "current": <the dashboard as stored>}`. The header `X-Live-Session` names the tab that writes, so
    that it can ignore its own event.
    """

    queryset = Dashboard.objects.select_related("updated_by")
    serializer_class = DashboardSerializer
    permission_classes = [permissions.DjangoModelPermissionsOrAnonReadOnly]
    pagination_class = DashboardPagination
    lookup_field = "uid"
    lookup_value_regex = "[A-Za-z0-9_-]+"

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY:
            raise TooLarge
        self.session_id = request.headers.get(SESSION_HEADER, "")
        if not _SESSION_ID.fullmatch(self.session_id):
            raise ValidationError({SESSION_HEADER: ["must be at most 64 letters, digits, - or _"]})

    def perform_create(self, serializer):
        serializer.validated_data.pop("version", None)
        with live.changed_by(user=self.request.user, session_id=self.session_id):
            serializer.save(updated_by=self.request.user)

    def update(self, request, *args, **kwargs):
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=kwargs.get("partial", False))
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        try:
            dashboard = save_change(
                kwargs["uid"], values.pop("version"), user=request.user, session_id=self.session_id, **values
            )
        except Dashboard.DoesNotExist as error:
            raise Http404 from error
        except StaleVersion as stale:
            message = f"Somebody saved this dashboard before you; it is at version {stale.current.version} now."
            return Response(
                {"detail": message, "current": self.get_serializer(stale.current).data},
                status=status.HTTP_409_CONFLICT,
            )
        return Response(self.get_serializer(dashboard).data)

    def perform_destroy(self, instance):
        with live.changed_by(user=self.request.user, session_id=self.session_id):
            instance.delete()
