"""Live in Django's admin: what the page shows of a real site, who may see it, and what disconnecting does."""

import asyncio
import contextlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.test import override_settings
from django.urls import path

from live import admin as live_admin
from live.client import Client
from live.exceptions import EngineUnavailable
from live.models import Overview
from live.node import Node, NodeReport, Survey, runtime
from live.node.control import ClientReport
from tests.peers import Socket, eventually, until
from tests.visitors import DemoSite

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "secret"
LIST = "/admin/live/overview/"
DISCONNECT = "/admin/live/overview/disconnect/"

ANN = "<b>ann</b>"
USERS = f"""
from django.contrib.auth.models import User
root = User.objects.create_superuser("root", password={PASSWORD!r})
for name in ({ANN!r}, "bob"):
    User.objects.create(username=name, password=root.password)
"""

ops = AdminSite(name="ops")
ops.register(Overview, live_admin.OverviewAdmin)
urlpatterns = [path("ops/", ops.urls)]


# A real site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = DemoSite(tmp_path_factory.mktemp("site"))
    site.prepare()
    site.manage("shell", "--no-imports", "-c", USERS)
    site.start()
    yield site
    site.close()


@pytest.fixture(scope="module")
def root(site):
    return site.login("root", PASSWORD)


@pytest.fixture(scope="module")
def cookies(site):
    """The cookies of ann's and bob's browsers."""
    return {name: f"sessionid={site.login(name, PASSWORD).cookie('sessionid')}" for name in (ANN, "bob")}


def table(page, section):
    """The texts of the cells of a section's table, row by row."""
    body = page.split(f'id="{section}"')[1].split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.split(r"</t[hd]>", row)[:-1] for row in re.findall(r"<tr.*?>(.*?)</tr>", body, re.S)]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in rows]


def ask(root, query=""):
    """The list, and its links to disconnect somebody."""
    status, page = root.send("GET", f"{LIST}?{urlencode({'q': query})}", None, {})
    assert status == 200
    return page, re.findall(rf'"({DISCONNECT}\?[^"]*)"', page)


def disconnect(root, url, then="return"):
    """Answers the question that the link leads to; the page that follows."""
    status, page = root.send("GET", url, None, {})
    assert status == 200
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)">\s*<fieldset', page)
    form = urlencode({"csrfmiddlewaretoken": token, "then": then}).encode()
    return root.send("POST", url, form, {"Referer": root.url})


async def nobody_left(root):
    await eventually(lambda: "Nobody is connected." in ask(root)[0])


async def test_nodes_clients_and_channels_are_shown(site, root, cookies):
    async with site.connect(cookie=cookies[ANN]) as ann, site.connect() as other:
        await ann.subscribe("stream/busy/b")
        await ann.subscribe("stream/busy/a")
        await other.subscribe("stream/busy/a")
        site.push("busy", "b x=1\na x=1")
        site.push("busy", "a x=2")
        page, _ = ask(root)

    ((node, clients, users, channels),) = table(page, "live-nodes")
    assert re.fullmatch(r"[0-9a-f]{8} answers now", node)
    assert (clients, users, channels) == ("2", "1", "2")
    rows = sorted(table(page, "live-clients"))
    assert re.fullmatch(r"&lt;b&gt;ann&lt;/b&gt; [0-9a-f]{8} 0 minutes", rows[0][0])
    assert rows[0][1:] == ["2", "0 bytes", "Client User"]
    assert re.fullmatch(r"anonymous [0-9a-f]{8} 0 minutes", rows[1][0])
    assert rows[1][1:] == ["1", "0 bytes", "Client"]
    assert table(page, "live-channels")[:2] == [["stream/busy/a", "2", "2"], ["stream/busy/b", "1", "1"]]
    assert ANN not in page
    await nobody_left(root)


async def test_clients_are_found_by_their_user_and_by_their_id(site, root, cookies):
    async with site.connect(cookie=cookies[ANN]), site.connect(cookie=cookies["bob"]), site.connect():
        page, links = ask(root)
        assert len(table(page, "live-clients")) == 3
        client = next(link for link in links if "client=" in link).partition("client=")[2]
        user = next(link for link in links if "user=" in link).partition("user=")[2]
        assert [row[0][:3] for row in table(ask(root, "BO")[0], "live-clients")] == ["bob"]
        assert len(table(ask(root, client)[0], "live-clients")) == 1
        assert len(table(ask(root, user)[0], "live-clients")) == 1
        assert "No client is" in ask(root, "nobody")[0]
    await nobody_left(root)


def test_what_was_searched_for_is_shown_as_text(root):
    page, _ = ask(root, '"><script>alert(1)</script>\0')
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(("then", "code"), [("return", 3011), ("stay", 3503)])
async def test_a_user_is_disconnected_everywhere_and_nobody_else(site, root, cookies, then, code):
    async with contextlib.AsyncExitStack() as stack:
        ann, phone = [await stack.enter_async_context(site.connect(cookie=cookies[ANN])) for _ in range(2)]
        bob = await stack.enter_async_context(site.connect(cookie=cookies["bob"]))
        _, links = ask(root, ANN)
        (url,) = {link for link in links if "user=" in link}
        status, page = disconnect(root, url, then)
        assert status == 200
        assert "Every node was told to disconnect &lt;b&gt;ann&lt;/b&gt;." in page
        assert (await ann.closed())[0] == (await phone.closed())[0] == code
        assert "subscribe" in await bob.subscribe("stream/busy/a")

    key = url.partition("user=")[2]
    _, history = root.send("GET", f"/admin/auth/user/{key}/history/", None, {})
    assert f"Disconnected from Live with code {code}." in history
    await nobody_left(root)


async def test_one_client_is_disconnected(site, root, cookies):
    async with site.connect(cookie=cookies[ANN]) as ann:
        _, (url, _) = ask(root)
        async with site.connect(cookie=cookies[ANN]) as phone:
            assert disconnect(root, url)[0] == 200
            assert (await ann.closed())[0] == 3011
            assert "subscribe" in await phone.subscribe("stream/busy/a")
    await nobody_left(root)


def test_disconnecting_takes_a_form_of_this_site(root):
    for url in (f"{DISCONNECT}?user=1", f"{DISCONNECT}?client=x"):
        assert root.send("POST", url, b"then=stay", {"Referer": root.url})[0] == 403


# Who may


@pytest.fixture
def staff(client, db):
    """Logs a member of the staff in who has these permissions."""

    def staff(*permissions):
        user = User.objects.create_user("staff", is_staff=True)
        found = Permission.objects.filter(content_type__app_label="live", codename__in=permissions)
        assert len(found) == len(permissions)
        user.user_permissions.set(found)
        client.force_login(user)
        return client

    return staff


def test_the_staff_needs_a_permission_to_look(staff):
    client = staff()
    assert LIST not in client.get("/admin/").content.decode()
    assert client.get(LIST).status_code == client.get(f"{DISCONNECT}?user=1").status_code == 403


def test_looking_is_not_disconnecting(staff):
    client = staff("view_overview")
    assert LIST in client.get("/admin/").content.decode()
    page = client.get(LIST)
    assert page.status_code == 200
    assert not page.context["may_disconnect"]
    for method in (client.get, client.post):
        assert method(f"{DISCONNECT}?user=1").status_code == 403


def test_disconnecting_needs_both_permissions(staff):
    client = staff("disconnect")
    assert client.get(f"{DISCONNECT}?user=1").status_code == 403


def test_with_both_permissions_one_may(staff):
    client = staff("view_overview", "disconnect")
    assert client.get(f"{DISCONNECT}?user=1").status_code == 200
    assert client.get(LIST).context["may_disconnect"]


def test_others_are_sent_to_the_login(client, db):
    for url in (LIST, f"{DISCONNECT}?user=1"):
        assert client.get(url).url.startswith("/admin/login/")
    client.force_login(User.objects.create_user("user"))
    assert client.get(LIST).url.startswith("/admin/login/")


# What is asked wrongly


def test_only_what_makes_sense_is_answered(admin_client):
    assert admin_client.post(LIST).status_code == 405
    for query in ("", "?user=1&client=x", "?user=%00"):
        assert admin_client.get(DISCONNECT + query).status_code == 404
    assert admin_client.post(f"{DISCONNECT}?user=1", {"then": "vanish"}).status_code == 404
    assert admin_client.post(f"{DISCONNECT}?user=1").status_code == 404


@pytest.mark.parametrize("user", ["x", "99999999999999999999999999", "-1", "1.5", "a" * 1000])
def test_users_that_are_none_can_be_disconnected_too(admin_client, user):
    assert admin_client.get(DISCONNECT, {"user": user}).status_code == 200
    assert admin_client.post(f"{DISCONNECT}?user={user}", {"then": "stay"}).status_code == 302


# When something is missing


async def away(*args, **kwargs):
    raise EngineUnavailable("Redis is <away>")


def test_without_redis_the_page_shows_what_this_process_knows(admin_client, monkeypatch):
    monkeypatch.setattr(Node, "survey", away)
    monkeypatch.setattr(live_admin, "active_channels", away)
    page = admin_client.get(LIST).content.decode()
    assert "Only this process is shown: Redis is &lt;away&gt;." in page
    assert "The channels cannot be read: Redis is &lt;away&gt;." in page
    assert len(table(page, "live-nodes")) == 1


def test_a_node_that_does_not_answer_itself(admin_client, monkeypatch):
    def run(*args):
        raise EngineUnavailable("the node did not answer")

    monkeypatch.setattr(runtime, "run", run)
    page = admin_client.get(LIST)
    assert page.status_code == 200
    assert len(page.context["problems"]) == 2


def test_a_disconnect_that_reaches_nobody_is_said(admin_client, monkeypatch):
    monkeypatch.setattr(Node, "control", away)
    page = admin_client.post(f"{DISCONNECT}?user=1", {"then": "stay"}).content.decode()
    assert "Nobody was disconnected: Redis is &lt;away&gt;." in page


def test_every_node_is_shown_with_its_clients_and_those_that_do_not_answer_are_named(admin_client, monkeypatch):
    async def survey(self, *args, **kwargs):
        clients = (ClientReport("x" * 36, "", 0.0, 5, 700), ClientReport("y" * 36, "7", 0.0, 1, 1))
        nodes = [
            NodeReport("a" * 32, 1500, 3, 4, listed=clients[1:]),
            NodeReport("b" * 32, 1, 0, 2, listed=clients[:1]),
        ]
        return Survey(nodes, ["c" * 32])

    monkeypatch.setattr(Node, "survey", survey)
    page = admin_client.get(LIST).content.decode()
    assert table(page, "live-nodes") == [
        ["aaaaaaaa", "1500", "3", "4"],
        ["bbbbbbbb", "1", "0", "2"],
        ["cccccccc", "did not answer within a second"],
    ]
    assert "There are 1501." in page
    rows = table(page, "live-clients")
    assert [row[0].partition(" 5")[0] for row in rows] == ["anonymous xxxxxxxx on bbbbbbbb", "7 yyyyyyyy on aaaaaaaa"]
    assert [row[1:] for row in rows] == [["5", "700 bytes", "Client"], ["1", "1 byte", "Client User"]]


@pytest.fixture
async def node():
    """The node that serves this process."""
    yield await runtime.serve()
    await runtime.stop_serving()


async def test_the_list_is_bounded_and_begins_with_those_most_waits_for(node, monkeypatch):
    monkeypatch.setattr(live_admin, "MAX_CLIENTS", 3)
    clients = []
    for size in range(5):
        socket = Socket()
        socket.free.clear()
        client = Client(node, AnonymousUser(), socket.send)
        node.admit(client)
        client.reply(b"stuck")
        await until(lambda client=client: client.queue_bytes == 0)
        client.reply(b"x" * size)
        clients.append(client)

    survey = await asyncio.to_thread(live_admin._survey, (), [])
    (listed,) = (report.listed for report in survey.nodes if report.node == node.id)
    assert [report.client for report in listed] == [client.id for client in clients[:1:-1]]
    assert [report.queue_bytes for report in listed] == [4, 3, 2]
    for client in clients:
        await client.closed()


def test_a_user_model_whose_names_are_no_texts(db, monkeypatch):
    monkeypatch.setattr(User, "USERNAME_FIELD", "groups")
    assert live_admin._matching("7") == ("7",)


# Where it is


@override_settings(ROOT_URLCONF=__name__)
def test_in_another_admin_site(admin_client):
    page = admin_client.get("/ops/live/overview/")
    assert page.status_code == 200
    assert 'href="/ops/"' in page.content.decode()
    assert page.context["disconnect_url"] == "/ops/live/overview/disconnect/"


def test_a_site_without_an_admin():
    code = "import django, sys; django.setup(); from django.core.management import call_command as call; call('check')"
    command = [sys.executable, "-W", "error", "-c", f"{code}; sys.exit('live.admin' in sys.modules)"]
    env = {"DJANGO_SETTINGS_MODULE": "tests.plain_users.settings", "PATH": "", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, timeout=30)
