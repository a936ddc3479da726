"""A real site: who is deactivated, logs out or loses a permission loses it on the open sockets too, nobody else."""

import asyncio
import contextlib
import gc
from urllib.parse import urlencode

import pytest

from tests.permission_handlers import HANDLERS
from tests.visitors import DemoSite

SOON = 2.0
"""Seconds within which a right that was taken away is gone."""

RECONNECT = {"code": 3011, "reason": "force reconnect"}

PASSWORD = "secret"

# One hash for all of them: each takes its time.
USERS = """
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
push = Permission.objects.get(codename="push", content_type__app_label="live")
Group.objects.get_or_create(name="pushers")[0].permissions.set([push])
password = make_password({password!r})
User.objects.create(username="root", password=password, is_superuser=True, is_staff=True)
for name in {names}:
    User.objects.create(username=name, password=password).user_permissions.add(push)
print(push.pk, Group.objects.get(name="pushers").pk)
"""

NAMES = ["inactive", "poorer", "member", "leaver", "renewer", "removed", "bystander"]


class Office(DemoSite):
    """A site with one user for each test, and a superuser who changes them in the admin."""

    def open(self):
        """Prepare and start."""
        super().open()
        code = USERS.format(names=NAMES, password=PASSWORD)
        self.push_permission, self.group = map(int, self.manage("shell", "--no-imports", "-c", code).split())
        self.root = self.enter("root")
        _, page = self.root.request("GET", "/admin/auth/user/")
        self.ids = {name: page.split(f'">{name}</a>')[0].rsplit("/user/", 1)[1].split("/")[0] for name in NAMES}
        return self

    def enter(self, name):
        """A visitor who is logged in as that user."""
        return self.login(name, PASSWORD)

    def post(self, visitor, path, **fields):
        """Post a form, which must be taken."""
        fields = {"csrfmiddlewaretoken": visitor.cookie("csrftoken"), **fields}
        status, page = visitor.send("POST", path, urlencode(fields, doseq=True).encode(), {})
        assert status == 200
        assert "errornote" not in page, page

    def change(self, name, *, active=True, permissions=(), groups=()):
        """Save the form of a user in the admin."""
        self.post(
            self.root,
            f"/admin/auth/user/{self.ids[name]}/change/",
            username=name,
            date_joined_0="2026-01-01",
            date_joined_1="00:00:00",
            user_permissions=list(permissions),
            groups=list(groups),
            **({"is_active": "on"} if active else {}),
        )

    @contextlib.asynccontextmanager
    async def socket(self, visitor=None):
        """A socket of a visitor's browser, subscribed to what everybody and to what pushers may."""
        cookie = f"sessionid={visitor.cookie('sessionid')}" if visitor else ""
        async with self.connect(cookie=cookie) as peer:
            assert "subscribe" in await peer.subscribe("name/a/b")
            await peer.subscribe("maypush/a/b")
            yield peer


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """The site."""
    site = Office(tmp_path_factory.mktemp("site"), HANDLERS=HANDLERS).open()
    yield site
    site.close()
    gc.collect()


@pytest.fixture
async def undisturbed(office):
    """Sockets of somebody else and of nobody, which may notice nothing of a test."""
    visitor = await asyncio.to_thread(office.enter, "bystander")
    async with office.socket(visitor) as other, office.socket() as anonymous:
        yield
        assert await everything(other) == []
        assert await everything(anonymous) == []


async def everything(peer):
    """The pushes that wait for a client; it is still there."""
    number = await peer.send({"unsubscribe": {"channel": "no/such/subscription"}})
    found = []
    while (message := await peer.receive()).get("id") != number:
        found.append(message)
    return found


def unsubscribed(channel):
    return {"push": {"channel": channel, "unsubscribe": {"code": 2000, "reason": "permission denied"}}}


async def in_thread(function, *args, **kwargs):
    return await asyncio.to_thread(function, *args, **kwargs)


@pytest.mark.usefixtures("undisturbed")
async def test_a_user_who_is_deactivated_is_cut_everywhere(office):
    first = await in_thread(office.enter, "inactive")
    second = await in_thread(office.enter, "inactive")
    async with office.socket(first) as one, office.socket(second) as other:
        await in_thread(office.change, "inactive", active=False)
        async with asyncio.timeout(SOON):
            assert await one.closed() == (3011, RECONNECT)
            assert await other.closed() == (3011, RECONNECT)
    async with office.connect(cookie=f"sessionid={first.cookie('sessionid')}") as back:
        assert (await back.subscribe("name/a/b"))["subscribe"]["data"] == ""


@pytest.mark.usefixtures("undisturbed")
async def test_a_permission_that_is_taken_away_ends_what_it_allowed(office):
    visitor = await in_thread(office.enter, "poorer")
    async with office.socket(visitor) as peer:
        await in_thread(office.change, "poorer", permissions=[office.push_permission])
        assert await everything(peer) == []
        await in_thread(office.change, "poorer")
        async with asyncio.timeout(SOON):
            assert await peer.receive() == unsubscribed("maypush/a/b")
        assert (await peer.subscribe("maypush/a/b"))["error"]["code"] == 403
        await in_thread(office.change, "poorer", permissions=[office.push_permission])
        assert await everything(peer) == []
        assert (await peer.subscribe("name/c/d"))["subscribe"]["data"] == "poorer"


@pytest.mark.usefixtures("undisturbed")
async def test_a_group_that_loses_a_permission(office):
    visitor = await in_thread(office.enter, "member")
    await in_thread(office.change, "member", groups=[office.group])
    async with office.socket(visitor) as peer:
        path = f"/admin/auth/group/{office.group}/change/"
        await in_thread(office.post, office.root, path, name="pushers", permissions=[])
        async with asyncio.timeout(SOON):
            assert await peer.receive() == unsubscribed("maypush/a/b")
        assert await everything(peer) == []


@pytest.mark.usefixtures("undisturbed")
async def test_a_logout_cuts_the_sockets_of_that_browser(office):
    here = await in_thread(office.enter, "leaver")
    elsewhere = await in_thread(office.enter, "leaver")
    cookie = f"sessionid={here.cookie('sessionid')}"
    async with office.socket(here) as one, office.socket(here) as two, office.socket(elsewhere) as other:
        await in_thread(office.post, here, "/accounts/logout/")
        async with asyncio.timeout(SOON):
            for peer in (one, two):
                assert await peer.closed() == (3011, {"code": 3011, "reason": "logged out"})
        assert await everything(other) == []
    async with office.connect(cookie=cookie) as back:
        assert (await back.subscribe("name/a/b"))["subscribe"]["data"] == ""


@pytest.mark.usefixtures("undisturbed")
async def test_a_logout_cuts_a_socket_that_has_not_said_connect_yet(office):
    here = await in_thread(office.enter, "leaver")
    cookie = f"sessionid={here.cookie('sessionid')}"
    async with office.connect(cookie=cookie, hello=False) as late:
        await in_thread(office.post, here, "/accounts/logout/")
        async with asyncio.timeout(SOON):
            assert await late.closed() == (3011, {"code": 3011, "reason": "logged out"})


@pytest.mark.usefixtures("undisturbed")
async def test_a_new_password_ends_the_sessions_that_do_not_count_any_more(office):
    visitor = await in_thread(office.enter, "renewer")
    async with office.socket(visitor) as peer:
        path = f"/admin/auth/user/{office.ids['renewer']}/password/"
        fields = {"password1": "n3w-and-longer", "password2": "n3w-and-longer", "usable_password": "true"}
        await in_thread(office.post, office.root, path, **fields)
        async with asyncio.timeout(SOON):
            assert await peer.closed() == (3011, {"code": 3011, "reason": "password changed"})
    async with office.connect(cookie=f"sessionid={visitor.cookie('sessionid')}") as back:
        assert (await back.subscribe("name/a/b"))["subscribe"]["data"] == ""


@pytest.mark.usefixtures("undisturbed")
async def test_a_user_who_is_deleted(office):
    visitor = await in_thread(office.enter, "removed")
    async with office.socket(visitor) as peer:
        await in_thread(office.post, office.root, f"/admin/auth/user/{office.ids['removed']}/delete/", post="yes")
        async with asyncio.timeout(SOON):
            assert await peer.closed() == (3011, {"code": 3011, "reason": "user deleted"})
