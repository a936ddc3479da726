"""Whose WebSocket it is: the users of handshakes, looked up many at a time."""

import asyncio

import pytest
from django.db import OperationalError

from live import login
from live.login import Logins, SessionLogin, TooManyHandshakesError, session_key


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], ""),
        ([(b"cookie", b"a=1; sessionid=abc; b=2")], "abc"),
        ([(b"cookie", b"sessionid=")], ""),
        ([(b"cookie", b"\xff\xfe=;;; sessionid")], ""),
        ([(b"cookie", b'sessionid="\\000"')], ""),
        ([(b"cookie", b"sessionid=a\xe9")], ""),
        ([(b"cookie", b"sessionid=eyJ1Ijox:1w-A:s_G")], "eyJ1Ijox:1w-A:s_G"),
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
    assert (one.session_key, two.session_key) == ("k1", "k2")
    assert (unknown.user.is_authenticated, unknown.session_key) == (False, "")
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
