"""Dashboards as JSON."""

from rest_framework import serializers

from .models import Dashboard


class DashboardSerializer(serializers.ModelSerializer):
    """A dashboard for the API: `uid`, `updated_at` and `updated_by` are the server's.

    `version` is what the client loaded: required to change a dashboard, without meaning when one is created.
    """

    version = serializers.IntegerField(min_value=1, max_value=2**31 - 2, required=False)
    updated_by = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Dashboard
        fields = ["uid", "title", "panels", "version", "updated_at", "updated_by"]
        read_only_fields = ["uid", "updated_at", "updated_by"]

    def validate(self, attrs):
        if self.instance is not None and "version" not in attrs:
            raise serializers.ValidationError({"version": ["Send the version you loaded, so that nothing is lost."]})
        return attrs
