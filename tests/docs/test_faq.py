"""docs/faq.md: what it shows in answer to a question does what it says."""

import pytest
from django.contrib.auth.models import AnonymousUser, User

import live
from live.handlers.registry import find_handler
from tests.docs.python import running


@pytest.fixture
def answers():
    with running("docs/faq.md") as module:
        yield module


async def test_an_inbox_is_for_its_user(answers):
    channel = live.Channel.parse("user/7/inbox")
    handler = find_handler(channel)
    assert isinstance(handler, answers.Inbox)
    assert await handler.can_subscribe(User(pk=7), channel, None)
    assert not await handler.can_subscribe(User(pk=8), channel, None)
    assert not await handler.can_subscribe(AnonymousUser(), channel, None)
