"""The app's configuration: tells `live` which model holds data sources, and loads the plugins that read them."""

from django.apps import AppConfig


class SourcesConfig(AppConfig):
    """Wires `DataSource` to the channels `ds/<uid>/<path>` when Django is ready."""

    name = "project.sources"
    verbose_name = "Data sources"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        import live

        # Importing them registers them; the activity connects its signals.
        from . import activity, sql, tail  # noqa: F401
        from .models import DataSource

        # Who may see a source in the admin may watch it: Django's permission sources.view_datasource.
        live.watch_data_sources(DataSource, uid="uid", plugin="plugin", settings="settings", name="name")
