"""`manage.py seed_demo`: the demo's user, its push token, dashboards and data sources. Safe to run at every start."""

import os

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management.base import BaseCommand
from django.db import transaction
from rest_framework.authtoken.models import Token

from project.dashboards.demo import DASHBOARDS
from project.dashboards.models import Dashboard
from project.sources.demo import SOURCES
from project.sources.models import DataSource

PERMISSIONS = {
    "dashboards": ["add_dashboard", "change_dashboard", "delete_dashboard", "view_dashboard"],
    "live": ["push"],
    "sources": ["view_datasource"],
}


class Command(BaseCommand):
    """Creates what is missing and leaves everything that is there as it is: people may have changed it."""

    help = (
        "Create the user demo, its push token and the demo's dashboards and data sources, where they do not exist yet."
    )

    def add_arguments(self, parser):
        parser.add_argument("--show-token", action="store_true", help="print the push token, and nothing else")

    @transaction.atomic
    def handle(self, *args, show_token, **options):
        user, created = get_user_model().objects.get_or_create(username="demo")
        if created:
            user.set_password("demo")
            user.save()
        for app_label, codenames in PERMISSIONS.items():
            found = Permission.objects.filter(content_type__app_label=app_label, codename__in=codenames)
            user.user_permissions.add(*found)
        # A container's set-up gives both sides the same token; elsewhere one is made.
        key = os.environ.get("LIVE_DEMO_TOKEN")
        if key and not Token.objects.filter(user=user, key=key).exists():
            Token.objects.filter(user=user).delete()
            Token.objects.create(user=user, key=key)
        token, _ = Token.objects.get_or_create(user=user)
        for uid, (title, panels) in DASHBOARDS.items():
            Dashboard.objects.get_or_create(uid=uid, defaults={"title": title, "panels": panels})
        for uid, (name, plugin, settings) in SOURCES.items():
            DataSource.objects.get_or_create(uid=uid, defaults={"name": name, "plugin": plugin, "settings": settings})
        if show_token:
            self.stdout.write(token.key)
