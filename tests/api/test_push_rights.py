"""Who may push where: the hook `can_push` of the stream's handler, over HTTP and WebSocket."""

import asyncio

import orjson
import pytest
from django.contrib.auth.models import AnonymousUser, User
from rest_framework.authtoken.models import Token

import live
from live.api.authentication import recent_tokens
from live.handlers import ChannelHandler
from live.handlers.registry import unregister
from live.handlers.stream import StreamHandler, has_push_permission
from live.node import current_node

from .conftest import channels_of, client_with, push

LINE = "cpu x=1"


@pytest.fixture(autouse=True)
def nothing_remembered():
    recent_tokens.clear()
    yield
    recent_tokens.clear()


class OwnStream(StreamHandler):
    """Everybody pushes to the stream with the own name only."""

    async def can_push(self, user, stream_id):
        if stream_id == "own-gone":
            raise live.NotFound("no such stream")
        # What handlers may do here: ask the ORM.
        return await User.objects.filter(pk=user.pk, username=stream_id.removeprefix("own-")).aexists()


@pytest.fixture
def own():
    """The handler answers for some streams."""
    names = ("own-reader", "own-other", "own-gone")
    for name in names:
        live.register("stream", name, OwnStream)
    yield
    for name in names:
        unregister("stream", name)


def test_the_handler_decides(own, user):
    client = client_with(f"Token {Token.objects.create(user=user).key}")

    assert push(client, "own-reader", LINE).status_code == 200
    response = push(client, "own-other", LINE)
    assert response.status_code == 403
    assert orjson.loads(response.content) == {"message": "pushing needs the permission live.push"}
    assert push(client, "own-gone", LINE).status_code == 404
    assert channels_of("own-other") == []
    # Elsewhere the permission is needed.
    assert push(client, "elsewhere", LINE).status_code == 403


def test_where_nobody_serves_no_token_waits_for_being_checked_again(client, stream_id, monkeypatch):
    """As under WSGI: there is no node that could do it."""
    now = 1000.0
    monkeypatch.setattr(recent_tokens, "_clock", lambda: now)
    assert current_node() is None
    for _ in range(2):
        assert push(client, stream_id, LINE).status_code == 200
        now += recent_tokens.SECONDS * 0.8
    assert recent_tokens._refreshing == set()


def test_a_handler_without_the_hook_needs_the_permission(client, user, stream_id):
    class Plain(ChannelHandler):
        """No handler of streams."""

    live.register("stream", stream_id, Plain)
    try:
        assert push(client, stream_id, LINE).status_code == 200
        other = client_with(f"Token {Token.objects.create(user=user).key}")
        assert push(other, stream_id, LINE).status_code == 403
    finally:
        unregister("stream", stream_id)


async def test_users_without_permissions_at_all():
    class Bare:
        """What AbstractBaseUser is without PermissionsMixin."""

        is_authenticated = True

    assert await has_push_permission(Bare()) is False


@pytest.mark.django_db(transaction=True)
async def test_visitors_may_not():
    assert await asyncio.wait_for(StreamHandler().can_push(AnonymousUser(), "demo"), 30) is False
