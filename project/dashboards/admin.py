"""Dashboards in the admin, with the same version check as the API."""

from django import forms
from django.contrib import admin

import live

from .models import Dashboard


class DashboardForm(forms.ModelForm):
    """Title and panels; the hidden version is the one the form was opened with."""

    loaded_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Dashboard
        fields = ["title", "panels"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["loaded_version"] = self.instance.version

    def clean(self):
        cleaned = super().clean()
        if self.instance.pk:
            # The admin runs a change in a transaction, so nobody can save between this look and the save.
            current = Dashboard.objects.select_for_update().get(pk=self.instance.pk).version
            if cleaned.get("loaded_version") != current:
                raise forms.ValidationError("Somebody saved this dashboard meanwhile. Reload it and try again.")
        return cleaned


@admin.register(Dashboard)
class DashboardAdmin(admin.ModelAdmin):
    """Dashboards: saved and deleted with the user's name on the event, as through the API."""

    form = DashboardForm
    list_display = ["title", "uid", "version", "updated_at", "updated_by"]
    list_select_related = ["updated_by"]
    search_fields = ["title", "uid"]
    readonly_fields = ["uid", "version", "updated_at", "updated_by"]

    def save_model(self, request, obj, form, change):
        if change:
            obj.version += 1
        obj.updated_by = request.user
        with live.changed_by(user=request.user):
            super().save_model(request, obj, form, change)

    def delete_model(self, request, obj):
        with live.changed_by(user=request.user):
            super().delete_model(request, obj)

    def delete_queryset(self, request, queryset):
        with live.changed_by(user=request.user):
            super().delete_queryset(request, queryset)
