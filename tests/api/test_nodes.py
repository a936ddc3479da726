"""``GET nodes``: every process with what it has to do, for staff only."""

import orjson
import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from rest_framework.authtoken.models import Token

import live
from live.node.control import NodeReport, Survey

from .conftest import client_with


@pytest.fixture
def staff(db):
    """A client of somebody of the staff."""
    user = User.objects.create_user("boss", is_staff=True)
    return client_with(f"Token {Token.objects.create(user=user).key}")


def nodes(client):
    """Status and body of the answer."""
    response = client.get("/api/live/nodes")
    assert response["Content-Type"] == "application/json"
    return response.status_code, orjson.loads(response.content)


def test_a_process_alone_is_one_node(staff):
    status, answer = nodes(staff)

    (node,) = answer.pop("nodes")
    assert (status, answer) == (200, {"missing": []})
    assert len(node.pop("node")) == 32
    assert node == {"clients": 0, "users": 0, "channels": 0}


def test_those_that_do_not_answer_are_named(staff, monkeypatch):
    async def survey():
        return Survey([NodeReport("a", 120, 31, 14), NodeReport("b", 1, 0, 2)], ["c", "d"])

    monkeypatch.setattr("live.api.nodes.survey", survey)

    assert nodes(staff) == (
        200,
        {
            "nodes": [
                {"node": "a", "clients": 120, "users": 31, "channels": 14},
                {"node": "b", "clients": 1, "users": 0, "channels": 2},
            ],
            "missing": ["c", "d"],
        },
    )


def test_an_engine_that_is_away(staff, monkeypatch):
    async def survey():
        raise live.EngineUnavailable("away")

    monkeypatch.setattr("live.api.nodes.survey", survey)
    response = staff.get("/api/live/nodes")
    assert (response.status_code, response["Retry-After"]) == (503, "5")


def test_it_is_not_for_others(client, db):
    assert nodes(client_with())[0] == 401
    assert nodes(client)[0] == 403


def test_it_is_only_read(staff):
    assert staff.post("/api/live/nodes").status_code == 405


def test_the_url_has_a_name():
    assert reverse("live:nodes") == "/api/live/nodes"
