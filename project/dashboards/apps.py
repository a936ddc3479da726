"""The app's configuration: tells `live` which model is a dashboard and who may see and edit one."""

from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    """Wires `Dashboard` to the channels `grafana/dashboard/uid/<uid>` when Django is ready."""

    name = "project.dashboards"
    verbose_name = "Dashboards"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        import live

        from .models import Dashboard

        live.watch_dashboards(
            Dashboard,
            uid="uid",
            version="version",
            # In the demo anybody may look; editing needs the login and the permission.
            can_view=lambda user, dashboard: True,
            can_edit=lambda user, dashboard: user.has_perm("dashboards.change_dashboard"),
        )
