"""Data sources in the admin: a saved one runs with its new settings at once, a deleted one stops."""

from django.contrib import admin

from .models import DataSource


@admin.register(DataSource)
class DataSourceAdmin(admin.ModelAdmin):
    """Data sources; a uid is part of channel names, so it stays what it is."""

    list_display = ["name", "uid", "plugin"]
    list_filter = ["plugin"]
    search_fields = ["name", "uid"]

    def get_readonly_fields(self, request, obj=None):
        return ["uid"] if obj else []
