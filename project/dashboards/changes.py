"""Changing a dashboard: the one place that compares and raises the version, and says who changed it from which tab."""

from django.db import transaction

import live

from .models import Dashboard


class StaleVersion(Exception):
    """Somebody saved in between; `current` is the dashboard as it is stored now."""

    def __init__(self, current):
        super().__init__(f"dashboard {current.uid} is at version {current.version}")
        self.current = current


def save_change(uid, expected_version, *, user=None, session_id="", **values):
    """Store `values` (`title`, `panels`) if the dashboard is still at `expected_version`, and return it.

    Raises `Dashboard.DoesNotExist` when there is none, and `StaleVersion` when another change came first; nothing is
    stored then. Safe against any number of concurrent callers, on every database.
    """
    with live.changed_by(user=user, session_id=session_id), transaction.atomic():
        # The conditional UPDATE decides who wins and locks the row until the end of the transaction; it sends no
        # signal, so the save() after it is what announces the change.
        won = Dashboard.objects.filter(uid=uid, version=expected_version).update(version=expected_version + 1)
        dashboard = Dashboard.objects.select_related("updated_by").get(uid=uid)
        if not won:
            raise StaleVersion(dashboard)
        for name, value in values.items():
            setattr(dashboard, name, value)
        dashboard.updated_by = user
        dashboard.save()
    return dashboard
