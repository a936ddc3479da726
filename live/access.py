"""What users may no longer do ends on their open sockets too, on every node (pitfall 30).

A socket outlives the request that logged its user in. So a logout, a user that is saved or deleted and a permission
that is taken away become control messages, sent when the transaction commits; what Django gives no signal for
(``QuerySet.update()``, permissions of another backend) is for the project to say with the functions here. Sessions that
run out, and a node that may have missed such messages, are for `live.session_checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import DatabaseError, models
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete

from live.channel import Channel
from live.exceptions import DisconnectCode
from live.node import current_node
from live.node.control import ControlMessage, session_digest
from live.notices import MAX_USERS, notices, on_commit
from live.publishing import acontrol, control
from live.senders import senders_of
from live.session_checks import check_clients
from live.signals import relay_connected

# What a project says


def disconnect_user(user: Any, *, code: DisconnectCode = DisconnectCode.FORCE_DISCONNECT, reason: str = "") -> None:
    """Ends every connection of `user` (a user or the primary key of one), on all nodes; for synchronous code.

    The browser's tabs stay disconnected until they are loaded anew; with a `code` whose `reconnect` is True they come
    back by themselves. A user who may still log in can connect again either way. `reason` is a short text for the
    client. Raises `EngineUnavailable`, and `SyncInAsync` inside a running event loop.
    """
    control(_disconnect(user, code, reason))


async def adisconnect_user(
    user: Any, *, code: DisconnectCode = DisconnectCode.FORCE_DISCONNECT, reason: str = ""
) -> None:
    """Like `disconnect_user`, for async code."""
    await acontrol(_disconnect(user, code, reason))


def unsubscribe_user(user: Any, channel: Channel | str) -> None:
    """Ends the subscriptions of `user` (a user or the primary key of one) to `channel`; for synchronous code.

    The clients are told and do not subscribe again by themselves; whether they may is the handler's to say. Raises
    `InvalidChannel`, `EngineUnavailable`, and `SyncInAsync` inside a running event loop.
    """
    control(_unsubscribe(user, channel))


async def aunsubscribe_user(user: Any, channel: Channel | str) -> None:
    """Like `unsubscribe_user`, for async code."""
    await acontrol(_unsubscribe(user, channel))


def recheck(user: Any = None) -> None:
    """Asks the handlers again about every subscription of `user` (a user or the primary key of one; None: everybody).

    What they refuse now ends, and so do the connections of a user who is not active any more. Call it where permissions
    change without a signal of Django's: after ``QuerySet.update()``, or in a permission backend of your own. Raises
    `EngineUnavailable`, and `SyncInAsync` inside a running event loop.
    """
    control(_recheck(user))


async def arecheck(user: Any = None) -> None:
    """Like `recheck`, for async code."""
    await acontrol(_recheck(user))


def _disconnect(user: Any, code: DisconnectCode, reason: str) -> ControlMessage:
    code = DisconnectCode(code)
    return ControlMessage("disconnect", (_id(user),), code=int(code), reason=reason or code.reason)


def _unsubscribe(user: Any, channel: Channel | str) -> ControlMessage:
    parsed = channel if isinstance(channel, Channel) else Channel.parse(channel)
    return ControlMessage("unsubscribe", (_id(user),), channel=str(parsed))


def _recheck(user: Any) -> ControlMessage:
    return ControlMessage("recheck", () if user is None else (_id(user),))


def _id(user: Any) -> str:
    """The primary key as text, as clients carry it."""
    if hasattr(user, "pk") and not hasattr(user, "is_authenticated"):
        raise TypeError(f"{user!r} is no user")
    key = getattr(user, "pk", user)
    if key is None or key == "":
        raise ValueError(f"{user!r} has no primary key; name a user that is saved")
    return str(key)


# What Django says


def connect() -> None:
    """Listens to Django's signals about users, groups and permissions; once, when the apps are loaded.

    A user model needs neither groups nor permissions.
    """
    try:
        user_model = get_user_model()
    except ImproperlyConfigured:
        return
    relay_connected.connect(_reconnected, dispatch_uid="live.access.reconnected")
    user_logged_out.connect(_logged_out, dispatch_uid="live.access.logged_out")
    for model in senders_of(user_model):
        post_save.connect(_saved, sender=model, dispatch_uid=f"live.access.saved.{model._meta.label}")
        post_delete.connect(_deleted, sender=model, dispatch_uid=f"live.access.deleted.{model._meta.label}")
    for name in ("groups", "user_permissions"):
        if (through := _through(user_model, name)) is not None:
            m2m_changed.connect(partial(_rights_changed, name), through, False, f"live.access.{name}")
    if (group_model := _group_model()) is None:
        return
    for model in senders_of(group_model):
        pre_delete.connect(_group_deleted, sender=model, dispatch_uid=f"live.access.group_deleted.{model._meta.label}")
    if (through := _through(group_model, "permissions")) is not None:
        m2m_changed.connect(_group_rights_changed, sender=through, dispatch_uid="live.access.group_permissions")


def _through(model: type[models.Model], name: str) -> Any:
    """The model between `model` and what its many-to-many field `name` leads to; None without such a field."""
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field.remote_field.through if isinstance(field, models.ManyToManyField) else None


def _group_model() -> Any:
    user_model = get_user_model()
    return user_model._meta.get_field("groups").related_model if _through(user_model, "groups") else None


async def _reconnected(sender: Any, node: str, **kwargs: Any) -> None:
    found = current_node()
    if found is not None and found.id == node:
        await check_clients(found)


def _logged_out(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    key = getattr(session, "session_key", None)
    if user is None or not key:
        return
    code = DisconnectCode.FORCE_RECONNECT
    message = ControlMessage("disconnect", (_id(user),), session_digest(key), code=int(code), reason="logged out")
    _after_flush(session, partial(on_commit, partial(notices.add, message)))


def _after_flush(session: Any, then: Callable[[], None]) -> None:
    """Calls `then` when the session is gone: Django signals a logout before that, and a client that is told then may
    come back with the session it is to lose."""
    flush, aflush = session.flush, session.aflush

    def flushed() -> None:
        restore()
        flush()
        then()

    async def aflushed() -> None:
        restore()
        await aflush()
        then()

    def restore() -> None:
        session.flush, session.aflush = flush, aflush

    session.flush, session.aflush = flushed, aflushed


def _saved(
    sender: Any, instance: Any, created: bool, raw: bool, using: str, update_fields: Any = None, **kwargs: Any
) -> None:
    # A login saves last_login, and a new user has no socket; fixtures are raw.
    if created or raw or (update_fields is not None and set(update_fields) <= {"last_login"}):
        return
    user = _id(instance)
    # Django keeps the new password until it is saved; a hash that is only renewed at a login leaves none.
    if getattr(instance, "_password", None) is not None:
        # It ends the user's other sessions. Who has one that counts comes back with it.
        code = DisconnectCode.FORCE_RECONNECT
        message = ControlMessage("disconnect", (user,), code=int(code), reason="password changed")
        on_commit(partial(notices.add, message), using)
    else:
        _recheck_users([user], using)


def _deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    code = DisconnectCode.FORCE_RECONNECT
    message = ControlMessage("disconnect", (_id(instance),), code=int(code), reason="user deleted")
    on_commit(partial(notices.add, message), using)


def _rights_changed(
    name: str, sender: Any, instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **kwargs: Any
) -> None:
    """The field `name` of a user, ``groups`` or ``user_permissions``, changed; `reverse`: from its other end."""
    if action == "pre_clear" and reverse:
        _recheck_users_with(using, **{name: instance})
    elif action in ("post_add", "post_remove"):
        _recheck_users(pk_set if reverse else [instance.pk], using)
    elif action == "post_clear" and not reverse:
        _recheck_users([instance.pk], using)


def _group_rights_changed(
    sender: Any, instance: Any, action: str, reverse: bool, pk_set: Any, using: str, **kwargs: Any
) -> None:
    """The permissions of a group changed; `reverse`: a permission got or lost groups."""
    if action == "pre_clear" and reverse:
        _recheck_users_with(using, groups__permissions=instance)
    elif action in ("post_add", "post_remove"):
        _recheck_users_with(using, groups__in=pk_set if reverse else [instance.pk])
    elif action == "post_clear" and not reverse:
        _recheck_users_with(using, groups=instance)


def _group_deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    _recheck_users_with(using, groups=instance)


def _recheck_users_with(using: str, **conditions: Any) -> None:
    """Has the users checked who fulfil the conditions now; everybody where that cannot be found out."""
    users = get_user_model()._base_manager.using(using).filter(**conditions).values_list("pk", flat=True)
    try:
        found = list(users.distinct()[: MAX_USERS + 1])
    except DatabaseError:
        on_commit(partial(notices.recheck, None), using)
    else:
        _recheck_users(found, using)


def _recheck_users(keys: Collection[Any], using: str) -> None:
    if keys:
        on_commit(partial(notices.recheck, [str(key) for key in keys]), using)
