"""After messages may have been missed: whose session has ended is cut, everybody else is asked about again."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.db import DatabaseError

from live import missed
from live.signals import relay_connected
from tests.peers import until

pytestmark = pytest.mark.django_db(transaction=True)


class Peer:
    """A client of a node that notes what is done to it."""

    queue_bytes = 0

    def __init__(self, user, session_key):
        self.id = uuid.uuid4().hex
        self.user_id = str(user.pk) if user else ""
        self.session_key = session_key
        self.ended = None
        self.rechecks = 0

    def disconnect(self, code, reason=""):
        self.ended = (int(code), reason)

    async def recheck(self):
        self.rechecks += 1


CUT = (3011, "session ended")


@pytest.fixture
async def user():
    return await sync_to_async(User.objects.create_user)("anna", password="anna")


def fill(session, user):
    """Logs `user` in in a session; its key."""
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key


def anonymous_session():
    session = SessionStore()
    session["basket"] = 1
    session.save()
    return session.session_key


@pytest.fixture
async def admit(node, user):
    """Has a client on the node."""

    async def admit(session_key=None, of=user):
        key = await sync_to_async(fill)(SessionStore(), user) if session_key is None else session_key
        peer = Peer(of, key)
        assert node.admit(peer)
        return peer

    yield admit
    for peer in list(node.clients):
        node.forget(peer)


async def check(node):
    await missed.check_clients(node)
    await until(lambda: not node.stats().tasks)


async def test_sessions_that_stand_stay_and_are_checked_for_permissions(node, admit):
    peers = [await admit(), await admit()]
    twin = await admit(peers[0].session_key)
    await check(node)
    assert [(peer.ended, peer.rechecks) for peer in (*peers, twin)] == [(None, 1)] * 3


async def test_a_session_that_was_deleted_cuts_all_of_its_clients(node, admit):
    staying, gone = await admit(), await admit()
    twin = await admit(gone.session_key)
    await SessionStore().adelete(gone.session_key)
    await check(node)
    assert (gone.ended, twin.ended, staying.ended) == (CUT, CUT, None)


async def test_a_new_password_ends_sessions(node, admit, user):
    peer = await admit()
    user.set_password("new")
    await user.asave()
    await check(node)
    assert peer.ended == CUT


async def test_a_user_who_may_not_log_in_any_more(node, admit, user):
    peer = await admit()
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    await check(node)
    assert peer.ended == CUT


async def test_a_session_that_became_somebody_else_s(node, admit, user):
    other = await sync_to_async(User.objects.create_user)("bert")
    peer = await admit(await sync_to_async(fill)(SessionStore(), other))
    await check(node)
    assert peer.ended == CUT


async def test_logins_that_did_not_come_from_a_session(node, admit):
    """A project's own middleware may know users by other means, in a browser that has a session as well."""
    peers = [await admit(""), await admit(await sync_to_async(anonymous_session)()), await admit("gone", of=None)]
    await check(node)
    assert [(peer.ended, peer.rechecks) for peer in peers] == [(None, 1)] * 3


async def test_sessions_in_cookies(node, admit, user, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    staying, forged = await admit(await sync_to_async(fill)(CookieStore(), user)), await admit("forged")
    await check(node)
    assert (staying.ended, forged.ended) == (None, CUT)


async def test_a_database_that_fails_cuts_nobody(node, admit, monkeypatch, caplog):
    peer = await admit()

    def fail(self, key):
        raise DatabaseError("down")

    monkeypatch.setattr(SessionStore, "has_key", fail)
    await check(node)
    assert (peer.ended, peer.rechecks) == (None, 1)
    assert "its clients stay" in caplog.text


async def test_only_so_many_are_looked_at_at_once(node, admit, monkeypatch):
    running, most, go = [], [], asyncio.Event()

    async def counts(key, user):
        running.append(key)
        most.append(len(running))
        await go.wait()
        running.remove(key)
        return True

    monkeypatch.setattr(missed, "_counts", counts)
    for number in range(missed.AT_ONCE + 5):
        await admit(str(number))
    checking = asyncio.create_task(check(node))
    await until(lambda: len(running) == missed.AT_ONCE)
    go.set()
    await checking
    assert (max(most), len(most)) == (missed.AT_ONCE, missed.AT_ONCE + 5)


async def test_the_signal_of_this_process_s_node_starts_it(node, admit, monkeypatch):
    peer = await admit()
    monkeypatch.setattr("live.access.current_node", lambda: node)
    await relay_connected.asend(sender=None, node="another")
    assert peer.rechecks == 0
    await relay_connected.asend(sender=None, node=node.id)
    await until(lambda: peer.rechecks == 1)
