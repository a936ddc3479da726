"""The application of the project."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.embedding_site.settings")

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from live.asgi import live_application

application = live_application(ASGIStaticFilesHandler(get_asgi_application()))
