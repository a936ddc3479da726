"""Users who lose something: which control messages follow, when, and that nobody is held up or hurt by them."""

import asyncio
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from django.contrib.auth import alogout, authenticate
from django.contrib.auth import logout as log_out
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.http import HttpRequest

import live
from live import access
from live.exceptions import DisconnectCode, EngineUnavailable, SyncInAsync
from live.node.control import ControlMessage, session_digest
from live.notices import MAX_MESSAGES, MAX_USERS, Notices

ROOT = Path(__file__).resolve().parent.parent


def recheck(*users):
    return ControlMessage("recheck", tuple(str(getattr(user, "pk", user)) for user in users))


EVERYBODY = ControlMessage("recheck")


@pytest.fixture
def sent(monkeypatch, django_capture_on_commit_callbacks):
    """Call it with what changes something: the control messages that followed its commit."""
    messages = []
    notices = Notices(messages.append)
    monkeypatch.setattr(access, "notices", notices)

    def follow(change):
        with django_capture_on_commit_callbacks(execute=True):
            change()
            notices.join()
            assert messages == [], "sent before the commit"
        notices.join()
        found = messages[:]
        messages.clear()
        return [ControlMessage(m.action, tuple(sorted(m.users)), m.session, m.channel, m.code, m.reason) for m in found]

    return follow


@pytest.fixture
def user(db):
    return User.objects.create_user("anna", password="anna")


@pytest.fixture
def other(db):
    return User.objects.create_user("bert")


@pytest.fixture
def group(user):
    group = Group.objects.create(name="staff")
    user.groups.add(group)
    return group


@pytest.fixture
def permission(db):
    return Permission.objects.get(codename="push", content_type__app_label="live")


# Users


def test_a_saved_user_is_checked_again(sent, user):
    user.is_active = False
    assert sent(user.save) == [recheck(user)]
    assert sent(lambda: user.save(update_fields=["is_staff"])) == [recheck(user)]


def test_a_login_and_a_new_user_are_nothing(sent, user):
    assert sent(lambda: user.save(update_fields=["last_login"])) == []
    assert sent(lambda: User.objects.create_user("carl")) == []


def test_many_users_in_one_transaction_are_one_message(sent, user, other):
    def change():
        for _ in range(50):
            user.save()
            other.save()

    assert sent(change) == [recheck(user, other)]


def test_nothing_follows_a_transaction_that_is_taken_back(sent, user):
    def change():
        try:
            with transaction.atomic():
                user.save()
                raise RuntimeError("taken back")
        except RuntimeError:
            pass

    assert sent(change) == []


def test_a_proxy_of_the_user_is_the_user(sent, user, monkeypatch):
    class Staff(User):
        class Meta:
            app_label = "dashboards"
            proxy = True

    try:
        access.connect()
        staff = Staff.objects.get(pk=user.pk)
        assert sent(staff.save) == [recheck(user)]
    finally:
        from django.apps import apps

        del apps.all_models["dashboards"]["staff"]
        apps.clear_cache()


def test_a_deleted_user_is_disconnected(sent, user):
    key = user.pk
    assert sent(user.delete) == [ControlMessage("disconnect", (str(key),), code=3011, reason="user deleted")]


def test_a_new_password_ends_the_sessions_and_so_the_connections(sent, user):
    def change():
        user.set_password("new")
        user.save()

    assert sent(change) == [ControlMessage("disconnect", (str(user.pk),), code=3011, reason="password changed")]
    assert sent(user.save) == [recheck(user)]


def test_a_hash_that_is_renewed_is_no_new_password(sent, user, settings):
    settings.PASSWORD_HASHERS = [*settings.PASSWORD_HASHERS[1:], settings.PASSWORD_HASHERS[0]]
    before = user.password

    assert sent(lambda: authenticate(username="anna", password="anna")) == [recheck(user)]
    user.refresh_from_db()
    assert user.password != before


# Permissions and groups


def test_permissions_of_a_user(sent, user, permission):
    assert sent(lambda: user.user_permissions.add(permission)) == [recheck(user)]
    assert sent(lambda: user.user_permissions.remove(permission)) == [recheck(user)]
    assert sent(lambda: user.user_permissions.set([permission])) == [recheck(user)]
    assert sent(user.user_permissions.clear) == [recheck(user)]


def test_permissions_from_their_end(sent, user, other, permission):
    assert sent(lambda: permission.user_set.add(user, other)) == [recheck(user, other)]
    assert sent(lambda: permission.user_set.remove(other)) == [recheck(other)]
    assert sent(permission.user_set.clear) == [recheck(user)]
    assert sent(permission.user_set.clear) == []


def test_groups_of_a_user(sent, user, other, group):
    assert sent(lambda: user.groups.remove(group)) == [recheck(user)]
    assert sent(lambda: user.groups.add(group)) == [recheck(user)]
    assert sent(user.groups.clear) == [recheck(user)]
    assert sent(lambda: group.user_set.add(user, other)) == [recheck(user, other)]
    assert sent(lambda: group.user_set.remove(user)) == [recheck(user)]
    assert sent(group.user_set.clear) == [recheck(other)]


def test_permissions_of_a_group(sent, user, other, group, permission):
    assert sent(lambda: group.permissions.add(permission)) == [recheck(user)]
    assert sent(lambda: group.permissions.remove(permission)) == [recheck(user)]
    assert sent(lambda: permission.group_set.add(group)) == [recheck(user)]
    assert sent(permission.group_set.clear) == [recheck(user)]
    other.groups.add(group)
    assert sent(lambda: group.permissions.set([permission])) == [recheck(user, other)]
    assert sent(group.permissions.clear) == [recheck(user, other)]


def test_a_deleted_group(sent, user, other, group):
    assert sent(group.delete) == [recheck(user)]


def test_a_group_without_users_is_nothing(sent, permission):
    group = Group.objects.create(name="empty")
    assert sent(lambda: group.permissions.add(permission)) == []
    assert sent(group.delete) == []


def test_of_a_large_group_everybody_is_checked(sent, permission):
    group = Group.objects.create(name="large")
    users = User.objects.bulk_create([User(username=f"user{number}") for number in range(MAX_USERS + 1)])
    for part in (users[:600], users[600:]):
        User.groups.through.objects.bulk_create([User.groups.through(user=user, group=group) for user in part])

    assert sent(lambda: group.permissions.add(permission)) == [EVERYBODY]


# Logging out


def request_of(user):
    request = HttpRequest()
    request.session = SessionStore()
    request.session["x"] = 1
    request.session.save()
    request.user = user
    return request, request.session.session_key


def cut(user, key):
    return ControlMessage("disconnect", (str(user.pk),), session_digest(key), code=3011, reason="logged out")


def test_a_logout_cuts_the_clients_of_that_session(sent, user):
    request, key = request_of(user)

    assert sent(lambda: log_out(request)) == [cut(user, key)]
    assert request.session.session_key is None


def test_a_logout_is_told_when_the_session_is_gone(user, monkeypatch):
    """Told before, a client that is quick would come back as who it was."""
    request, key = request_of(user)
    existed = []
    monkeypatch.setattr(access.notices, "add", lambda message: existed.append(SessionStore().exists(key)))
    monkeypatch.setattr(access, "on_commit", lambda action, using=None: action())
    log_out(request)
    assert existed == [False]


@pytest.mark.django_db(transaction=True)
async def test_a_logout_in_async_code(monkeypatch):
    messages = []
    notices = Notices(messages.append)
    monkeypatch.setattr(access, "notices", notices)
    user = await User.objects.acreate_user("dora")
    request = HttpRequest()
    request.session = SessionStore()
    await request.session.acreate()
    key = request.session.session_key
    request.user = user

    async def auser():
        return user

    request.auser = auser
    await alogout(request)
    await asyncio.to_thread(notices.join)
    assert messages == [cut(user, key)]


def test_a_logout_of_nobody_is_nothing(sent, user):
    request, _ = request_of(AnonymousUser())
    assert sent(lambda: log_out(request)) == []
    request, _ = request_of(user)
    request.session = SessionStore()
    assert sent(lambda: log_out(request)) == []


def test_a_session_is_flushed_twice_and_told_once(sent, user):
    request, key = request_of(user)

    def change():
        log_out(request)
        request.session.flush()

    assert sent(change) == [cut(user, key)]


# Inside an event loop


@pytest.mark.django_db(transaction=True)
async def test_async_code_that_saves(monkeypatch):
    messages = []
    notices = Notices(messages.append)
    monkeypatch.setattr(access, "notices", notices)
    user = await User.objects.acreate_user("eva")
    await user.asave()
    await asyncio.to_thread(notices.join)
    assert messages == [recheck(user)]


@pytest.mark.django_db(transaction=True)
async def test_a_signal_sent_on_the_loop_does_not_wait_for_a_transaction(monkeypatch):
    messages = []
    notices = Notices(messages.append)
    monkeypatch.setattr(access, "notices", notices)
    user = User(pk=7, username="loop")
    access._saved(User, user, created=False, raw=False, using="default")
    await asyncio.to_thread(notices.join)
    assert messages == [recheck(7)]


# The messages' way


class Engine:
    """Sends, or fails while `away`; `attempts` counts, `tried` is set at each."""

    def __init__(self, away=True):
        self.away = away
        self.messages = []
        self.attempts = 0
        self.tried = threading.Event()

    def send(self, message):
        self.attempts += 1
        self.tried.set()
        if self.away:
            raise EngineUnavailable("redis is away")
        self.messages.append(message)


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr("live.notices.RETRY_SECONDS", (0.01,))


def test_what_cannot_be_sent_is_sent_later_and_said_once(quickly, caplog):
    caplog.set_level("INFO", "live.access")
    engine = Engine()
    notices = Notices(engine.send)
    notices.recheck(["1"])
    for _ in range(3):
        engine.tried.wait()
        engine.tried.clear()
    notices.recheck(["2", "1"])
    notices.add(ControlMessage("disconnect", ("3",), "s"))
    notices.add(ControlMessage("disconnect", ("3",), "s"))
    engine.away = False
    notices.join()

    assert set(engine.messages) == {ControlMessage("disconnect", ("3",), "s"), recheck(1, 2)}
    assert len(engine.messages) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "redis is away" in caplog.text


def test_what_waits_is_bounded(quickly, caplog):
    engine = Engine()
    notices = Notices(engine.send)
    for number in range(MAX_MESSAGES + 5):
        notices.add(ControlMessage("disconnect", (str(number),)))
    notices.recheck(map(str, range(MAX_USERS)))
    notices.recheck(["more"])
    notices.recheck(["9"])
    engine.away = False
    notices.join()

    assert engine.messages[-1] == EVERYBODY
    assert len(engine.messages) == MAX_MESSAGES + 1
    assert caplog.text.count("is lost") == 5


def test_a_mistake_of_ours_does_not_stop_the_rest(caplog):
    got = []

    def send(message):
        if message.action == "unsubscribe":
            raise TypeError("oh")
        got.append(message)

    notices = Notices(send)
    notices.add(ControlMessage("unsubscribe", ("1",)))
    notices.add(ControlMessage("disconnect", ("1",)))
    notices.join()
    assert [message.action for message in got] == ["disconnect"]
    assert "was not sent" in caplog.text
    notices.recheck(None)
    notices.join()
    assert got[-1] == EVERYBODY


def python(code, **env):
    """Runs `code` in a process of its own that serves nobody."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **env}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    return subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=50)


PROCESS = """
import django, time, os
django.setup()
from live.exceptions import EngineUnavailable
from live.notices import Notices
def send(message):
    {send}
notices = Notices(send)
notices.recheck(["1"])
{more}
"""


def test_a_process_ends_when_its_last_message_is_out(tmp_path):
    done = python(PROCESS.format(send="time.sleep(0.3); print(message)", more=""), LIVE_VAR=str(tmp_path))
    assert "ControlMessage(action='recheck', users=('1',)" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_is_not_kept_by_an_engine_that_is_away(tmp_path):
    code = PROCESS.format(send="raise EngineUnavailable('away')", more="began = time.monotonic()") + (
        "import atexit; atexit.register(lambda: print('in time', time.monotonic() - began < 1.5))"
    )
    done = python(code, LIVE_VAR=str(tmp_path))
    assert done.stdout == "in time True\n"
    assert done.stderr.splitlines() == [
        "control messages wait, the other nodes cannot be told: away",
        "1 control messages were not sent: away",
    ]


def test_a_forked_child_sends_its_own_and_not_its_parent_s(tmp_path):
    more = """
from live.notices import notices
notices._send = lambda message: print(os.getpid() == parent, message.users, flush=True)
parent = os.getpid()
notices.recheck(["2"])
child = os.fork()
if not child:
    notices.recheck(["3"])
    notices.join()
    os._exit(0)
os.waitpid(child, 0)
notices.join()
"""
    done = python(PROCESS.format(send="pass", more=more), LIVE_VAR=str(tmp_path))
    assert done.stderr == ""
    assert sorted(done.stdout.splitlines()) == ["False ('3',)", "True ('2',)"]


def test_a_user_model_without_groups(tmp_path):
    code = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.db import connection
from live import access, notices
got = []
access.notices = notices.Notices(got.append)
model = get_user_model()
with connection.schema_editor() as editor:
    editor.create_model(model)
user = model.objects.create(name="anna")
user.save()
access.notices.join()
user.delete()
access.notices.join()
print([(message.action, message.users) for message in got])
"""
    done = python(code, LIVE_VAR=str(tmp_path), DJANGO_SETTINGS_MODULE="tests.plain_users.settings")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[('recheck', ('1',)), ('disconnect', ('1',))]"


# What a project says


@pytest.fixture
def told(monkeypatch):
    """The messages that the functions sent."""
    messages = []

    async def acontrol(message):
        messages.append(message)

    monkeypatch.setattr(access, "control", messages.append)
    monkeypatch.setattr(access, "acontrol", acontrol)
    return messages


KEY = uuid.UUID(int=5)
CALLS = [
    ("disconnect_user", (7,), {}, ControlMessage("disconnect", ("7",), code=3503, reason="force disconnect")),
    (
        "disconnect_user",
        ("7",),
        {"code": DisconnectCode.FORCE_RECONNECT, "reason": "moved"},
        ControlMessage("disconnect", ("7",), code=3011, reason="moved"),
    ),
    ("unsubscribe_user", (KEY, "stream/a/b"), {}, ControlMessage("unsubscribe", (str(KEY),), channel="stream/a/b")),
    (
        "unsubscribe_user",
        (User(pk=7), live.Channel("stream", "a", "b")),
        {},
        ControlMessage("unsubscribe", ("7",), channel="stream/a/b"),
    ),
    ("recheck", (), {}, EVERYBODY),
    ("recheck", (User(pk=7),), {}, recheck(7)),
]


@pytest.mark.parametrize(("name", "arguments", "options", "message"), CALLS)
async def test_the_functions_and_their_twins(told, name, arguments, options, message):
    getattr(access, name)(*arguments, **options)
    await getattr(access, f"a{name}")(*arguments, **options)
    assert told == [message, message]


@pytest.mark.parametrize("user", [AnonymousUser(), User(), "", None])
def test_whoever_is_not_saved_is_nobody(told, user):
    with pytest.raises(ValueError, match="no primary key"):
        access.disconnect_user(user)
    assert told == []


def test_what_is_no_user_no_channel_and_no_code(told):
    with pytest.raises(TypeError, match="is no user"):
        access.disconnect_user(Group(pk=1))
    with pytest.raises(live.InvalidChannel):
        access.unsubscribe_user(1, "nonsense")
    with pytest.raises(ValueError, match="1234"):
        access.disconnect_user(1, code=1234)
    assert told == []


async def test_a_blocking_call_inside_a_loop_is_refused():
    with pytest.raises(SyncInAsync):
        access.recheck(1)
