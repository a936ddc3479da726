"""The demo's settings for measuring: no limit of connections, no debug mode."""

from project.settings import *  # noqa: F403
from project.settings import LIVE as _LIVE

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
LIVE = {**_LIVE, "ALLOW_ANONYMOUS": False, "MAX_CONNECTIONS": -1}
