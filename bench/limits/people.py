"""A user and a session for each client, as a real site has them: looking up the same one is cheaper."""

from __future__ import annotations

import datetime

NAME = "bench-limits-"
"""Begins the name of each user and the key of its session; the number of the client follows."""


def sign_in_everybody(count: int) -> str:
    """Makes so many users with a session each; returns the cookie, in which %d stands for the client's number."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.utils import timezone

    model, sessions = get_user_model(), SessionStore.get_model_class()
    model.objects.bulk_create([model(username=f"{NAME}{number}") for number in range(count)], batch_size=1000)
    ends = timezone.now() + datetime.timedelta(days=1)
    rows = []
    for user in model.objects.filter(username__startswith=NAME):
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        encoded = SessionStore().encode(data)
        rows.append(sessions(session_key=user.get_username(), session_data=encoded, expire_date=ends))
    sessions.objects.bulk_create(rows, batch_size=1000)
    return f"{settings.SESSION_COOKIE_NAME}={NAME}%d"
