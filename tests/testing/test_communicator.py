"""A client in the test's own process: every command, what comes, and that waiting never disturbs the application."""

import asyncio

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import override_settings

import live
from live.exceptions import DisconnectCode
from live.handlers.registry import find_handler
from live.node.control import ControlMessage
from live.publishing import acontrol
from live.store import PresenceStats
from live.testing import (
    CommandFailed,
    Disconnected,
    HandshakeRefused,
    LiveCommunicator,
    Present,
    Publication,
    communicator,
)
from tests.client.rooms import NOTHING
from tests.peers import until

pytestmark = pytest.mark.usefixtures("live_node", "rooms")


async def greet(receive, send):
    """What an application does for a client that connects."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.send", "bytes": b'{"id":1,"connect":{"client":"c"}}'})


async def test_a_visit(live_node):
    async with LiveCommunicator() as client:
        assert client.client_id
        answer = await client.subscribe("street/a/b")
        assert (answer.data, answer.position, answer.publications) == (None, None, ())
        await live.apublish("street/a/b", {"x": 1})
        assert await client.publication() == Publication("street/a/b", {"x": 1})
        await client.unsubscribe("street/a/b")
        await live.apublish("street/a/b", {"x": 2})
        assert await client.publications() == []
        assert client.disconnection is None
    await until(lambda: live_node.stats == NOTHING)


async def test_publications_are_read_by_channel():
    async with LiveCommunicator() as client:
        await client.subscribe("street/a/b")
        await client.subscribe(live.Channel.parse("street/a/c"))
        await live.apublish_many([("street/a/b", 1), ("street/a/c", 2), ("street/a/b", 3), ("street/a/b", 4)])
        assert (await client.publication("street/a/c")).data == 2
        assert (await client.publication()).data == 1
        assert [publication.data for publication in await client.publications("street/a/b")] == [3, 4]
        assert await client.publications() == []


async def test_publishing_and_history():
    async with LiveCommunicator() as client:
        answer = await client.subscribe("room/a/b", data={"hello": True})
        assert answer.data == {"asked": {"hello": True}}
        for number in range(3):
            await client.publish("room/a/b", number)
        publication = await client.publication()
        assert (publication.data, publication.offset) == (0, 1)
        assert publication.info == {"user": "", "client": client.client_id}
        kept = await client.history("room/a/b")
        assert [each.data for each in kept.publications] == [0, 1, 2]
        assert kept.position == live.Position(3, answer.position.epoch)
        newest = await client.history("room/a/b", limit=1, reverse=True)
        assert [each.offset for each in newest.publications] == [3]
        later = await client.history("room/a/b", since=live.Position(2, kept.position.epoch))
        assert [each.offset for each in later.publications] == [3]


async def test_coming_back_to_what_was_missed():
    async with LiveCommunicator() as client:
        position = (await client.subscribe("room/a/b")).position
    await live.apublish("room/a/b", "missed")
    async with LiveCommunicator() as client:
        answer = await client.subscribe("room/a/b", since=position)
        assert answer.recovered
        assert [(each.data, each.offset) for each in answer.publications] == [("missed", 1)]
        assert answer.position.offset == 1
        assert (await client.subscribe("room/a/c", since=live.Position(7, "another"))).recovered is False


async def test_presence_and_who_comes_and_goes():
    async with LiveCommunicator() as first:
        await first.subscribe("hall/a/b")
        assert await first.presence("hall/a/b") == [Present(first.client_id, "")]
        assert await first.presence_stats("hall/a/b") == PresenceStats(1, 1)
        await first.subscribe("lobby/a/b")
        assert "join" in await first.receive()
        async with LiveCommunicator() as second:
            await second.subscribe("lobby/a/b")
            assert (await first.receive())["join"]["info"]["client"] == second.client_id
        push = await first.receive()
        assert (push["channel"], push["leave"]["info"]["client"]) == ("lobby/a/b", second.client_id)


@pytest.mark.django_db(transaction=True)
async def test_a_user_has_a_session():
    user = await User.objects.acreate(username="ann", is_staff=True)
    async with LiveCommunicator(user=user, headers={"Cookie": "theme=dark"}) as client:
        await client.subscribe("room/a/staff")
        await client.publish("room/a/staff", 1)
        assert (await client.publication()).info["user"] == str(user.pk)
    (asked,) = {type(user) for user, _, _ in find_handler(live.Channel.parse("room/a/staff")).asked}
    assert asked is User
    await user.arefresh_from_db()
    assert user.last_login is None


@pytest.mark.django_db(transaction=True)
async def test_a_user_has_to_be_saved():
    with pytest.raises(ValueError, match="save the user first"):
        await LiveCommunicator(user=User(username="ann")).connect()
    with pytest.raises(ValueError, match="save the user first"):
        await LiveCommunicator(user=AnonymousUser()).connect()
    with override_settings(AUTHENTICATION_BACKENDS=[]), pytest.raises(ValueError, match="names no backend"):
        await LiveCommunicator(user=User(pk=1)).connect()


@pytest.mark.parametrize(
    ("channel", "code"),
    [("room/a/secret", 403), ("room/a/missing", 404), ("nobody/a/b", 102), ("x", 400), ("room/a/broken", 100)],
)
async def test_what_is_refused_is_raised(channel, code, caplog):
    async with LiveCommunicator() as client:
        with pytest.raises(CommandFailed, match=f"subscribe {channel} was answered with error {code}") as refused:
            await client.subscribe(channel)
        # A handler that failed may not fail the next time.
        assert (refused.value.code, refused.value.temporary) == (code, code == 100)
        assert refused.value.message


async def test_other_sites_are_refused(caplog):
    client = LiveCommunicator(headers={"Origin": "https://evil.example"})
    with pytest.raises(HandshakeRefused, match="the handshake was refused"):
        await client.connect()
    async with LiveCommunicator(headers={"Origin": "http://example.com", "Host": "example.com"}):
        pass


@pytest.mark.django_db(transaction=True)
async def test_no_such_path():
    with pytest.raises(Disconnected) as ended:
        await LiveCommunicator(path="/elsewhere").connect()
    assert (ended.value.code, ended.value.reason, ended.value.reconnect) == (4404, "no such path", True)


async def test_the_server_ends_the_connection():
    async with LiveCommunicator() as client:
        await client.subscribe("street/a/b")
        await live.apublish("street/a/b", "before")
        await client.send("no json")
        ended = await client.disconnected()
        assert (ended.code, ended.reason, ended.reconnect) == (DisconnectCode.BAD_REQUEST, "invalid json", False)
        assert client.disconnection is ended
        # What came before is there to be read, as it is for a client.
        assert (await client.publication()).data == "before"
        assert await client.receive() == {"disconnect": {"code": 3501, "reason": "invalid json"}}
        with pytest.raises(Disconnected, match="code 3501: invalid json"):
            await client.publication()
        with pytest.raises(Disconnected, match="3501"):
            await client.subscribe("street/a/c")


async def test_the_server_unsubscribes():
    async with LiveCommunicator() as client:
        await client.subscribe("street/a/b")
        await acontrol(ControlMessage("unsubscribe", client=client.client_id, channel="street/a/b"))
        push = await client.receive()
        assert (push["channel"], push["unsubscribe"]["code"]) == ("street/a/b", 2000)


async def test_a_timeout_ends_only_the_waiting():
    async with LiveCommunicator() as client:
        client.timeout = 0.02
        with pytest.raises(TimeoutError, match=r"no publication came in street/a/b within 0.01 s; nothing else waits"):
            await client.publication("street/a/b", timeout=0.01)
        handler = find_handler(live.Channel.parse("room/a/slow"))
        with pytest.raises(TimeoutError, match=r"subscribe room/a/slow was not answered within 0\.02 s"):
            await client.subscribe("room/a/slow")
        await handler.entered.wait()
        handler.gate.set()
        client.timeout = 5.0
        # The handler went on, and the client is subscribed.
        await client.presence_stats("hall/a/b")
        await live.apublish("room/a/slow", "it goes on")
        await until(lambda: client._unread)
        with pytest.raises(TimeoutError, match='1 pushes wait to be read: {"channel":"room/a/slow"'):
            await client.publication("street/a/b", timeout=0.01)
        assert (await client.publication("room/a/slow")).data == "it goes on"


async def test_pings_are_answered_by_themselves():
    sent = []

    async def application(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        sent.append((await receive())["text"])
        await send({"type": "websocket.send", "text": '{}\n{"id":1,"connect":{"client":"c"}}'})
        while (event := await receive())["type"] == "websocket.receive":
            sent.append(event["text"])

    async with LiveCommunicator(application) as client:
        assert client.client_id == "c"
    assert sent == ['{"id":1,"connect":{}}', "{}"]


@pytest.mark.parametrize("error", [LookupError, TimeoutError])
async def test_what_the_application_raises_is_told(error):
    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        raise error("a mistake of the project")

    client = LiveCommunicator(application)
    with pytest.raises(error, match="^a mistake of the project$"):
        await client.connect()
    await client.close()


async def test_a_mistake_at_the_end_is_told_and_does_not_hide_why_the_test_failed():
    async def application(scope, receive, send):
        await greet(receive, send)
        await receive()
        raise LookupError("at the end")

    with pytest.raises(LookupError, match="at the end"):
        async with LiveCommunicator(application):
            pass
    with pytest.raises(AssertionError) as failed:
        async with LiveCommunicator(application):
            raise AssertionError
    assert failed.value.__notes__ == ["The application failed, too: LookupError('at the end')"]


async def test_an_application_that_does_not_end(monkeypatch):
    monkeypatch.setattr(communicator, "CLOSE_TIMEOUT", 0.01)
    ended = asyncio.Event()

    async def application(scope, receive, send):
        await greet(receive, send)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError, match=r"still ran 0\.01 s after its WebSocket was closed"):
        async with LiveCommunicator(application):
            pass
    assert ended.is_set()


async def test_a_client_that_reads_nothing_is_one_whose_tab_is_stuck():
    class Stuck(LiveCommunicator):
        max_unread = 3

    async with Stuck() as client:
        await client.subscribe("street/a/b")
        await live.apublish_many([("street/a/b", number) for number in range(10)])
        for number in range(10):
            assert (await client.publication()).data == number
        await live.apublish_many([("street/a/b", number) for number in range(10)])


async def test_who_sends_to_an_application_that_does_not_read_waits():
    async def application(scope, receive, send):
        await greet(receive, send)
        await go_on.wait()
        while (event := await receive())["type"] != "websocket.disconnect":
            taken.append(event)

    go_on, taken = asyncio.Event(), []
    client = LiveCommunicator(application)
    await client.connect()
    for _ in range(communicator.MAX_EVENTS - client._to_application.qsize()):
        await client.send("{}")
    waiting = asyncio.create_task(client.send("one more"))
    await asyncio.sleep(0)
    assert not waiting.done()
    go_on.set()
    await waiting
    await until(lambda: taken[-1:] == [{"type": "websocket.receive", "text": "one more"}])
    await client.close()


async def test_closing_does_not_wait_for_room(monkeypatch):
    monkeypatch.setattr(communicator, "MAX_EVENTS", 2)

    async def application(scope, receive, send):
        await greet(receive, send)
        await closing.wait()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    closing = asyncio.Event()
    client = LiveCommunicator(application)
    await client.connect()
    await client.send("{}")
    await client.send("{}")
    asyncio.get_running_loop().call_soon(closing.set)
    await client.close()


async def test_a_communicator_is_one_connection():
    client = LiveCommunicator()
    with pytest.raises(RuntimeError, match="not connected"):
        await client.publish("room/a/b", 1)
    with pytest.raises(RuntimeError, match="not connected"):
        await client.publication()
    await client.close()
    assert "client" in await client.connect({"any": "data"})
    with pytest.raises(RuntimeError, match="connected already"):
        await client.connect()
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="not connected"):
        await client.send({})
    with pytest.raises(Disconnected, match="the connection is closed"):
        await client.receive()


async def test_without_an_application_of_the_project():
    with override_settings(ASGI_APPLICATION=None):
        async with LiveCommunicator() as client:
            await client.subscribe("street/a/b")


@pytest.mark.parametrize(("code", "back"), [(3000, True), (3500, False), (3999, False), (4600, False), (4000, True)])
def test_codes_that_are_not_in_the_table_follow_the_rule(code, back):
    assert Disconnected(code).reconnect is back
