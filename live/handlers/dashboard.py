"""``grafana/dashboard/uid/<uid>``: who changed a dashboard, told to everybody who has it open (grafana-live §5).

A project says once which model its dashboards are (`watch_dashboards`); from then on every save and delete becomes an
event after the commit. A rolled-back transaction sends nothing, and a failure to publish never reaches the save.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from channels.db import database_sync_to_async
from django.core.exceptions import ObjectDoesNotExist, SynchronousOnlyOperation, ValidationError
from django.db import DatabaseError, models, transaction
from django.db.models.signals import post_delete, post_save

from live.channel import Channel
from live.exceptions import BadData, LiveError, NotFound
from live.handlers.base import ChannelHandler
from live.logs import about
from live.protocol import dump_json
from live.publishing import apublish, publish
from live.senders import parents_of, senders_of
from live.signals import dashboard_changed
from live.users import User

logger = logging.getLogger("live.dashboards")

ACTIONS = ("saved", "deleted")

Permission = Callable[[Any, Any], bool | Awaitable[bool]]
"""Answers (user, dashboard): a plain function, run in a thread and free to use the ORM, or a coroutine function."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """A model that holds dashboards, and how to read one."""

    model: type[models.Model]
    uid: str
    version: str | None
    can_view: Permission | None
    can_edit: Permission | None

    def find(self, uid: str) -> models.Model | None:
        """The dashboard with that uid, or None; for threads."""
        try:
            return self.model._default_manager.filter(**{self.uid: uid}).first()
        except (ValueError, ValidationError):
            # No uid of this model: a text where it has numbers. Of another model it may be one.
            return None

    def rule(self, action: str) -> Permission:
        """Who may ``view`` or ``change`` a dashboard; without a rule of the project, by Django's permission."""
        return (self.can_view if action == "view" else self.can_edit) or partial(self._has_permission, action)

    def _has_permission(self, action: str, user: Any, dashboard: models.Model) -> bool:
        meta = self.model._meta
        # A user model without Django's permissions has none.
        has_perm = getattr(user, "has_perm", lambda permission: False)
        return bool(has_perm(f"{meta.app_label}.{action}_{meta.model_name}"))


_watched: dict[type[models.Model], _Watched] = {}


@dataclass(frozen=True, slots=True)
class _Change:
    user: Any = None
    session_id: str = ""


_NOBODY = _Change()
_change: ContextVar[_Change] = ContextVar("live_dashboard_change", default=_NOBODY)


@contextlib.contextmanager
def changed_by(user: Any = None, session_id: str = "") -> Iterator[None]:
    """Dashboard events of what is saved inside carry who changed it, and from which browser tab.

    `session_id` is the tab's random id: the tab ignores events that carry it.
    """
    token = _change.set(_Change(user, session_id))
    try:
        yield
    finally:
        _change.reset(token)


def watch_dashboards(
    model: type[models.Model],
    *,
    uid: str = "uid",
    version: str | None = "version",
    can_view: Permission | None = None,
    can_edit: Permission | None = None,
) -> None:
    """Every save and delete of `model` is told to the pages that have that dashboard open. Call it in ``ready()``.

    `uid` and `version` name the fields with the dashboard's uid and its version (None: it has none). `can_view` and
    `can_edit` answer (user, dashboard), as functions or coroutine functions; without them Django's ``view_`` and
    ``change_`` permissions of the model decide. What is saved and deleted through proxies and children of `model` is
    told as well. ``QuerySet.update()`` sends no signal: send `dashboard_changed` there.
    """
    for field in filter(None, (uid, version)):
        model._meta.get_field(field)
    _watched[model] = _Watched(model, uid, version, can_view, can_edit)
    for sender in senders_of(model):
        # Once for each, also where several of the models it inherits from are watched.
        post_save.connect(_saved, sender=sender, dispatch_uid=_SAVED)
        post_delete.connect(_deleted, sender=sender, dispatch_uid=_DELETED)


def unwatch_dashboards(model: type[models.Model]) -> None:
    """Takes back a `watch_dashboards`."""
    _watched.pop(model, None)
    for sender in senders_of(model):
        if not any(_watched_by(sender)):
            post_save.disconnect(sender=sender, dispatch_uid=_SAVED)
            post_delete.disconnect(sender=sender, dispatch_uid=_DELETED)


_SAVED, _DELETED = "live.watch_dashboards.saved", "live.watch_dashboards.deleted"


def _watched_by(sender: type[models.Model]) -> Iterator[_Watched]:
    """What is watched of a model and of those it inherits from, the nearest first."""
    return (_watched[model] for model in sender.__mro__ if model in _watched)


def _saved(sender: type[models.Model], instance: models.Model, using: str, raw: bool = False, **kwargs: Any) -> None:
    # Fixtures are loaded raw, before anybody can look at them.
    if not raw:
        for uid, watched in _dashboards(sender, instance, using).items():
            version = _read(instance, watched.version, using) if watched.version else None
            _changed(watched, uid, "saved", using, version)


def _deleted(sender: type[models.Model], instance: models.Model, using: str, **kwargs: Any) -> None:
    found = _dashboards(sender, instance, using)
    # What a child inherits goes with its parent's row: that is told in the parent's name, or the row stays.
    for parent in parents_of(sender):
        for watched in _watched_by(parent):
            found = {uid: each for uid, each in found.items() if uid != _read_uid(instance, watched, using)}
    for uid, watched in found.items():
        _changed(watched, uid, "deleted", using)


def _dashboards(sender: type[models.Model], instance: models.Model, using: str) -> dict[str, _Watched]:
    """The dashboards that an instance of `sender` is, by their uids: one, or as many as models watched have others."""
    found: dict[str, _Watched] = {}
    for watched in _watched_by(sender):
        uid = _read_uid(instance, watched, using)
        if uid is not None:
            found.setdefault(uid, watched)
    return found


def _read_uid(instance: models.Model, watched: _Watched, using: str) -> str | None:
    uid = _read(instance, watched.uid, using)
    return None if uid is None else str(uid)


def _read(instance: models.Model, field: str, using: str) -> Any:
    """The value of a field as it was saved; None where it cannot be read, which is logged."""
    try:
        value = getattr(instance, field)
        if not hasattr(value, "resolve_expression"):
            return value
        # Such as F("version") + 1, which up to Django 5.2 stays on the instance.
        stored = type(instance)._base_manager.using(using).filter(pk=instance.pk)
        return stored.values_list(field, flat=True).first()
    except (DatabaseError, ObjectDoesNotExist) as error:
        # The save is not to fail with it; one of a field that was not loaded comes too late for a row that is gone.
        logger.error("the %s of %s %s cannot be read: %s", field, instance._meta.label, instance.pk, error)
        return None


def _changed(watched: _Watched, uid: str, action: str, using: str, version: Any = None) -> None:
    change = _change.get()
    try:
        dashboard_changed.send(
            sender=watched.model,
            uid=uid,
            action=action,
            session_id=change.session_id,
            version=version,
            user=change.user,
            using=using,
        )
    except ValueError as error:
        # A uid that no channel can carry is the project's mistake; the save it happened in is not.
        logger.error("no event for %s %r: %s", watched.model._meta.label, uid, error)


def _display_name(user: Any) -> str:
    full_name = getattr(user, "get_full_name", lambda: "")()
    return str(full_name or user.get_username())


def publish_dashboard_change(
    sender: Any,
    *,
    uid: str,
    action: str,
    session_id: str = "",
    version: Any = None,
    user: Any = None,
    using: str | None = None,
    **kwargs: Any,
) -> None:
    """The receiver of `dashboard_changed`: publishes the event when the transaction commits."""
    if action not in ACTIONS:
        raise ValueError(f"dashboard_changed: action must be one of {', '.join(ACTIONS)}, not {action!r}")
    channel = Channel("grafana", "dashboard", f"uid/{uid}")
    event: dict[str, Any] = {"uid": uid, "action": action}
    if session_id:
        event["sessionId"] = session_id
    if version is not None and _is_json(channel, version):
        event["version"] = version
    if user is not None and user.is_authenticated:
        event["user"] = {"name": _display_name(user)}
    announce = partial(_announce, channel, event)
    try:
        transaction.on_commit(announce, using=using)
    except (SynchronousOnlyOperation, transaction.TransactionManagementError):
        # Inside an event loop there is no transaction to wait for, and of one kept by hand the end cannot be known.
        announce()


def _is_json(channel: Channel, version: Any) -> bool:
    try:
        dump_json(version)
    except BadData as error:
        logger.error("the change of %s is announced without its version %s: %s", channel, version, error)
        return False
    return True


_tasks: set[asyncio.Task[None]] = set()
"""Announcements begun inside an event loop; kept until they are done, each logs its own failure."""


def _announce(channel: Channel, event: dict[str, Any]) -> None:
    """Publishes the event; what goes wrong is logged, as the save it tells of has happened."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        try:
            publish(channel, event)
        except LiveError as error:
            _log_failure(channel, error)
        return
    task = loop.create_task(_announce_async(channel, event))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _announce_async(channel: Channel, event: dict[str, Any]) -> None:
    try:
        await apublish(channel, event)
    except LiveError as error:
        _log_failure(channel, error)


def _log_failure(channel: Channel, error: LiveError) -> None:
    logger.error("the change of %s was not announced: %s", channel, error, extra=about(channel=channel))


def _find(channel: Channel) -> tuple[_Watched, models.Model]:
    """The dashboard of a channel, for threads; raises `NotFound` when there is none."""
    kind, _, uid = channel.path.partition("/")
    if kind == "uid" and uid and "/" not in uid:
        for watched in list(_watched.values()):
            if (dashboard := watched.find(uid)) is not None:
                return watched, dashboard
    raise NotFound


async def _may(action: str, user: User, channel: Channel) -> bool:
    """Whether `user` may ``view`` or ``change`` the dashboard; raises `NotFound` when there is none."""

    def ask() -> bool | Awaitable[bool]:
        watched, dashboard = _find(channel)
        return watched.rule(action)(user, dashboard)

    # Both in one go: waiting for the thread costs as much as the question.
    answer = await database_sync_to_async(ask)()
    return bool(await answer if inspect.isawaitable(answer) else answer)


class DashboardHandler(ChannelHandler):
    """Dashboards of the models given to `watch_dashboards`; all other paths and uids are 404.

    Who has one open is known to all others who may view it: users by their names, visitors by their number.
    """

    presence = True
    join_leave = True

    async def can_subscribe(self, user: User, channel: Channel, data: Any) -> bool:
        """Whoever may view the dashboard; 404 when there is none."""
        return await _may("view", user, channel)

    async def can_publish(self, user: User, channel: Channel, data: Any) -> bool:
        """Clients may announce ``editing-started`` of a dashboard they may change; saves are the server's to tell."""
        if not await _may("change", user, channel):
            raise NotFound
        return True

    async def clean(self, user: User, channel: Channel, data: Any) -> Any:
        """The announcement with the user's name; everything but ``editing-started`` of this uid is refused."""
        uid = channel.path.partition("/")[2]
        if not isinstance(data, dict) or data.get("action") != "editing-started" or data.get("uid") != uid:
            raise BadData('a client may publish {"action": "editing-started", "uid": <this dashboard>} only')
        event = {"uid": uid, "action": "editing-started", "user": {"name": _display_name(user)}}
        if isinstance(data.get("sessionId"), str):
            event["sessionId"] = data["sessionId"][:64]
        return event

    async def member_info(self, user: User, channel: Channel) -> Any:
        """The user's name; nothing of a visitor who is not logged in."""
        return {"name": _display_name(user)} if user.is_authenticated else None

    async def initial_data(self, user: User, channel: Channel, data: Any) -> Any:
        """The version as it stands, so that a page that was away learns that it missed a save."""
        watched, dashboard = await database_sync_to_async(_find)(channel)
        state: dict[str, Any] = {"uid": channel.path.partition("/")[2]}
        if watched.version:
            state["version"] = getattr(dashboard, watched.version)
        return state
