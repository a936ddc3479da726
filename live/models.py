"""No tables: only holders of permissions that `live` adds to Django's, and of its page in the admin."""

from __future__ import annotations

from typing import Any

from django.db import models


class NoRowsManager(models.Manager[Any]):
    """A manager without rows, so that what visits every model (``dumpdata``) does not look for a table."""

    def get_queryset(self) -> models.QuerySet[Any]:
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


class Overview(models.Model):
    """Stands in the admin for what `live.admin` shows: ``live.view_overview`` opens it, ``live.disconnect`` acts."""

    objects = NoRowsManager()

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = [("disconnect", "Can disconnect clients")]
        verbose_name = "nodes and clients"
        verbose_name_plural = "nodes and clients"

    def __str__(self) -> str:
        return "nodes and clients"
