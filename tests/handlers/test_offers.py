"""Who may watch what is asked of handlers of any kind."""

from dataclasses import dataclass

import pytest
from django.contrib.auth.models import AnonymousUser

import live
from live.handlers.offers import watchable
from live.handlers.registry import unregister


@dataclass
class Even(live.ChannelHandler):
    """One that Python cannot hash, as it can be compared."""

    remainder: int = 0

    async def can_subscribe(self, user, channel, data):
        return int(channel.path) % 2 == self.remainder


@pytest.fixture
def even():
    live.register("even", None, Even)
    yield
    unregister("even")


async def test_a_handler_that_cannot_be_hashed_is_asked_too(even):
    channels = {live.Channel("even", "n", str(number)) for number in range(4)}
    assert {channel.path for channel in await watchable(AnonymousUser(), channels)} == {"0", "2"}
