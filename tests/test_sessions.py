"""Sessions read many at a time: whose they are, as Django would say one by one, and which have ended."""

import itertools
from datetime import timedelta
from zlib import crc32

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from live import sessions
from live.sessions import AT_ONCE, ForgetfulSessionsError, find_ended, read_users

MODEL = "django.contrib.auth.backends.ModelBackend"
OTHER = "tests.test_sessions.OtherBackend"
ENGINES = "django.contrib.sessions.backends."


class OtherBackend(ModelBackend):
    """A backend that finds users in a way of its own."""

    def get_user(self, user_id):
        user = get_user_model().objects.filter(pk=user_id).first()
        if user is not None:
            user.found_by = "other"
        return user


class MovingCache(LocMemCache):
    """A cache on two servers, of which some may be away: then it raises, or keeps silent about it."""

    away = ()
    raises = False

    def _reaches(self, key):
        if server(key) in self.away and self.raises:
            raise ConnectionError("no cache")
        return server(key) not in self.away

    def get(self, key, default=None, version=None):
        return super().get(key, default, version) if self._reaches(key) else default

    def add(self, key, value, timeout=300, version=None):
        return self._reaches(key) and super().add(key, value, timeout, version)


class ForgetfulCache(MovingCache):
    """One that says that it took what it did not."""

    def add(self, key, value, timeout=300, version=None):
        return super().add(key, value, timeout, version) or True


def server(key):
    return crc32(key.encode()) % 2


def fill(session, user, *, backend=MODEL, **changes):
    """Logs `user` in in a session; its key."""
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), backend
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.update(changes)
    session.save()
    return session.session_key


def make_session(user, **changes):
    return fill(SessionStore(), user, **changes)


def expire(key):
    assert Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def ann(db):
    return get_user_model().objects.create_user("ann")


@pytest.fixture
def cache(settings):
    """Sessions in a cache."""
    settings.SESSION_ENGINE = ENGINES + "cache"
    settings.CACHES = {"default": {"BACKEND": "tests.test_sessions.MovingCache", "LOCATION": "moving"}}
    yield
    caches["default"].clear()


@pytest.fixture(params=["raises", "silent", "forgetful"])
def leave(request, cache, settings, monkeypatch):
    """Has servers of the cache go away, each kind of cache in its way."""
    if request.param == "forgetful":
        settings.CACHES = {"default": {"BACKEND": "tests.test_sessions.ForgetfulCache", "LOCATION": "moving"}}
    monkeypatch.setattr(MovingCache, "raises", request.param == "raises")
    return lambda *away: monkeypatch.setattr(MovingCache, "away", away)


AWAY = (ForgetfulSessionsError, ConnectionError)


# Whose they are


def test_many_sessions_take_two_queries(ann):
    users = [get_user_model().objects.create_user(f"user{number}") for number in range(20)]
    keys = {make_session(user): user for user in [*users, ann, ann]}
    with CaptureQueriesContext(connection) as queries:
        found = read_users(keys)
    assert found == keys
    assert len(queries) == 2


def test_sessions_that_do_not_count(ann):
    inactive = get_user_model().objects.create_user("inactive", is_active=False)
    gone = get_user_model().objects.create_user("gone")
    old = make_session(ann)
    expire(old)
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
    settings.SESSION_ENGINE = ENGINES + "cached_db"
    assert read_users([key, "unknown"]) == {key: ann}


def test_a_fallback_of_the_secret_key_counts(ann, settings):
    key = make_session(ann)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    hashes = {ann.get_session_auth_hash(), *ann.get_session_auth_fallback_hash()}
    assert len(hashes) == 2
    # The session itself is signed too, so only the engine's own fallback lets it be read.
    assert read_users([key]) == {key: ann}


# Which have ended


def test_which_have_ended_takes_two_queries(ann):
    logins = {(make_session(ann), str(ann.pk)) for _ in range(AT_ONCE)}
    ran_out, deleted = (min(logins)[0], max(logins)[0])
    expire(ran_out)
    SessionStore().delete(deleted)
    with CaptureQueriesContext(connection) as queries:
        ended = find_ended(logins)
    assert ended == {(ran_out, str(ann.pk)), (deleted, str(ann.pk))}
    assert len(queries) == 2


def test_a_login_of_somebody_else_has_ended(ann):
    bert = get_user_model().objects.create_user("bert")
    key = make_session(ann)
    assert find_ended([(key, str(ann.pk)), (key, str(bert.pk))]) == {(key, str(bert.pk))}


def test_a_user_who_may_not_log_in_any_more(ann):
    login = (make_session(ann), str(ann.pk))
    assert find_ended([login]) == set()
    get_user_model().objects.filter(pk=ann.pk).update(is_active=False)
    assert find_ended([login]) == {login}


def test_a_session_with_other_things_is_no_login_that_could_end(ann):
    basket = SessionStore()
    basket["basket"] = 1
    basket.save()
    assert find_ended([(basket.session_key, str(ann.pk))]) == set()


def test_a_session_that_cannot_be_read_has_ended(ann):
    key = make_session(ann)
    Session.objects.filter(pk=key).update(session_data="signed with another key")
    assert find_ended([(key, str(ann.pk))]) == {(key, str(ann.pk))}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The folder of sessions in files."""
    folder = tmp_path / "sessions"
    folder.mkdir()
    monkeypatch.setattr(FileStore, "_storage_path", str(folder), raising=False)
    return folder


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["db", "cached_db", "cache", "file"])
def test_every_engine_of_django(name, ann, settings, files):
    settings.SESSION_ENGINE = ENGINES + name
    store = sessions._engine()
    standing, gone = fill(store(), ann), fill(store(), ann)
    store().delete(gone)
    assert find_ended([(standing, str(ann.pk)), (gone, str(ann.pk))]) == {(gone, str(ann.pk))}
    # Nothing is left of what the engine was asked to keep.
    assert len(list(files.iterdir())) == (name == "file")
    assert len(caches["default"]._cache) == (name in ("cache", "cached_db"))


def test_sessions_in_cookies_run_out(ann, settings):
    settings.SESSION_ENGINE = ENGINES + "signed_cookies"
    login = (fill(CookieStore(), ann), str(ann.pk))
    assert find_ended([login]) == set()
    settings.SESSION_COOKIE_AGE = -1
    assert find_ended([login]) == {login}


def test_a_cache_that_is_away_ends_nothing(ann, leave):
    key = fill(CacheStore(), ann)
    leave(0, 1)
    with pytest.raises(AWAY):
        find_ended([(key, str(ann.pk))])
    leave()
    assert find_ended([(key, str(ann.pk))]) == set()


def test_a_server_of_a_cache_that_is_away_ends_nothing(ann, leave, monkeypatch):
    numbers = itertools.count()
    monkeypatch.setattr(sessions, "get_random_string", lambda length, chars="": f"{next(numbers):032}"[-length:])
    key = fill(CacheStore(), ann)
    leave(server(caches["default"].make_key(CacheStore(key).cache_key)))
    with pytest.raises(AWAY):
        find_ended([(key, str(ann.pk))])


def test_a_cache_that_was_away_for_a_moment_is_asked_again(ann, leave, monkeypatch):
    key = fill(CacheStore(), ann)
    leave(0, 1)
    read = sessions._read_again

    def back(gone):
        leave()
        return read(gone)

    monkeypatch.setattr(sessions, "_read_again", back)
    assert find_ended([(key, str(ann.pk))]) == set()


def test_files_that_cannot_be_opened_end_nothing(ann, settings, files):
    settings.SESSION_ENGINE = ENGINES + "file"
    key = fill(FileStore(), ann)
    files.rename(files.parent / "away")
    with pytest.raises(ForgetfulSessionsError):
        find_ended([(key, str(ann.pk))])


class StrangeStore(SessionBase):
    """An engine of a project, which says so when it fails."""

    def load(self):
        raise TimeoutError("no engine")


def test_an_engine_that_raises_ends_nothing(ann, monkeypatch):
    monkeypatch.setattr(sessions, "_engine", lambda: StrangeStore)
    with pytest.raises(TimeoutError):
        find_ended([("somekey12", str(ann.pk))])
