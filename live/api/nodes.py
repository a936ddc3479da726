"""The view about nodes: which processes serve this site, and how much each has to do."""

from __future__ import annotations

import orjson
from django.http import HttpResponse
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request

from live.api.base import LiveAPIView
from live.publishing import run, survey


class NodesView(LiveAPIView):
    """``GET nodes``: clients, users and channels of every node, and which did not answer in time; for staff.

    200, 401, 403, 503.
    """

    permission_classes = [IsAdminUser]

    def get(self, request: Request) -> HttpResponse:
        """The nodes, in the order of their ids."""
        found = run(survey)
        nodes = [
            {"node": report.node, "clients": report.clients, "users": report.users, "channels": report.channels}
            for report in found.nodes
        ]
        return HttpResponse(
            orjson.dumps({"nodes": nodes, "missing": list(found.missing)}), content_type="application/json"
        )
