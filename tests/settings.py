"""The demo's settings, with ``LIVE`` changed by what a test asks for in the environment; for sites that tests start."""

import json
import os

from project.settings import *  # noqa: F403
from project.settings import LIVE

LIVE = {**LIVE, **json.loads(os.environ.get("LIVE_TEST_SETTINGS", "{}"))}

# The users of tests log in often, and how safe their passwords are does not matter.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
