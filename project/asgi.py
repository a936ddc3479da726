"""The demo's ASGI application: Django and its static files over HTTP, Live over WebSocket."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from live.asgi import live_application

# The demo has no web server in front that would serve the static files.
application = live_application(ASGIStaticFilesHandler(get_asgi_application()))
