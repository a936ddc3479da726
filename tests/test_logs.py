"""What log records carry besides their text: on the records themselves, and as the documentation's JSON."""

import ast
import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import live
from live.exceptions import DisconnectCode, EngineUnavailable
from live.handlers.registry import unregister
from live.logs import MAX_TEXT, about
from live.node.clients import Clients
from live.node.relay_layer import LayerRelay
from tests.client.rooms import ROOMS, USER, Peer
from tests.peers import Listener, Recorder, eventually, until
from tests.site import ROOT, Site

DOCUMENTATION = (ROOT / "docs" / "monitoring.md").read_text()
FIELDS = {"live_client", "live_user", "live_channel", "live_node", "live_code"}


def fields(record):
    return {key: value for key, value in vars(record).items() if key.startswith("live_")}


@pytest.fixture
def records(caplog):
    """Those of live, from DEBUG on."""
    caplog.set_level(logging.DEBUG, "live")
    return lambda: caplog.records


@pytest.fixture
async def peer(make_node):
    for name, handler in ROOMS.items():
        live.register(name, None, handler)
    peer = Peer(await make_node())
    await peer.connect()
    yield peer
    await peer.gone()
    for name in ROOMS:
        unregister(name)


# What there is


def test_what_is_not_known_is_not_there():
    assert about() == {}
    assert about(client="c", code=DisconnectCode.SLOW) == {"live_client": "c", "live_code": 3008}


def test_values_are_plain_and_bounded():
    everything = about(client="c", user="7", channel=live.Channel("a", "b", "c"), node="n" * 1000, code=0)
    assert everything == {
        "live_client": "c",
        "live_user": "7",
        "live_channel": "a/b/c",
        "live_node": "n" * MAX_TEXT,
        "live_code": 0,
    }
    assert set(everything) == FIELDS
    assert type(about(code=DisconnectCode.SLOW)["live_code"]) is int


def test_the_documentation_names_every_field():
    assert set(re.findall(r"^\| `(live_\w+)` \| (?:string|number)", DOCUMENTATION, re.MULTILINE)) >= FIELDS


def test_fields_cannot_be_taken_for_others():
    """`logging` raises for a name that records have anyway, and JSON lines of the site have names of their own."""
    for path in sorted((ROOT / "live").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                names = [ast.literal_eval(key) for key in node.value.keys]
                assert all(name.startswith("live_") for name in names), f"{path}:{node.value.lineno}"


# On the records


async def test_one_line_for_a_client_that_is_disconnected(peer, records):
    peer.client.disconnect(DisconnectCode.SLOW)
    peer.client.disconnect(DisconnectCode.SLOW)

    [record] = [record for record in records() if record.name == "live.client"]
    assert record.levelno == logging.DEBUG
    assert record.getMessage() == f"client {peer.client.id} disconnected with code 3008: slow"
    assert fields(record) == {
        "live_client": peer.client.id,
        "live_user": "7",
        "live_node": peer.client.node.id,
        "live_code": 3008,
    }


async def test_none_above_debug(peer, caplog):
    caplog.set_level(logging.INFO, "live")
    peer.client.disconnect(DisconnectCode.SLOW)
    assert not caplog.records


async def test_messages_write_nothing_and_sessions_stay_secret(peer, records):
    peer.client.session_key = "s3cret"
    for number in range(20):
        await peer.call("publish", "room/a/b", data=number)
    assert not records()
    peer.client.disconnect(DisconnectCode.FORCE_RECONNECT, "because")
    assert [record.getMessage().split(": ")[-1] for record in records()] == ["because"]
    assert not [record for record in records() if "s3cret" in str(vars(record))]


async def test_a_handler_s_mistake_names_client_and_channel(peer, records):
    await peer.call("subscribe", "room/a/broken")
    [record] = [record for record in records() if record.levelno == logging.ERROR]
    node, client = peer.client.node.id, peer.client.id
    assert fields(record) == {
        "live_client": client,
        "live_user": "7",
        "live_node": node,
        "live_channel": "room/a/broken",
    }


async def test_a_permission_that_cannot_be_checked_names_client_and_channel(peer, records):
    handler = live.handlers.find_handler(live.Channel("room", "a", "fails"))
    await peer.call("subscribe", "room/a/fails")
    handler.error = EngineUnavailable()
    try:
        await peer.client.subscriptions.recheck(USER)
    finally:
        handler.error = None
    [record] = [record for record in records() if record.levelno == logging.WARNING]
    assert (record.live_client, record.live_channel) == (peer.client.id, "room/a/fails")


async def test_an_anonymous_user_is_not_there(peer, records):
    peer.client.user = SimpleNamespace(is_authenticated=False)
    peer.client.disconnect(DisconnectCode.SLOW)
    assert "live_user" not in fields(records()[-1])


def test_a_full_node_names_itself_and_who_was_refused(records):
    assert not Clients(0, "n1").admit(Recorder())
    assert fields(records()[-1]) == {"live_client": "recorder", "live_node": "n1", "live_code": 4001}


async def test_what_fails_beside_names_the_node(peer, records):
    async def fail():
        raise EngineUnavailable

    node = peer.client.node
    node.spawn(fail(), "something")
    await until(lambda: not node.stats().tasks)
    assert fields(records()[-1]) == {"live_node": node.id}


async def test_a_layer_that_is_away_names_the_node(records):
    class Away:
        """A layer whose server does not answer."""

        async def new_channel(self, prefix=""):
            raise OSError("away")

    relay = LayerRelay(Away(), Listener(), node="n1")
    await relay.start()
    await relay.stop()
    assert [fields(record) for record in records() if record.levelno == logging.ERROR] == [{"live_node": "n1"}]


# As the documentation has it


def example(first_line):
    """The code of the documentation that begins with this comment."""
    [code] = re.findall(rf"^```python\n{re.escape(first_line)}\n(.*?)^```", DOCUMENTATION, re.MULTILINE | re.DOTALL)
    return code


async def test_the_example_makes_json_of_a_real_site_s_log(tmp_path):
    package = tmp_path / "mysite"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "logs.py").write_text(example("# mysite/logs.py"))
    settings = example("# settings.py\nLOGGING = {").join(["LOGGING = {\n", ""])
    (package / "settings.py").write_text(f"from tests.settings import *\n{settings}")
    site = Site(tmp_path)
    site.env |= {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": str(tmp_path)}
    site.prepare()
    site.start()
    try:
        async with site.connect(hello=False) as peer:
            client = (await peer.ask({"connect": {}}))["connect"]["client"]
            await peer.send("no json")
            assert (await peer.closed())[0] == 3501

        def lines():
            # The last one may be on its way.
            whole = Path(site.log_path).read_text().rpartition("\n")[0].splitlines()
            found = [json.loads(line) for line in whole if line[:1] == "{"]
            return [line for line in found if line["logger"] == "live.client"]

        await eventually(lines)
        [line] = lines()
    finally:
        site.stop()
    assert set(line) == {"time", "level", "logger", "message", "live_client", "live_node", "live_code"}
    assert (line["level"], line["live_client"], line["live_code"]) == ("DEBUG", client, 3501)
    assert re.fullmatch("[0-9a-f]{32}", line["live_node"])
