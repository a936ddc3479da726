"""Whose WebSocket it is: sessions looked up many at a time, as Django would one by one."""

import asyncio
from datetime import timedelta

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from live import login
from live.login import Logins, SessionLogin, TooManyHandshakesError, read_users, session_key

MODEL = "django.contrib.auth.backends.ModelBackend"
OTHER = "tests.test_login.OtherBackend"


class OtherBackend(ModelBackend):
    """A backend that finds users in a way of its own."""

    def get_user(self, user_id):
        user = get_user_model().objects.filter(pk=user_id).first()
        if user is not None:
            user.found_by = "other"
        return user


def make_session(user, *, backend=MODEL, **changes):
    session = SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), backend
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.update(changes)
    session.create()
    return session.session_key


@pytest.fixture
def ann(db):
    return get_user_model().objects.create_user("ann")


def test_many_sessions_take_two_queries(ann):
    users = [get_user_model().objects.create_user(f"user{number}") for number in range(20)]
    keys = {make_session(user): user for user in [*users, ann, ann]}
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = read_users(keys)
    assert found == keys
    assert len(queries) == 2


def test_sessions_that_do_not_count(ann):
    inactive = get_user_model().objects.create_user("inactive", is_active=False)
    gone = get_user_model().objects.create_user("gone")
    old = make_session(ann)
    Session.objects.filter(pk=old).update(expire_date=timezone.now() - timedelta(seconds=1))
    keys = [
        "unknown",
        old,
        make_session(inactive),
        make_session(gone),
        make_session(ann, **{HASH_SESSION_KEY: "of an old password"}),
        make_session(ann, **{BACKEND_SESSION_KEY: "not.Configured"}),
        make_session(ann, **{SESSION_KEY: "no number"}),
    ]
    gone.delete()
    anonymous = SessionStore()
    anonymous.create()
    assert read_users([*keys, anonymous.session_key]) == {}


def test_other_backends_and_other_sessions_are_asked_one_by_one(ann, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL, OTHER]
    key = make_session(ann, backend=OTHER)
    assert read_users([key])[key].found_by == "other"
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    assert read_users([key, "unknown"]) == {key: ann}


def test_a_fallback_of_the_secret_key_counts(ann, settings):
    key = make_session(ann)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    hashes = {ann.get_session_auth_hash(), *ann.get_session_auth_fallback_hash()}
    assert len(hashes) == 2
    # The session itself is signed too, so only the engine's own fallback lets it be read.
    assert read_users([key]) == {key: ann}


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], ""),
        ([(b"cookie", b"a=1; sessionid=abc; b=2")], "abc"),
        ([(b"cookie", b"sessionid=")], ""),
        ([(b"cookie", b"\xff\xfe=;;; sessionid")], ""),
    ],
)
def test_the_key_is_in_a_cookie(headers, key):
    assert session_key(headers) == key


def cookie(key):
    return [(b"cookie", f"sessionid={key}".encode())]


@pytest.mark.django_db(transaction=True)
async def test_who_comes_together_is_looked_up_together(monkeypatch):
    asked = []

    def read(keys):
        asked.append(set(keys))
        return {"k1": User(), "k2": User()}

    class User:
        is_authenticated = True

    monkeypatch.setattr(login, "read_users", read)
    logins = Logins(10)
    one, two, again, nobody, unknown = await asyncio.gather(
        *[logins.find(cookie(key)) for key in ("k1", "k2", "k1")], logins.find([]), logins.find(cookie("k9"))
    )
    assert len(asked) <= 2
    assert one.user.is_authenticated
    assert two.user.is_authenticated
    assert one.user is not again.user
    assert (nobody.user.is_authenticated, nobody.session_key) == (False, "")
    assert (unknown.user.is_authenticated, unknown.session_key) == (False, "k9")
    assert logins._task is None


async def refused(middleware, headers):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(event):
        sent.append(event)

    await middleware({"headers": headers}, receive, send)
    return [event["type"] for event in sent] == ["websocket.close"]


async def never(scope, receive, send):
    raise AssertionError("must not be reached")


@pytest.mark.django_db(transaction=True)
async def test_a_storm_is_refused_beyond_the_limit(monkeypatch):
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(keys):
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return {}

    monkeypatch.setattr(login, "read_users", slow)
    middleware = SessionLogin(never, limit=1)
    waiting = [asyncio.create_task(middleware._logins.find(cookie("k"))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyHandshakesError):
        await middleware._logins.find(cookie("k"))
    assert await refused(middleware, cookie("k"))
    gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(outcome, TooManyHandshakesError) for outcome in outcomes) <= 1


@pytest.mark.django_db(transaction=True)
async def test_a_database_that_is_away_is_logged_and_refuses(monkeypatch, caplog):
    def fail(keys):
        raise OperationalError("away")

    monkeypatch.setattr(login, "read_users", fail)
    assert await refused(SessionLogin(never, limit=10), cookie("k"))
    assert "could not be read" in caplog.text
