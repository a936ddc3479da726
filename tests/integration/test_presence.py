"""Who is there, who comes and who goes, over a real daphne (client-protocol §2.4, §2.5, §4.7)."""

import asyncio

import pytest

from tests.integration.cable import Cable
from tests.integration.official import NodeClient, PythonClient


def count(site, channel):
    """Who is there, as a visitor asks."""

    async def ask():
        async with site.connect() as peer:
            return (await peer.ask({"presence_stats": {"channel": channel}}))["presence_stats"]["num_clients"]

    return ask()


async def until_there_are(number, site, channel):
    """Waits until so many are present; who goes is removed beside, a moment later."""
    async with asyncio.timeout(20):
        while await count(site, channel) != number:
            pass


async def test_what_the_wire_says(room_site, login):
    cookie = await asyncio.to_thread(login, room_site)
    channel = "lobby/presence/wire"
    async with room_site.connect() as visitor:
        assert await visitor.ask({"presence": {"channel": channel}}) == {"id": 2, "presence": {"presence": {}}}
        assert await visitor.ask({"presence_stats": {"channel": channel}}) == {
            "id": 3,
            "presence_stats": {"num_clients": 0, "num_users": 0},
        }
        async with room_site.connect(hello=False, cookie=cookie) as peer:
            me = (await peer.ask({"connect": {}}))["connect"]["client"]
            await peer.subscribe(channel)
            info = {"user": "1", "client": me}
            # Its own join comes after its reply.
            assert await peer.receive() == {"push": {"channel": channel, "join": {"info": info}}}
            assert await visitor.ask({"presence": {"channel": channel}}) == {
                "id": 4,
                "presence": {"presence": {me: info}},
            }
            assert "subscribe" in await visitor.subscribe(channel)
            anonymous = (await visitor.receive())["push"]["join"]["info"]
            assert set(anonymous) == {"user", "client"}
            assert anonymous["user"] == ""
            assert await peer.receive() == {"push": {"channel": channel, "join": {"info": anonymous}}}
            stats = await visitor.ask({"presence_stats": {"channel": channel}})
            assert stats["presence_stats"] == {"num_clients": 2, "num_users": 2}
            await peer.ask({"unsubscribe": {"channel": channel}})
            assert await visitor.receive() == {"push": {"channel": channel, "leave": {"info": info}}}
            await peer.subscribe(channel)
            assert (await visitor.receive())["push"]["join"] == {"info": info}
        # The socket is closed without a word.
        assert await visitor.receive() == {"push": {"channel": channel, "leave": {"info": info}}}


async def test_who_is_asked_for_only_is_not_announced(room_site):
    channel = "hall/presence/quiet"
    async with room_site.connect() as first, room_site.connect() as second:
        for peer in (first, second):
            await peer.subscribe(channel, join_leave=True)
        assert (await first.ask({"presence_stats": {"channel": channel}}))["presence_stats"]["num_clients"] == 2
        await second.ask({"unsubscribe": {"channel": channel}})
        await second.ask({"publish": {"channel": channel, "data": 1}})
        assert "pub" in (await first.receive())["push"]


async def test_a_subscribe_that_fails_is_not_there(room_site):
    channel = "broken/presence/x"
    async with room_site.connect() as peer:
        assert (await peer.subscribe(channel))["error"]["code"] == 404
        assert (await peer.ask({"presence": {"channel": channel}}))["presence"] == {"presence": {}}


async def test_the_server_ends_a_subscription(room_site):
    channel = "lobby/presence/ended"
    async with room_site.connect() as peer, room_site.connect() as visitor:
        await peer.subscribe(channel)
        await peer.receive()
        await visitor.ask({"publish": {"channel": "doorman/x/y", "data": {"channel": channel, "code": 2000}}})
        push = {"channel": channel, "unsubscribe": {"code": 2000, "reason": "sent out"}}
        assert await peer.receive() == {"push": push}
        await until_there_are(0, room_site, channel)


@pytest.fixture(params=[PythonClient, NodeClient], ids=["python", "javascript"])
async def make_client(request):
    """Starts official clients; all that were not stopped are in the end."""
    clients = []

    async def make(url, channel):
        client = request.param(url, channel)
        clients.append(client)
        await client.start()
        await client.log.wait("subscribed")
        client.id = (await client.log.wait("connected"))["client"]
        return client

    yield make
    for client in clients:
        await client.stop()


async def test_official_clients_see_each_other(room_site, make_client, request):
    channel = f"lobby/presence/{request.node.callspec.id}"
    async with Cable(room_site.port) as cable:
        first = await make_client(room_site.ws_url, channel)
        # Before another is there to hear it.
        await first.log.wait("join", client=first.id, user="")
        second = await make_client(cable.ws_url, channel)
        await first.log.wait("join", client=second.id)
        await second.log.wait("join", client=second.id)
        assert await first.presence() == await second.presence() == {first.id: "", second.id: ""}
        assert await first.presence_stats() == (2, 1)
        names = [each["event"] for each in second.log.events]
        assert names.index("subscribed") < names.index("join")
        assert len(second.log.found("join")) == 1

        await second.unsubscribe()
        await second.log.wait("unsubscribed", code=0)
        await first.log.wait("leave", client=second.id)
        assert await first.presence() == {first.id: ""}
        await second.subscribe()
        await first.log.wait("join", 2, client=second.id)

        cable.cut()
        await first.log.wait("leave", 2, client=second.id)
        cable.mend()
        again = (await second.log.wait("connected", 2))["client"]
        assert again != second.id
        await first.log.wait("join", client=again)
        assert set(await first.presence()) == {first.id, again}
        assert not second.log.found("leave")
