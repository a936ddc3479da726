"""The settings of the nodes and publishers that the cluster's tests start: the demo's, with the handler they count."""

import json
import os

from project.settings import *  # noqa: F403
from project.settings import LIVE

LIVE = {
    **LIVE,
    "HANDLERS": {"test": "tests.cluster.handlers.NumbersHandler"},
    **json.loads(os.environ.get("LIVE_TEST_SETTINGS", "{}")),
}

# The users of tests log in often, and how safe their passwords are does not matter.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

ROOT_URLCONF = "tests.cluster.urls"
# Where nodes believe their front; each of the tests' fronts has to say the truth.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
