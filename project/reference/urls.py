"""Only the URLs of `live`, where its documentation has them."""

from django.urls import include, path

urlpatterns = [path("api/live/", include("live.api.urls"))]
