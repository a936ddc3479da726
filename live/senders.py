"""In whose name Django signals that a model was saved or deleted."""

from __future__ import annotations

from django.apps import apps
from django.db import models


def senders_of(model: type[models.Model]) -> list[type[models.Model]]:
    """The model, its proxies and its children: saving one of those is signalled in its own name."""
    return [model, *(each for each in apps.get_models() if issubclass(each, model) and each is not model)]


def parents_of(model: type[models.Model]) -> list[type[models.Model]]:
    """The models whose rows `model` extends: when it is deleted, Django signals that in their names too."""
    meta = model._meta
    return [parent for parent in meta.get_parent_list() if parent is not meta.concrete_model]
