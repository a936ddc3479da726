"""docs/sizing.md quotes what was measured, calculates correctly, names metrics that exist; Redis takes what it says."""

import ast
import operator
import re
import time
import uuid
from pathlib import Path

import pytest
import redis

from live.channel import Channel
from live.frames import frames_from_lines, parse_lines
from live.handlers.stream import prepare_push
from live.protocol.replies import client_info
from live.store import ChannelOptions, Draft, Member
from live.store.redis import RedisStore
from live.store.redis.topology import Topology
from tests.docs.markdown import blocks
from tests.redis_server import RedisServer

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = (DOCS / "sizing.md").read_text()
PERFORMANCE = (DOCS / "performance.md").read_text()

QUOTED = {
    "8.7": "15,000 clients, 5/s: CPU per delivery without what idling takes, against 1,000 at the same rate |",
    "5.2": "1,000 subscribers, 100/s: CPU per delivery |",
    "550.5": "1 | live |",
    "23,506": "1,000 channels with a subscriber each, with history, published by another process |",
    "94": "1,000 channels with a subscriber each, with history, published by another process |",
    "25.8": "15,000 clients: memory of each |",
    "8.5": "15,000 clients idle, with pings |",
    "1,137": "15,000 clients connect, log in and subscribe |",
    "6.4": "latency at 100,000 deliveries/s |",
    "428": "HTTP, 10 lines a push |",
    "99": "HTTP, 10 lines a push |",
    "97,961": "HTTP, 1,000 lines a push |",
    "96": "HTTP, 1,000 lines a push |",
    "3,815": "plain process, `live.publish`, with history |",
    "43,436": "plain process, `live.publish_many`, with history |",
    "14.2": "Redis commands a publication, 1 and 500 subscribers a node |",
    "44.4": "of that, p99 latency of the others, and without the slow |",
}
"""Numbers of the page, and the row of docs/performance.md, the first with this beginning, that each is from."""

BY_DEPLOY = {
    "7.5": "1,000 | live |",
    "8.5": "15,000 clients idle, with pings |",
    "14": "Redis commands a publication, 1 and 500 subscribers a node |",
    "0.7": "1,000 clients of one node return at once and recover 50 publications, one channel |",
    "1.2": "1,000 clients of one node return at once and recover 50 publications, a channel each |",
}
"""The same of the part "Sizes" of docs/deploy.md, which cuts digits off."""

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
SUM = re.compile(r"^.+?  +([\d.,]+(?: [*/+-] [\d.,]+)+) = ([\d.,]*\d)\b")
NUMBER = r"(?<![\d.,]){}(?![\d.,]*\d)"


def sums():
    """(left, right) of each calculation on the page."""
    for language, text in blocks(PAGE):
        assert language == "text"
        for line in text.splitlines():
            match = SUM.match(line)
            assert match, f"no calculation: {line}"
            yield match.groups()


def value(text):
    def of(node):
        match node:
            case ast.BinOp():
                return OPERATORS[type(node.op)](of(node.left), of(node.right))
            case ast.Constant():
                return node.value
        raise ValueError(ast.dump(node))

    return of(ast.parse(text.replace(",", ""), mode="eval").body)


@pytest.mark.parametrize("number", QUOTED)
def test_numbers_are_those_that_were_measured(number):
    rows = [line for line in PERFORMANCE.splitlines() if line.startswith(f"| {QUOTED[number]}")]
    assert re.search(NUMBER.format(re.escape(number)), rows[0]), f"{number} is not in: {rows[0]}"
    assert re.search(NUMBER.format(re.escape(number)), PAGE), f"{number} is not on the page any more"


@pytest.mark.parametrize("number", BY_DEPLOY)
def test_the_sizes_of_nodes_are_those_that_were_measured(number):
    sizes = (DOCS / "deploy.md").read_text().partition("## Sizes")[2].partition("\n## ")[0]
    rows = [line for line in PERFORMANCE.splitlines() if line.startswith(f"| {BY_DEPLOY[number]}")]
    assert re.search(rf"(?<![\d.,]){re.escape(number)}", rows[0]), f"{number} is not in: {rows[0]}"
    assert re.search(NUMBER.format(re.escape(number)), sizes), f"{number} is not on the page any more"


def test_every_number_of_the_table_is_checked():
    table = PAGE.partition("## What was measured")[2].partition("| in Redis |")[0]
    cells = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ") and "number" not in row]
    numbers = {number for cell in cells for number in re.findall(r"\d[\d.,]*", cell)}
    assert len(cells) == 12
    assert numbers <= QUOTED.keys()


@pytest.mark.parametrize(("left", "right"), [*sums()])
def test_sums_are_right(left, right):
    digits = len(right.partition(".")[2])
    assert round(value(left), digits) == value(right)


@pytest.mark.parametrize(("left", "right"), [*sums()])
def test_sums_are_of_measured_numbers_and_round_assumptions(left, right):
    results = {result for _, result in sums()}
    for number in re.findall(r"[\d.,]+", left):
        significant = number.replace(",", "").rstrip("0")
        assert number in QUOTED.keys() | results or len(significant) <= 2, f"where does {number} come from?"


def test_metrics_that_are_named_exist():
    known = re.findall(r"^\| `(live_\w+)`", (DOCS / "reference/metrics.md").read_text(), re.MULTILINE)
    named = set(re.findall(r"\blive_\w+", PAGE))
    assert named <= set(known)
    assert len(named) >= 5


# Memory in Redis, which depends on no clock and no load


class Memory:
    """A store in Redis, and how many bytes of Redis something takes in it."""

    def __init__(self, server):
        self.server = server
        self.now = 0.0
        topology = Topology.from_layer_config({"hosts": [server.url], "prefix": "sizing"})
        self.store = RedisStore(
            topology, ttl=1000, max_channels=10_000, history_max_bytes=4 << 20, clock_shift=lambda: self.now
        )
        # Redis keeps something of the first such answer.
        self.used()

    def used(self):
        """Bytes, without those for connections: Redis gives them back when these have been quiet for a while."""
        with redis.Redis(*self.server.address) as asker, asker.pipeline() as together:
            told, clients = together.info("memory").client_list().execute()
        return told["used_memory"] - sum(int(client["tot-mem"]) for client in clients)

    async def of_each(self, make, *, channels=100, kept=1, every=1.0):
        """KB that a channel takes; `make` makes the draft of a channel's number and a publication's."""
        # What the connection and the scripts take is not what is asked about.
        await self.store.append_many([make(channel, 0) for channel in range(channels)])
        self.server.cli("FLUSHDB")
        before = self.used()
        for number in range(kept):
            self.now += every
            await self.store.append_many([make(channel, number) for channel in range(channels)])
        return (self.used() - before) / channels / 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def memory(server):
    memory = Memory(server)
    yield memory
    await memory.store.close()


def said(row):
    """The KB that the page says in this row."""
    return float(re.search(rf"^\| {re.escape(row)} \| ([\d.]+) KB", PAGE, re.MULTILINE)[1])


def plain(options):
    text = b'"' + b"x" * 198 + b'"'
    return lambda channel, number: Draft(Channel("size", "plain", f"c{channel}"), text, options)


def telegraf(channel, number):
    line = (
        f"cpu,cpu=cpu-total,host=agent-{channel} usage_user={12.53 + number % 7},usage_system=3.214,usage_idle=83.12,"
        "usage_nice=0,usage_iowait=0.31,usage_irq=0,usage_softirq=0.52,usage_steal=0,usage_guest=0,usage_guest_nice=0 "
        f"{1764000000 + 10 * number}000000000\n"
    )
    frames = frames_from_lines(parse_lines(line.encode()), time.time_ns())
    ((target, frame),) = prepare_push(f"agent-{channel}", frames)
    options = ChannelOptions(300, 300, keep_last=True)
    return Draft(target, frame.full, options, schema=frame.schema, short=frame.data)


async def test_channels_take_what_the_page_says(memory):
    kept = ChannelOptions(300, 300, keep_last=True)
    without = ChannelOptions(keep_last=True)
    assert await memory.of_each(plain(without)) == pytest.approx(said("a channel without a history"), rel=0.15)
    few = said("with 1 to 10 publications of 200 bytes")
    assert await memory.of_each(plain(kept)) == pytest.approx(few, rel=0.15)
    assert await memory.of_each(plain(kept), kept=10) == pytest.approx(few, rel=0.15)
    many = await memory.of_each(plain(kept), kept=100, channels=20)
    assert many == pytest.approx(said("with 100 of them"), rel=0.15)


async def test_streams_take_what_the_page_says(memory):
    took = await memory.of_each(telegraf, kept=30, every=10.0, channels=50)
    row = "a stream of Telegraf, a line with 10 fields every 10 s for 300 s"
    assert took == pytest.approx(said(row), rel=0.15)


async def test_members_take_what_the_page_says(memory):
    members = []
    for number in range(1000):
        client = str(uuid.uuid4())
        members.append((Channel("size", "room", "1"), Member(client, str(number), client_info(str(number), client))))
    # What the connection and the scripts take is not what is asked about.
    await memory.store.add_members(members, 60)
    memory.server.cli("FLUSHDB")
    before = memory.used()
    await memory.store.add_members(members, 60)
    assert (memory.used() - before) / 1000 / 1000 == pytest.approx(said("a member present"), rel=0.15)
