"""Data sources: which there are, who may query them, and telling the nodes that one changed.

They come from ``LIVE["DATA_SOURCES"]`` and from the models a project names with `watch_data_sources`; where both have
a uid, the settings win. Everything that reads the database does so in a thread.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.signals import post_delete, post_save

from live.channel import is_part
from live.conf import live_settings
from live.exceptions import Forbidden, NotFound, PluginFailed
from live.node.control import DELETED, ControlMessage
from live.notices import notices, on_commit
from live.plugins.base import DataSource
from live.plugins.failures import Failures
from live.senders import senders_of

if TYPE_CHECKING:
    from live.users import User

logger = logging.getLogger("live.plugins")

MAX_LISTED = 200
"""Data sources that `list_sources` returns at most."""

MAX_LOOKED_AT = 1000
"""Rows of one model that `list_sources` asks the permission for at most."""

Part = str | Callable[[Any], Any]
"""Where a part of a data source comes from: the name of a field, or a function of the instance."""

Rule = Callable[[Any, Any], bool | Awaitable[bool]]
"""Answers (user, instance): a plain function, run in a thread and free to use the ORM, or a coroutine function."""

_failures = Failures(logger)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A model that holds data sources, and how to read one. Its methods are for threads."""

    model: type[models.Model]
    uid: str
    plugin: Part
    settings: Part
    name: Part | None
    can_query: Rule | None

    def find(self, uid: str) -> models.Model | None:
        try:
            return self.model._default_manager.filter(**{self.uid: uid}).first()
        except (ValueError, ValidationError):
            # No uid of this model: a text where it has numbers.
            return None

    def rows(self) -> list[models.Model]:
        return list(self.model._default_manager.order_by(self.uid)[:MAX_LOOKED_AT])

    def read(self, instance: models.Model) -> DataSource:
        """The data source that `instance` is; raises `PluginFailed` where it is none, which is logged."""
        uid = self.uid_of(instance)
        try:
            if not is_part(uid):
                raise ValueError(f"a data source's uid is made of letters, digits, '_' and '-', not {uid!r}")
            settings = _part(instance, self.settings)
            if not isinstance(settings, Mapping | None):
                raise TypeError(f"its settings have to be a mapping, not {type(settings).__name__}")
            name = "" if self.name is None else str(_part(instance, self.name))
            return DataSource(uid, str(_part(instance, self.plugin)), settings or {}, name)
        except Exception as error:
            # Functions of the project.
            label = self.model._meta.label
            _failures.report((label, uid), "the data source %s %s cannot be read", label, uid, error=error)
            raise PluginFailed(f"data source {uid} cannot be read") from error

    def uid_of(self, instance: models.Model) -> str:
        return str(getattr(instance, self.uid))

    @property
    def permission(self) -> str:
        meta = self.model._meta
        return f"{meta.app_label}.view_{meta.model_name}"

    def allows(self, user: User, instance: models.Model) -> bool | None:
        """Whether `user` may query it; None: the rule is a coroutine function."""
        if self.can_query is None:
            return _has_permission(user, self.permission)
        return None if inspect.iscoroutinefunction(self.can_query) else bool(self.can_query(user, instance))

    def report_rule(self, error: Exception) -> None:
        label = self.model._meta.label
        _failures.report((label, "rule"), "the can_query of the data sources %s failed", label, error=error)

    async def allows_async(self, user: User, instance: models.Model) -> bool:
        answer: Any = self.can_query(user, instance) if self.can_query else False
        return bool(await answer)


_watched: dict[type[models.Model], _Watched] = {}


def watch_data_sources(
    model: type[models.Model],
    *,
    uid: str = "uid",
    plugin: Part = "plugin",
    settings: Part = "settings",
    name: Part | None = None,
    can_query: Rule | None = None,
) -> None:
    """Makes each row of `model` a data source, ``ds/<uid>/...``. Call it in ``ready()``.

    `uid` names the field with the uid: letters, digits, ``_`` and ``-``, and never the same twice. `plugin` (the id of
    the plugin that reads the source), `settings` (a mapping) and `name` are names of fields, or functions that get the
    instance. `can_query` answers (user, instance), as function or coroutine function; without it Django's ``view_``
    permission of the model decides. After a save the streams of the data source start again with its new settings,
    after a delete they stop and the subscribers are told. ``QuerySet.update()`` sends no signal: what it changed is
    noticed within a minute. Raises `FieldDoesNotExist`.
    """
    for part in (uid, plugin, settings, name):
        if isinstance(part, str) and part != "pk":
            model._meta.get_field(part)
    _watched[model] = _Watched(model, uid, plugin, settings, name, can_query)
    for sender in senders_of(model):
        for signal, receiver in ((post_save, _saved), (post_delete, _deleted)):
            signal.connect(partial(receiver, model), sender, weak=False, dispatch_uid=_receiver(model, sender))


def unwatch_data_sources(model: type[models.Model]) -> None:
    """Takes back a `watch_data_sources`."""
    if _watched.pop(model, None) is not None:
        for sender in senders_of(model):
            for signal in (post_save, post_delete):
                signal.disconnect(sender=sender, dispatch_uid=_receiver(model, sender))


def _receiver(watched: type[models.Model], sender: type[models.Model]) -> str:
    return f"live.watch_data_sources.{watched._meta.label}.{sender._meta.label}"


def _saved(
    watched: type[models.Model], sender: Any, instance: Any, created: bool, raw: bool, using: str, **kwargs: Any
) -> None:
    # Nobody can watch what was not there; fixtures are raw.
    if not created and not raw:
        _tell(watched, instance, using, "")


def _deleted(watched: type[models.Model], sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    _tell(watched, instance, using, DELETED)


def _tell(watched: type[models.Model], instance: models.Model, using: str, reason: str) -> None:
    """Has every node look at the data source again, once the transaction commits."""
    message = ControlMessage("source", reason=reason, source=_watched[watched].uid_of(instance))
    on_commit(partial(notices.add, message), using)


# Finding


async def find_source(uid: str, user: User) -> DataSource:
    """The data source of that uid, which `user` may query.

    Raises `NotFound` when there is none, `Forbidden`, and `PluginFailed` when it cannot be read.
    """
    if (entry := live_settings.data_sources.get(uid)) is not None:
        permission = entry.get("permission")
        # Without a permission there is nothing to ask the database for.
        if not (await _has_permission_async(user, permission) if permission else user.is_authenticated):
            raise Forbidden
        return _configured(uid, entry)
    watched, instance, source, allowed = await database_sync_to_async(_look_up)(uid, user)
    if not (await watched.allows_async(user, instance) if allowed is None else allowed):
        raise Forbidden
    return source


async def find_source_settings(uid: str) -> DataSource | None:
    """The data source of that uid for a run, which is nobody's; None when there is none (any more).

    Raises `PluginFailed` when it cannot be read, and Django's database errors.
    """
    if (entry := live_settings.data_sources.get(uid)) is not None:
        return _configured(uid, entry)
    return await database_sync_to_async(_read)(uid)


async def list_sources(user: User) -> list[DataSource]:
    """The data sources that `user` may query, those of the settings first; at most `MAX_LISTED`.

    Those that cannot be read are left out.
    """
    found = await database_sync_to_async(_list_configured)(user)
    for watched in list(_watched.values()):
        for source, instance, allowed in await database_sync_to_async(_list_rows)(watched, user):
            if len(found) >= MAX_LISTED:
                break
            try:
                if await watched.allows_async(user, instance) if allowed is None else allowed:
                    found.setdefault(source.uid, source)
            except Exception as error:
                watched.report_rule(error)
    return list(found.values())[:MAX_LISTED]


def _configured(uid: str, entry: Mapping[str, Any]) -> DataSource:
    return DataSource(uid, entry["plugin"], entry.get("settings", {}), entry.get("name", ""))


def _may_query(user: User, entry: Mapping[str, Any]) -> bool:
    permission = entry.get("permission")
    return user.is_authenticated if permission is None else _has_permission(user, permission)


def _has_permission(user: User, permission: str) -> bool:
    # A user model without Django's permissions has none.
    has_perm = getattr(user, "has_perm", lambda permission: False)
    return bool(has_perm(permission))


_has_permission_async = database_sync_to_async(_has_permission)


def _find(uid: str) -> tuple[_Watched, models.Model] | None:
    for watched in list(_watched.values()):
        if (instance := watched.find(uid)) is not None:
            return watched, instance
    return None


def _look_up(uid: str, user: User) -> tuple[_Watched, models.Model, DataSource, bool | None]:
    if (found := _find(uid)) is None:
        raise NotFound(f"no data source {uid}")
    watched, instance = found
    # The permission first: who may not query it is told nothing of its state.
    allowed = watched.allows(user, instance)
    if allowed is False:
        raise Forbidden
    return watched, instance, watched.read(instance), allowed


def _read(uid: str) -> DataSource | None:
    found = _find(uid)
    return None if found is None else found[0].read(found[1])


def _list_configured(user: User) -> dict[str, DataSource]:
    return {
        uid: _configured(uid, entry) for uid, entry in live_settings.data_sources.items() if _may_query(user, entry)
    }


def _list_rows(watched: _Watched, user: User) -> list[tuple[DataSource, models.Model, bool | None]]:
    """What may be listed: rows that can be read and are not refused."""
    found: list[tuple[DataSource, models.Model, bool | None]] = []
    for instance in watched.rows():
        try:
            allowed = watched.allows(user, instance)
        except Exception as error:
            watched.report_rule(error)
            continue
        if allowed is not False:
            # Why it cannot be read was logged.
            with contextlib.suppress(PluginFailed):
                found.append((watched.read(instance), instance, allowed))
        if len(found) >= MAX_LISTED and allowed:
            break
    return found


def _part(instance: models.Model, part: Part) -> Any:
    return getattr(instance, part) if isinstance(part, str) else part(instance)
