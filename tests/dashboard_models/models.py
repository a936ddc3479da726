"""Dashboards whose uid is no text, and one that others inherit from."""

# Nobody looks at them.
# ruff: noqa: DJ008

import uuid

from django.db import models


class Report(models.Model):
    """Found by a UUID."""

    uid = models.UUIDField(unique=True, default=uuid.uuid4)
    version = models.PositiveIntegerField(default=1)


class Ticket(models.Model):
    """Found by a number."""

    number = models.IntegerField(unique=True)


class Board(models.Model):
    """Found by a text."""

    slug = models.CharField(unique=True, max_length=40)
    version = models.PositiveIntegerField(default=1)


class BoardProxy(Board):
    """The same rows."""

    class Meta:
        proxy = True


class WideBoard(Board):
    """With a table of its own beside its parent's."""

    columns = models.PositiveIntegerField(default=2)
    alias = models.CharField(max_length=40, default="")


class WideBoardProxy(WideBoard):
    """The same rows as its parent's."""

    class Meta:
        proxy = True


class Note(models.Model):
    """Goes with its board."""

    board = models.ForeignKey(Board, models.CASCADE)
