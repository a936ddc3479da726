"""The demo's URLs and one that tells what a node knows of a request, and which node it is."""

from django.http import JsonResponse
from django.urls import include, path


def told(request):
    """Address, scheme and host of the client, as Django has them, and the port of the node."""
    return JsonResponse(
        {
            "address": request.META["REMOTE_ADDR"],
            "scheme": request.scheme,
            "host": request.get_host(),
            "node": request.META["SERVER_PORT"],
            "forwarded": request.headers.get("X-Forwarded-For"),
        }
    )


urlpatterns = [path("told", told), path("", include("project.urls"))]
