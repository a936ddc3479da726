"""What docs/permissions.md says of rights is so: its blocks are run, its rules are tried on clients and pushes."""

from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.test import AsyncClient

import live
from live.api.authentication import recent_tokens
from live.exceptions import DisconnectCode, UnsubscribeCode
from live.handlers.registry import find_handler
from live.testing import CommandFailed, Disconnected, LiveCommunicator
from tests.docs.python import running

NORTH, SOUTH = "machines/north/press", "machines/south/press"


@pytest.fixture(scope="module")
def page():
    """The namespace after all Python blocks."""
    with running("docs/permissions.md") as module:
        yield module


@pytest.fixture(autouse=True)
def no_token_is_remembered():
    recent_tokens.clear()
    yield
    recent_tokens.clear()


@pytest.fixture
def live_settings(page):
    """As the page has it for a site with visitors."""
    return page.LIVE


@pytest.fixture
async def ann(transactional_db):
    """Somebody of the northern plant."""
    user = await User.objects.acreate(username="ann-of-the-north")
    await user.groups.aadd(await Group.objects.acreate(name="plant-north"))
    return user


async def refused(client, channel):
    """The code that a subscribe is refused with."""
    with pytest.raises(CommandFailed) as error:
        await client.subscribe(channel)
    return error.value.code


async def ended(client):
    """The unsubscribe that the server sends next."""
    while "unsubscribe" not in (push := await client.receive()):
        pass
    return push["channel"], push["unsubscribe"]["code"]


async def test_a_permission_opens_and_closes(page, transactional_db):
    machine = await ContentType.objects.acreate(app_label="plants", model="machine")
    view = await Permission.objects.acreate(codename="view_machine", content_type=machine)
    user = await User.objects.acreate(username="viewer")
    handler, channel = page.Machines(), live.Channel.parse(NORTH)
    assert not await handler.can_subscribe(user, channel, None)
    assert not await handler.can_subscribe(AnonymousUser(), channel, None)
    await user.user_permissions.aadd(view)
    user = await User.objects.aget(pk=user.pk)
    assert await handler.can_subscribe(user, channel, None)
    assert not await handler.can_publish(user, channel, None)
    assert await handler.can_publish(User(is_superuser=True), channel, None)


@pytest.mark.usefixtures("page", "live_node")
async def test_a_group_opens_a_plant(ann):
    async with LiveCommunicator(user=ann) as client:
        await client.subscribe(NORTH)
        assert await refused(client, SOUTH) == 403
        await client.subscribe("stream/north/cpu")
        assert await refused(client, "stream/south/cpu") == 403
        await ann.groups.aclear()
        assert {await ended(client), await ended(client)} == {
            (NORTH, UnsubscribeCode.SERVER),
            ("stream/north/cpu", UnsubscribeCode.SERVER),
        }


@pytest.mark.usefixtures("page", "live_node")
async def test_rules_elsewhere_count_after_a_recheck(ann):
    async with LiveCommunicator(user=ann) as client:
        await client.subscribe(NORTH)
        # Sends no signal.
        await Group.objects.filter(name="plant-north").aupdate(name="plant-closed")
        await live.arecheck(ann)
        assert await ended(client) == (NORTH, UnsubscribeCode.SERVER)


@pytest.mark.usefixtures("live_node", "transactional_db")
async def test_visitors_see_the_weather_and_nothing_else():
    async with LiveCommunicator() as visitor:
        await visitor.subscribe("stream/weather/oslo")
        assert await refused(visitor, "stream/north/cpu") == 403
        assert await refused(visitor, NORTH) == 403
        assert await refused(visitor, "grafana/broadcast/hall") == 102
        assert await refused(visitor, "plugin/testdata/random-2s-stream") == 404


@pytest.mark.usefixtures("live_node", "transactional_db")
async def test_agents_push_to_their_own_stream(page):
    token = await sync_to_async(page.make_agent)("agent-north")
    agent = await User.objects.aget(username="agent-north")
    assert not agent.has_usable_password()

    async def push(stream):
        headers = {"Authorization": f"Token {token}"}
        path = f"/api/live/push/{stream}"
        return (await AsyncClient().post(path, b"cpu x=1", content_type="text/plain", headers=headers)).status_code

    assert await push("north") == 200
    assert await push("south") == 403
    await agent.user_permissions.aclear()
    recent_tokens.clear()  # as five seconds later
    assert await push("north") == 403


async def test_one_rule_for_all_streams_goes_into_the_settings(page, settings):
    settings.LIVE = page.LIVE
    assert isinstance(find_handler(live.Channel.parse("stream/north/cpu")), page.PlantStreams)


@pytest.mark.usefixtures("transactional_db")
async def test_an_author_sees_the_own_report(page, settings):
    ann, bob = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    report = SimpleNamespace(author_id=ann.pk)

    def opinions(user):
        return page.can_view(user, report), page.can_edit(user, report)

    assert await sync_to_async(opinions)(ann) == (False, False)
    settings.AUTHENTICATION_BACKENDS = page.AUTHENTICATION_BACKENDS
    assert await sync_to_async(opinions)(ann) == (True, True)
    assert await ann.ahas_perm("reports.view_report", report)
    assert await sync_to_async(opinions)(bob) == (False, False)


class TestWithoutVisitors:
    """A site for its users only: what ends a connection, and what does not."""

    @pytest.fixture
    def live_settings(self):
        return {"ALLOW_ANONYMOUS": False}

    @pytest.mark.usefixtures("live_node", "transactional_db")
    async def test_nobody_is_told_to_stay_away(self):
        with pytest.raises(Disconnected, match="no credentials") as refused:
            async with LiveCommunicator():
                pass
        assert (refused.value.code, refused.value.reconnect) == (3501, False)

    @pytest.mark.usefixtures("page", "live_node")
    async def test_who_is_deactivated_has_to_come_back(self, ann):
        async with LiveCommunicator(user=ann) as client:
            ann.is_active = False
            await ann.asave()
            end = await client.disconnected()
        assert (end.code, end.reconnect) == (3011, True)


class TestSessionsThatEnd:
    """What the table says of them, and what the text below it says of who cannot wait."""

    @pytest.fixture
    def live_settings(self, request):
        return {"ALLOW_ANONYMOUS": True, "SESSION_CHECK_SECONDS": getattr(request, "param", 0.2)}

    @pytest.mark.usefixtures("live_node")
    async def test_one_that_is_deleted_or_ran_out_is_noticed(self, ann):
        async with LiveCommunicator(user=ann) as client:
            await Session.objects.all().adelete()
            end = await client.disconnected()
        assert (end.code, end.reason, end.reconnect) == (DisconnectCode.FORCE_RECONNECT, "session ended", True)

    @pytest.mark.usefixtures("live_node")
    @pytest.mark.parametrize("live_settings", [0], indirect=True)
    async def test_who_cannot_wait_says_so(self, page, ann):
        async with LiveCommunicator(user=ann) as client:
            await Session.objects.all().adelete()
            await live.arecheck(ann)
            await client.subscribe(NORTH)
            await live.adisconnect_user(ann, code=DisconnectCode.FORCE_RECONNECT)
            assert (await client.disconnected()).code == DisconnectCode.FORCE_RECONNECT
