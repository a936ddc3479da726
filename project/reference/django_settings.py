"""The demo's settings with what the OpenAPI document is made by, and with the URLs of `live` only."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as DEMO_APPS

INSTALLED_APPS = [*DEMO_APPS, "drf_spectacular"]
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {"TITLE": "live", "VERSION": "1", "OAS_VERSION": "3.1.0"}
ROOT_URLCONF = "project.reference.urls"
