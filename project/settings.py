"""Settings of the demo site: SQLite under var/, one process unless Redis is named, all from the environment.

LIVE_REDIS_URL                    Redis as a URL (redis://, rediss://, unix://); several with commas share the channels
LIVE_REDIS_SENTINELS              in place of it: the sentinels, as host:port with commas between them
LIVE_REDIS_MASTER                 what the sentinels call the primary; "live" unless said
LIVE_REDIS_USERNAME, _PASSWORD    for the Redis that the sentinels name
LIVE_REDIS_PREFIX                 begins every key and channel, so that two sites can share one Redis
LIVE_DRAIN_SECONDS                LIVE["DRAIN_SECONDS"]
LIVE_MAX_CONNECTIONS              LIVE["MAX_CONNECTIONS"]
LIVE_METRICS_TOKEN                LIVE["METRICS_TOKEN"]; empty: /metrics is for staff only
CSRF_TRUSTED_ORIGINS              with commas: where the forms of pages may come from, when a proxy speaks TLS
BEHIND_TLS_PROXY                  1: believe X-Forwarded-Proto; only behind a proxy that always sets it
"""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("LIVE_VAR", BASE_DIR / "var"))
VAR_DIR.mkdir(parents=True, exist_ok=True)


def _secret_key() -> str:
    """The key kept in var/secret_key, made on first use, so that sessions survive a restart and no key is in git."""
    path = VAR_DIR / "secret_key"
    try:
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(get_random_secret_key())
    except FileExistsError:
        pass
    return path.read_text().strip()


SECRET_KEY = os.environ.get("SECRET_KEY") or _secret_key()
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "*" if DEBUG else "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "rest_framework.authtoken",
    "live",
    "project.dashboards",
    "project.sources",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _list(name: str) -> list[str]:
    """The values of an environment variable that holds several with commas between them."""
    return [value.strip() for value in os.environ.get(name, "").split(",") if value.strip()]


def _redis_hosts() -> list[str | dict]:
    """What the environment says of Redis, as channels_redis takes it; empty when it says nothing."""
    sentinels = [address.rpartition(":") for address in _list("LIVE_REDIS_SENTINELS")]
    if not sentinels:
        return _list("LIVE_REDIS_URL")
    names = {"username": "LIVE_REDIS_USERNAME", "password": "LIVE_REDIS_PASSWORD"}
    secrets = {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}
    return [
        {
            "sentinels": [(host.strip("[]"), int(port)) for host, _, port in sentinels],
            "master_name": os.environ.get("LIVE_REDIS_MASTER", "live"),
            **secrets,
        }
    ]


def _channel_layer() -> dict:
    """Redis joins the nodes, and is the store as well; without it there is one process."""
    hosts = _redis_hosts()
    if not hosts:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    prefix = os.environ.get("LIVE_REDIS_PREFIX", "live-demo")
    config = {"hosts": hosts, "prefix": prefix}
    return {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": config}


CHANNEL_LAYERS = {"default": _channel_layer()}

LIVE = {
    # Anybody may look at the demo; editing needs the login.
    "ALLOW_ANONYMOUS": True,
    "DRAIN_SECONDS": float(os.environ.get("LIVE_DRAIN_SECONDS", "10")),
    "MAX_CONNECTIONS": int(os.environ.get("LIVE_MAX_CONNECTIONS", "100")),
    "METRICS_TOKEN": os.environ.get("LIVE_METRICS_TOKEN", ""),
}

# Log files that a data source may follow lie below this folder.
TAIL_FOLDER = VAR_DIR / "logs"
TAIL_FOLDER.mkdir(exist_ok=True)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {
        "activity": {
            "class": "project.sources.logfile.SharedFileHandler",
            "filename": TAIL_FOLDER / "activity.log",
            "formatter": "line",
        },
    },
    "loggers": {"project.activity": {"handlers": ["activity"], "level": "INFO"}},
}

CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS")
if os.environ.get("BEHIND_TLS_PROXY") == "1":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.DjangoModelPermissionsOrAnonReadOnly"],
}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "project" / "static"]
