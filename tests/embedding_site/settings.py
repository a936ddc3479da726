"""A project that is not the demo: what `startproject` makes, `live`, and a strict content security policy."""

import json
import os
from pathlib import Path

VAR_DIR = Path(os.environ["LIVE_VAR"])

SECRET_KEY = "embedding"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "live",
]
MIDDLEWARE = [
    "tests.embedding_site.urls.strict_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "tests.embedding_site.urls"
ASGI_APPLICATION = "tests.embedding_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
LIVE = {"ALLOW_ANONYMOUS": True, "DRAIN_SECONDS": 0.5, **json.loads(os.environ.get("LIVE_TEST_SETTINGS", "{}"))}
STATIC_URL = "static/"
USE_TZ = True
