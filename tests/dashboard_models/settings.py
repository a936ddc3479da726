"""Settings of a project with these models and two databases."""

SECRET_KEY = "boards"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "channels",
    "rest_framework",
    "live",
    "tests.dashboard_models",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    name: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"file:boards-{name}?mode=memory&cache=shared"}
    for name in ("default", "other")
}
ASGI_APPLICATION = "x"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
