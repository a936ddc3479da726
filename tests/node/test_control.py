"""What nodes say to each other: control messages and the survey, over what joins them."""

import pytest
from channels.layers import InMemoryChannelLayer

from live.channel import Channel
from live.exceptions import DisconnectCode
from live.node.control import (
    MAX_LISTED,
    NOBODY,
    ClientReport,
    ControlMessage,
    PendingSurvey,
    Wanted,
    read_wanted,
    survey_body,
)
from live.store import ChannelOptions
from tests.peers import Recorder, until

A = Channel("stream", "test", "a")


@pytest.fixture
async def nodes(make_node):
    layer = InMemoryChannelLayer()
    return [await make_node(layer) for _ in range(2)]


def client(node, user):
    recorder = Recorder()
    recorder.user_id = user
    node.admit(recorder)
    return recorder


async def test_a_control_message_reaches_the_clients_of_every_node(nodes):
    one, two, other = client(nodes[0], "1"), client(nodes[1], "1"), client(nodes[1], "2")
    await nodes[0].control(ControlMessage("disconnect", ("1",), code=DisconnectCode.FORCE_RECONNECT))
    assert one.ended == two.ended == [DisconnectCode.FORCE_RECONNECT]
    assert other.ended == []


async def test_a_survey_counts_what_every_node_has(nodes):
    for node, user in zip((nodes[0], nodes[0], nodes[1]), ("1", "1", ""), strict=True):
        client(node, user)
    await nodes[1].subscribe(A, Recorder(), ChannelOptions())
    nodes[0].store.shared = True
    survey = await nodes[0].survey(A, seconds=0.05)
    found = {
        report.node: (report.clients, report.users, report.channels, report.subscribers) for report in survey.nodes
    }
    assert found[nodes[0].id] == (2, 1, 0, 0)
    assert found.get(nodes[1].id, (1, 0, 1, 1)) == (1, 0, 1, 1)


async def test_a_survey_lists_the_clients_that_are_wanted(nodes):
    one, two = client(nodes[0], "1"), client(nodes[1], "2")
    one.since, two.id, two.queue_bytes = 1234.5, "other", 7
    nodes[0].store.shared = True

    async def listed(*ids):
        survey = await nodes[0].survey(wanted=Wanted(10, ids), seconds=0.05)
        return {report.node: report.listed for report in survey.nodes}

    mine, others = (ClientReport("recorder", "1", 1234.5, 0, 0),), (ClientReport("other", "2", 0.0, 0, 7),)
    found = await listed()
    assert found[nodes[0].id] == mine
    assert found.get(nodes[1].id, others) == others
    assert (await listed("2"))[nodes[0].id] == ()
    assert (await nodes[0].survey(seconds=0.05)).nodes[0].listed == ()


def test_nodes_of_an_older_version_are_understood():
    question = survey_body("s", "n", None, Wanted(MAX_LISTED + 1, ("1",)))
    assert read_wanted(question) == Wanted(MAX_LISTED, ("1",))
    del question["clients"]
    assert read_wanted(question) == NOBODY

    pending = PendingSurvey(["a"])
    pending.take({"node": "a", "clients": 1, "users": 1, "channels": 0, "subscribers": 0})
    message = ControlMessage("disconnect", ("1",)).body()
    del message["client"]
    assert ControlMessage.read(message) == ControlMessage("disconnect", ("1",))


async def test_an_answer_that_is_missing_is_said(nodes):
    store = nodes[0].store
    store.shared = True
    await store.touch_node(nodes[0].id, 60)
    await store.touch_node("dead", 60)
    survey = await nodes[0].survey(seconds=0.05)
    assert survey.missing == ["dead"]
    assert nodes[0].id in {report.node for report in survey.nodes}
    assert nodes[0].messages._surveys == {}


async def test_messages_of_another_version_are_logged_and_skipped(nodes, caplog):
    for body in ({}, {"kind": "new"}, {"kind": "control"}, {"kind": "survey", "channel": "x"}):
        nodes[0].take_message(body)
    nodes[0].take_message({"kind": "answer", "survey": "nobody's", "report": {}})
    assert caplog.text.count("cannot be read") == 4
    await until(lambda: not nodes[0].stats().tasks)
