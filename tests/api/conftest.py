"""Users, clients and a look at what subscribers would get, through the real memory store and in-memory layer."""

import uuid

import orjson
import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from live.channel import Channel
from live.handlers import find_handler
from live.node import runtime
from live.publishing import active_channels, run


@pytest.fixture
def stream_id():
    """A stream that no other test uses: the store lives as long as the process."""
    return f"s-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def user(db):
    """Somebody without permissions."""
    return User.objects.create_user("reader")


@pytest.fixture
def pusher(db):
    """Somebody with the permission to push."""
    user = User.objects.create_user("pusher")
    user.user_permissions.add(Permission.objects.get(codename="push", content_type__app_label="live"))
    return user


@pytest.fixture
def token(pusher):
    """The pusher's token."""
    return Token.objects.create(user=pusher).key


@pytest.fixture
def client(token):
    """A client with the pusher's token."""
    return client_with(f"Token {token}")


def client_with(authorization=None):
    """A client that checks CSRF as a browser's request would be, with this Authorization header."""
    client = APIClient(enforce_csrf_checks=True)
    if authorization:
        client.credentials(HTTP_AUTHORIZATION=authorization)
    return client


def push(client, stream_id, body, content_type="text/plain", query="", **extra):
    """The answer to a push of `body` as a sender of metrics makes it."""
    body = body.encode() if isinstance(body, str) else body
    return client.generic("POST", f"/api/live/push/{stream_id}{query}", body, content_type=content_type, **extra)


def published(channel):
    """The publications that subscribers of `channel` got, oldest first."""

    async def read(node):
        publications, _ = await node.store.history(Channel.parse(channel))
        return [orjson.loads(publication.data) for publication in publications]

    return runtime.run(read)


def last_value(channel):
    """What a new subscriber of `channel` gets first, or None."""
    channel = Channel.parse(channel)
    handler = find_handler(channel)

    async def read(node):
        own = await handler.initial_data(AnonymousUser(), channel, None)
        state = await node.store.state(channel, handler.options)
        return own if own is not None else state.last and orjson.loads(state.last)

    return runtime.run(read)


def channels_of(stream_id):
    """The channels of the stream that something was published to."""
    return [str(active.channel) for active in run(active_channels) if active.channel.namespace == stream_id]
