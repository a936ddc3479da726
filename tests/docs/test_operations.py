"""docs/operations.md: the probes answer where it says, and its calls end what they name."""

import asyncio

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import Group, User

from live import health
from live.asgi import live_application
from live.exceptions import DisconnectCode, UnsubscribeCode
from live.testing import LiveCommunicator
from project.dashboards.models import Dashboard
from tests.docs.python import running


async def status(application, path):
    """Of a GET, without a server."""
    request = ApplicationCommunicator(application, {"type": "http", "method": "GET", "path": path, "headers": []})
    await request.send_input({"type": "http.request"})
    return (await request.receive_output(timeout=40))["status"]


@pytest.mark.django_db(transaction=True)
async def test_the_python_of_the_page(live_node, monkeypatch):
    # A probe is answered in time or not at all; the machine may stand still for longer.
    monkeypatch.setattr(health, "ANSWER_SECONDS", 30.0)
    team = await Group.objects.acreate(name="team")
    user = await User.objects.acreate(username="ann-of-operations", is_staff=True)
    await user.groups.aadd(team)
    await Dashboard.objects.acreate(uid="abc", title="abc")
    names = {"live_application": live_application, "User": User, "team": team, "user": user}

    def read():
        """In synchronous code, as the page's."""
        with running("docs/operations.md", **names) as page:
            return page.application

    async with LiveCommunicator(user=user) as client:
        await client.subscribe("grafana/dashboard/uid/abc")
        application = await asyncio.to_thread(read)
        while "unsubscribe" not in (push := await client.receive()):
            pass
        assert push["channel"] == "grafana/dashboard/uid/abc"
        assert push["unsubscribe"]["code"] == UnsubscribeCode.SERVER
        end = await client.disconnected()
        assert (end.code, end.reason, end.reconnect) == (DisconnectCode.FORCE_DISCONNECT, "moved", False)
    await user.arefresh_from_db()
    assert not user.is_staff

    assert await status(application, "/-/alive") == 200
    assert await status(application, "/-/ready") == 200
