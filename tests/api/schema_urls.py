"""Only the URLs of `live`."""

from django.urls import include, path

urlpatterns = [path("api/live/", include("live.api.urls"))]
