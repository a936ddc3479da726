"""Who a client is: Django's user, or an anonymous one."""

from __future__ import annotations

from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

User = AbstractBaseUser | AnonymousUser
"""Whoever is connected; `user.is_authenticated` tells the two apart."""


def user_id(user: User) -> str:
    """The user's primary key as text, as clients are told it; "" for an anonymous one."""
    return str(user.pk) if user.is_authenticated else ""


async def read_user(user: User) -> User | None:
    """`user` as the database has it now, with permissions read anew; None when it is gone or may not log in any more.

    An anonymous one stays as it is. Raises Django's database errors.
    """
    if not user.is_authenticated:
        return user
    found: User | None = await database_sync_to_async(get_user_model()._default_manager.filter(pk=user.pk).first)()
    return found if found is not None and found.is_active else None
