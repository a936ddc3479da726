"""The HTTP API, on Django REST framework: ``path("api/live/", include("live.api.urls"))``."""
