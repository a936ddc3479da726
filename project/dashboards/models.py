"""The dashboard: a title, panels on a grid, and the version that keeps two editors from overwriting each other."""

import secrets

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse

from .panels import validate_panels

UID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without the look-alikes l, o, 0 and 1
UID_LENGTH = 10


def new_uid():
    """Return a random uid that is a valid last part of a channel name (50 bits: nobody guesses or collides)."""
    return "".join(secrets.choice(UID_ALPHABET) for _ in range(UID_LENGTH))


class Dashboard(models.Model):
    """One dashboard. Change it with `changes.save_change`, which checks and raises the version."""

    uid = models.CharField(
        max_length=40, unique=True, default=new_uid, editable=False, validators=[RegexValidator(r"\A[A-Za-z0-9_-]+\Z")]
    )
    title = models.CharField(max_length=120)
    panels = models.JSONField(default=list, blank=True, validators=[validate_panels])
    version = models.PositiveIntegerField(default=1, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )

    class Meta:
        ordering = ["title", "uid"]

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        """Return the address of the dashboard's page."""
        return reverse("dashboards:dashboard", args=[self.uid])
