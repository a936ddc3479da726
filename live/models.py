"""No tables: only the holder of permissions that `live` adds to Django's."""

from __future__ import annotations

from django.db import models


class NoRowsManager(models.Manager["Permissions"]):
    """A manager without rows, so that what visits every model (``dumpdata``) does not look for a table."""

    def get_queryset(self) -> models.QuerySet[Permissions]:
        """No rows."""
        return super().get_queryset().none()


class Permissions(models.Model):
    """Carries ``live.push``; Django makes permissions for models only, so there is an unmanaged one."""

    objects = NoRowsManager()

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("push", "Can push metrics to streams")]
        verbose_name = "permissions of live"
        verbose_name_plural = "permissions of live"

    def __str__(self) -> str:
        return "permissions of live"
