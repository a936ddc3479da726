"""Whose session has ended is cut: in time, with few questions, and never because nobody could be asked."""

import asyncio
import itertools
import math
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import DatabaseError
from django.utils import timezone

from live import session_checks
from live.login import SessionLogin
from live.session_checks import MAX_FAILURES, PLANNED, STEPS, Schedule, SessionChecks, check_clients
from live.sessions import AT_ONCE
from live.signals import relay_connected
from tests.peers import eventually, until
from tests.redis_server import RedisServer

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


async def run_out(peer):
    past = timezone.now() - timedelta(seconds=1)
    assert await Session.objects.filter(pk=peer.session_key).aupdate(expire_date=past)


@pytest.fixture
async def admit(node, user):
    """Has a client on the node."""

    async def admit(session_key=None, of=user, on=node):
        key = await sync_to_async(fill)(SessionStore(), user) if session_key is None else session_key
        peer = Peer(of, key)
        assert on.admit(peer)
        return peer

    yield admit
    for peer in list(node.clients):
        node.forget(peer)


@pytest.fixture
def asked(monkeypatch):
    """The batches that are asked for, none of which has ended; each waits while `asked.go` is not set."""

    class Asked(list):
        go = asyncio.Event()
        running = most = 0

    asked = Asked()
    asked.go.set()

    async def find(logins):
        asked.append(sorted(key for key, _ in logins))
        asked.running += 1
        asked.most = max(asked.most, asked.running)
        await asked.go.wait()
        asked.running -= 1
        return set()

    monkeypatch.setattr(session_checks, "database_sync_to_async", lambda function: find)
    return asked


async def check(node):
    await check_clients(node)
    await until(lambda: not node.stats().tasks)


# All at once, after messages may have been missed


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


async def test_a_session_that_ran_out(node, admit):
    staying, gone = await admit(), await admit()
    await run_out(gone)
    await check(node)
    assert (gone.ended, staying.ended) == (CUT, None)


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


async def test_a_session_that_became_somebody_else_s(node, admit):
    other = await sync_to_async(User.objects.create_user)("bert")
    key = await sync_to_async(fill)(SessionStore(), other)
    former, present = await admit(key), await admit(key, of=other)
    await check(node)
    assert (former.ended, present.ended) == (CUT, None)


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


async def test_all_of_many_are_looked_at_in_few_batches_one_at_a_time(make_node, admit, asked):
    node = await make_node(max_connections=-1)
    keys = [f"{number:04}" for number in range(2 * AT_ONCE + 5)]
    for key in keys:
        await admit(key, on=node)
    await asyncio.gather(check_clients(node), check_clients(node))
    assert sorted(key for batch in asked for key in batch) == sorted(keys * 2)
    assert [len(batch) for batch in sorted(asked, key=len)] == [5] * 2 + [AT_ONCE] * 4
    assert asked.most == 1


async def test_the_signal_of_this_process_s_node_starts_it(node, admit, monkeypatch):
    peer = await admit()
    monkeypatch.setattr("live.access.current_node", lambda: node)
    await relay_connected.asend(sender=None, node="another")
    assert peer.rechecks == 0
    await relay_connected.asend(sender=None, node=node.id)
    await until(lambda: peer.rechecks == 1)


# When nobody can be asked


async def test_a_database_that_fails_cuts_nobody_and_is_told_once(node, admit, monkeypatch, caplog):
    peers = [await admit() for _ in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "get_model_class", fail)
        await check(node)
        await check(node)
    assert {(peer.ended, peer.rechecks) for peer in peers} == {(None, 2)}
    assert len(caplog.records) == 1
    assert "their clients stay" in caplog.text
    assert caplog.records[0].live_node == node.id
    await run_out(peers[0])
    await check(node)
    assert [peer.ended for peer in peers] == [CUT, None, None, None, None]


def fail(*arguments):
    raise DatabaseError("down")


async def test_another_outage_is_told_again(node, admit, monkeypatch, caplog):
    await admit()
    monkeypatch.setattr(session_checks, "QUIET_SECONDS", 0.0)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(SessionStore, "get_model_class", fail)
            await check(node)
        await check(node)
    assert len(caplog.records) == 2


async def test_one_that_cannot_be_looked_at_keeps_nobody_else(node, admit, monkeypatch, caplog):
    strange = await admit("strange0")
    ended, standing = await admit(), await admit()
    await run_out(ended)
    whole = session_checks.find_ended

    def find_ended(logins):
        if any(key == strange.session_key for key, _ in logins):
            raise ValueError("no such backend")
        return whole(logins)

    monkeypatch.setattr(session_checks, "find_ended", find_ended)
    await check(node)
    assert (strange.ended, ended.ended, standing.ended) == (None, CUT, None)
    assert len(caplog.records) == 1


async def test_few_are_tried_by_themselves_in_an_outage(node, admit, monkeypatch):
    asked = []

    def find_ended(logins):
        asked.append(len(logins))
        fail()

    monkeypatch.setattr(session_checks, "find_ended", find_ended)
    for number in range(AT_ONCE):
        await admit(f"{number:04}")
    await check(node)
    assert asked == [AT_ONCE] + [1] * MAX_FAILURES


@pytest.fixture
def redis(tmp_path, settings):
    """Sessions in a cache on a Redis of their own."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    with RedisServer(tmp_path, appendonly="yes") as server:
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": server.url}}
        yield server
        caches.close_all()


async def test_a_cache_that_is_away_cuts_nobody(node, admit, user, redis, caplog):
    staying, gone = [await admit(await sync_to_async(fill)(CacheStore(), user)) for _ in range(2)]
    await CacheStore().adelete(gone.session_key)
    redis.stop()
    await check(node)
    assert (gone.ended, staying.ended) == (None, None)
    assert "their clients stay" in caplog.text
    redis.start()
    await check(node)
    assert (gone.ended, staying.ended) == (CUT, None)


# Over and over


@pytest.fixture
async def rounds(make_node):
    """A node whose sessions are looked at all the time."""
    node = await make_node(session_check_seconds=0.2, max_connections=-1)
    node.companion(SessionChecks).start()
    return node


async def test_sessions_that_end_are_cut_in_time_and_others_stay(rounds, admit):
    staying, deleted, expired = [await admit(on=rounds) for _ in range(3)]
    await SessionStore().adelete(deleted.session_key)
    await eventually(lambda: deleted.ended)
    await run_out(expired)
    await eventually(lambda: expired.ended)
    assert (deleted.ended, expired.ended, staying.ended, staying.rechecks) == (CUT, CUT, None, 0)


async def test_they_take_turns_one_batch_at_a_time(rounds, admit, asked):
    keys = [f"{number:04}" for number in range(AT_ONCE + 50)]
    for key in keys:
        await admit(key, on=rounds)
    await eventually(lambda: len(asked) >= 4)
    assert [len(batch) for batch in asked[:2]] == [75, 75]
    assert sorted(asked[0] + asked[1]) == keys
    assert asked[2:4] == asked[:2]
    assert asked.most == 1


async def test_an_outage_ends_and_it_goes_on(rounds, admit, monkeypatch, caplog):
    peer = await admit(on=rounds)
    await run_out(peer)
    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "get_model_class", fail)
        await eventually(lambda: caplog.records)
        assert peer.ended is None
    await eventually(lambda: peer.ended)


async def test_nobody_is_asked_where_it_is_switched_off(make_node):
    node = await make_node(session_check_seconds=0)
    checks = node.companion(SessionChecks)
    checks.start()
    assert checks._task is None


async def test_it_ends_with_the_node(rounds, admit, asked):
    peer = await admit("somebody", on=rounds)
    asked.go.clear()
    await eventually(lambda: asked.running)
    checks = rounds.companion(SessionChecks)
    rounds.forget(peer)
    await rounds.stop()
    assert checks._task.done()
    task = checks._task
    checks.start()
    assert checks._task is task
    assert "live session checks" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_it_begins_with_the_first_login(node, user, monkeypatch):
    monkeypatch.setattr("live.session_checks.current_node", lambda: node)

    async def served(scope, receive, send):
        pass

    async def come(key):
        await SessionLogin(served, limit=10)({"headers": [(b"cookie", f"sessionid={key}".encode())]}, None, None)

    checks = node.companion(SessionChecks)
    await come("unknown-key")
    assert checks._task is None
    await come(await sync_to_async(fill)(SessionStore(), user))
    assert not checks._task.done()


# The schedule, on a clock of its own

SESSIONS = [f"{number:05}" for number in range(15_000)]


def simulate(count, seconds, interval=300):
    """(time, batch) of all batches in so many seconds; `count` gives the number of sessions at a time."""
    schedule, now, batches = Schedule(interval, 0.0), 0.0, []

    def find():
        return SESSIONS[: count(now)]

    assert schedule.take(find, now) == []
    while now < seconds:
        now += max(schedule.pause(now), 0.01)
        if batch := schedule.take(find, now):
            batches.append((now, batch))
    return batches


def gaps(times):
    return [after - before for before, after in itertools.pairwise(times)]


@pytest.mark.parametrize("count", [1, 99, AT_ONCE, AT_ONCE + 1, 1050, 15_000])
def test_each_is_looked_at_once_an_interval_and_evenly(count):
    looks = {key: [0.0] for key in SESSIONS[:count]}
    batches = simulate(lambda now: count, 700)
    for time, batch in batches:
        assert len(set(batch)) == len(batch) <= AT_ONCE
        for key in batch:
            looks[key].append(time)
    assert {len(times) for times in looks.values()} <= {3, 4}
    assert max(gap for times in looks.values() for gap in gaps(times)) < 301
    even = 300 / math.ceil(count / AT_ONCE)
    assert all(0.99 * even < gap < 1.01 * even for gap in gaps([time for time, _ in batches]))


def test_a_batch_goes_on_at_the_beginning_and_holds_each_once():
    keys = [f"{number:03}" for number in range(150)]
    schedule = Schedule(300, 0.0)
    batches = [schedule.take(lambda: set(keys), 1000.0 * turn) for turn in range(1, 4)]
    assert batches == [keys[:75], keys[75:], keys[:75]]
    del keys[80:]
    assert schedule.take(lambda: set(keys), 4000.0) == keys[75:] + keys[:75]
    # The last of those is where it goes on, however many there are.
    del keys[10:]
    assert schedule.take(lambda: set(keys), 5000.0) == keys


@pytest.mark.parametrize(("count", "walks"), [(AT_ONCE, 3), (1050, 33), (15_000, 45)])
def test_very_many_are_not_gone_through_for_each_batch(count, walks):
    schedule, now, asked = Schedule(300, 0.0), 0.0, []
    schedule.take(lambda: SESSIONS[:count], now)

    def find():
        asked.append(now)
        return SESSIONS[:count]

    while now < 901:
        now += max(schedule.pause(now), 0.01)
        schedule.take(find, now)
        assert len(schedule._planned) <= PLANNED * AT_ONCE
    assert walks <= len(asked) <= walks * 1.1 + 3 * STEPS
    assert max(gaps([0.0, *asked])) <= 300 / STEPS * 1.01


def test_who_comes_while_much_is_planned_is_counted_soon():
    batches = simulate(lambda now: 12_000 if now < 100 else 15_000, 100 + 300 / STEPS + 300)
    assert len({key for time, batch in batches if time >= 100 for key in batch}) == 15_000


def test_many_that_come_after_few_do_not_wait_for_long():
    batches = simulate(lambda now: 1 if now < 100 else 1000, 100 + 300 / STEPS + 300)
    assert len({key for _, batch in batches for key in batch}) == 1000


def test_nobody_is_looked_at_where_nobody_is():
    assert simulate(lambda now: 0, 1000) == []


def test_all_may_leave_while_much_is_planned_and_others_come():
    schedule = Schedule(300, 0.0)
    assert len(schedule.take(lambda: SESSIONS, 300.0)) == AT_ONCE
    assert schedule.take(list, 300.5) == schedule.take(list, 1000.0) == []
    assert schedule.pause(1000.0) == 300 / STEPS
    assert schedule.take(lambda: SESSIONS[:3], 1000.0) == SESSIONS[:3]
