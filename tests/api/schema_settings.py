"""The demo's settings with drf-spectacular, and only `live`'s URLs: for the test of the OpenAPI document."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "drf_spectacular"]
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {"TITLE": "live", "VERSION": "1", "OAS_VERSION": os.environ.get("LIVE_TEST_OAS", "3.0.3")}
ROOT_URLCONF = "tests.api.schema_urls"
