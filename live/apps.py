"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LiveConfig(AppConfig):
    """`live` among ``INSTALLED_APPS``."""

    name = "live"
    verbose_name = _("Live")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the system checks, listens to `live.signals.dashboard_changed` and to what users lose."""
        from live import (
            access,
            checks,  # noqa: F401
        )
        from live.handlers.dashboard import publish_dashboard_change
        from live.signals import dashboard_changed

        dashboard_changed.connect(publish_dashboard_change, dispatch_uid="live.dashboard_changed")
        access.connect()
