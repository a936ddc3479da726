"""Which handler answers for a channel."""

import pytest
from django.core.exceptions import ImproperlyConfigured

import live
from live.channel import Channel
from live.handlers import find_handler
from live.handlers.base import ChannelHandler
from live.handlers.registry import register, unregister


class One(ChannelHandler):
    history_size = 5


class Two(ChannelHandler):
    keep_last = True


@pytest.fixture(autouse=True)
def clean():
    yield
    unregister("chat")
    unregister("chat", "room")


def find(text):
    return type(find_handler(Channel.parse(text)))


def test_the_namespace_wins_over_the_scope():
    assert register("chat")(One) is One
    register("chat", "room", Two)
    assert find("chat/room/x") is Two
    assert find("chat/other/x") is One


def test_one_class_is_one_object():
    register("chat", None, One)
    register("chat", "room", One)
    assert find_handler(Channel.parse("chat/a/b")) is find_handler(Channel.parse("chat/room/b"))


def test_built_in_handlers_answer():
    assert find("stream/a/b").__name__ == "StreamHandler"
    assert find("grafana/dashboard/uid/x").__name__ == "DashboardHandler"
    assert find("grafana/broadcast/x").__name__ == "BroadcastHandler"


@pytest.mark.parametrize("text", ["chat/a/b", "grafana/unknown/x"])
def test_channels_without_a_handler_are_unknown(text):
    with pytest.raises(live.UnknownChannel):
        find(text)


def test_settings_win_and_can_remove(settings):
    register("chat", None, One)
    settings.LIVE = {"HANDLERS": {"chat": f"{__name__}.Two", "stream": None}}
    assert find("chat/a/b") is Two
    with pytest.raises(live.UnknownChannel):
        find("stream/a/b")
    settings.LIVE = {"HANDLERS": {"chat": "no.such.Thing"}}
    with pytest.raises(ImproperlyConfigured, match="cannot be imported"):
        find("chat/a/b")
    settings.LIVE = {"HANDLERS": {"chat": int}}
    with pytest.raises(ImproperlyConfigured, match="no subclass"):
        find("chat/a/b")


def test_registering_nonsense_is_refused():
    with pytest.raises(TypeError, match="a handler is a subclass"):
        register("chat", None, int)
    with pytest.raises(live.InvalidChannel):
        register("cha t")


async def test_the_base_class_refuses_everything():
    handler = ChannelHandler()
    channel = Channel.parse("chat/a/b")
    assert not await handler.can_subscribe(None, channel, None)
    assert not await handler.can_publish(None, channel, None)
    assert await handler.initial_data(None, channel, None) is None
    assert await handler.clean(None, channel, 1) == 1
    assert not handler.options.has_history
