"""Users and a dashboard for the tests of the dashboards' API."""

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from project.dashboards.models import Dashboard


def make_panel(**values):
    """A valid panel; `values` replace parts of it."""
    panel = {
        "id": "cpu",
        "type": "timeseries",
        "title": "CPU",
        "channel": "stream/host/cpu",
        "fields": ["usage_user"],
        "grid": {"x": 0, "y": 0, "w": 6, "h": 4},
    }
    return {**panel, **values}


@pytest.fixture
def dashboard(db):
    return Dashboard.objects.create(uid="first", title="First", panels=[make_panel()])


@pytest.fixture
def editor(db):
    user = User.objects.create_user("editor")
    permissions = Permission.objects.filter(content_type__app_label="dashboards")
    user.user_permissions.add(*permissions)
    return user


@pytest.fixture
def client(editor):
    """The API as the editor uses it."""
    client = APIClient()
    client.force_login(editor)
    return client


@pytest.fixture
def events():
    """What would be published about dashboards."""
    from live.signals import dashboard_changed

    seen = []

    def note(sender, **event):
        seen.append({key: event[key] for key in ("uid", "action", "session_id", "version", "user")})

    dashboard_changed.connect(note)
    yield seen
    dashboard_changed.disconnect(note)
