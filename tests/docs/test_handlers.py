"""What docs/handlers.md shows does what it says there: its blocks are run, and its chat is used."""

import asyncio
import sys
import types
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test import override_settings

import live
from live.exceptions import UnsubscribeCode
from live.handlers.registry import find_handler, unregister
from live.testing import CommandFailed, LiveCommunicator
from tests.docs.markdown import blocks

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/handlers.md"
KITCHEN = "chat/kitchen/lunch"
ANN = "ann-of-the-kitchen"


@pytest.fixture(scope="module")
def page():
    """The namespace after all Python blocks, with the page's settings in `LIVE`."""
    module = types.ModuleType("chat.channels")
    sys.modules |= {"chat": types.ModuleType("chat"), "chat.channels": module}
    for number, (language, text) in enumerate(blocks(PAGE.read_text())):
        if language == "python":
            exec(compile(text, f"docs/handlers.md, block {number + 1}", "exec"), vars(module))
    yield module
    unregister("chat")
    for name in ("chat", "chat.channels"):
        del sys.modules[name]


@pytest.fixture
async def ann(transactional_db):
    """A user in the kitchen's group."""
    user = await User.objects.acreate(username=ANN)
    await user.groups.aadd(await Group.objects.acreate(name="kitchen"))
    return user


@pytest.mark.usefixtures("page", "live_node")
async def test_a_message_is_signed_and_kept(ann):
    async with LiveCommunicator(user=ann) as client:
        answer = await client.subscribe(KITCHEN)
        assert answer.data == {"topic": "This is lunch"}
        await client.publish(KITCHEN, {"text": "soup", "from": "bob"})
        assert (await client.publication()).data == {"text": "soup", "from": ANN}
        (kept,) = (await client.history(KITCHEN)).publications
        assert kept.data["text"] == "soup"
        assert [member.info for member in await client.presence(KITCHEN)] == [{"name": ANN}]
        with pytest.raises(CommandFailed, match="a message is"):
            await client.publish(KITCHEN, "soup")


@pytest.mark.usefixtures("page", "live_node")
async def test_the_other_rooms_are_closed(ann):
    async with LiveCommunicator(user=ann) as client:
        for act in (client.subscribe("chat/office/lunch"), client.publish("chat/office/lunch", {"text": "soup"})):
            with pytest.raises(CommandFailed) as refused:
                await act
            assert refused.value.code == 403


@pytest.mark.usefixtures("page", "live_node")
async def test_who_leaves_the_group_leaves_the_room(ann):
    async with LiveCommunicator(user=ann) as client:
        await client.subscribe(KITCHEN)
        await ann.groups.aclear()
        while "unsubscribe" not in (push := await client.receive()):
            assert push.keys() & {"join", "leave"}
        assert push["unsubscribe"]["code"] == UnsubscribeCode.SERVER


@pytest.mark.usefixtures("live_node")
async def test_the_house_speaks(page, ann):
    async with LiveCommunicator(user=ann) as client:
        await client.subscribe(KITCHEN)
        await asyncio.to_thread(page.tell, "lunch", "soup")
        assert (await client.publication()).data == {"text": "soup", "from": "the house"}
        await asyncio.to_thread(page.close_room, [ann])
        assert len(await client.presence(KITCHEN)) == 1


async def test_streams_can_have_other_rules(page, ann):
    with override_settings(LIVE=page.LIVE):
        handler = find_handler(live.Channel.parse("stream/host/cpu"))
        assert isinstance(handler, page.StaffStreams)
        channel = live.Channel.parse("stream/host/cpu")
        assert not await handler.can_subscribe(AnonymousUser(), channel, None)
        assert not await handler.can_subscribe(ann, channel, None)
        assert await handler.can_subscribe(User(is_staff=True), channel, None)
        assert not await handler.can_push(ann, "host")
        await ann.groups.aadd(await Group.objects.acreate(name="agents"))
        assert await handler.can_push(ann, "host")
