"""What the limits' part of the benchmark makes of its numbers; the measuring itself is in test_bench.py."""

import resource
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench.limits import plot
from bench.limits.deliveries import Beat, Deliveries
from bench.limits.host import Size, allow_open_files
from bench.limits.many import Many
from bench.limits.slow import Run, Slow
from bench.limits.table import Results, rows
from bench.measure import LIVE, BenchError

MIB = 2**20


def beat(cpu_us, missing=0):
    return Beat(cpu_us=cpu_us, p50_ms=3.0, p99_ms=19.0, deliveries=1000, missing=missing)


def run(**changes):
    return replace(Run(5.0, 10.0, missing=0, growth=MIB, too_slow=0, no_pong=0, held=0), **changes)


@pytest.fixture
def results():
    """Everything as it has to be."""
    live = Deliveries(1000.0, {20: beat(7.0), 100: beat(6.0)}, burst=2e6, burst_http=1e6, rare=beat(7.0))
    with_slow = run(growth=40 * MIB, too_slow=50)
    return Results(
        program="daphne",
        deliveries={
            "live": live,
            "stock": Deliveries(300.0, {20: beat(250.0)}),
            "bare": Deliveries(1500.0, {20: beat(30.0)}),
        },
        many={
            "live": Many(950.0, 26.0, 0.15, beat(9.0), 7.5),
            "stock": Many(300.0, 48.0, 0.0),
            "bare": Many(1500.0, 20.0, 0.11),
        },
        slow=Slow(run(), run(), 250),
        overflow=Slow(run(), with_slow, 20_000),
    )


def missed(results):
    return [row.what for row in rows(results, Size(), 0.11, MIB) if row.met is False]


def test_every_goal_can_be_met(results):
    verdicts = [row.met for row in rows(results, Size(), 0.11, MIB)]
    assert verdicts.count(True) == 18
    assert False not in verdicts


def change_live(results, **changes):
    live = replace(results.deliveries["live"], **changes)
    return replace(results, deliveries={**results.deliveries, "live": live})


def change_many(results, **changes):
    return replace(results, many={**results.many, "live": replace(results.many["live"], **changes)})


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda all_: change_live(all_, beats={20: beat(8.1), 100: beat(8.0)}), "20/s: CPU per delivery"),
        (lambda all_: change_live(all_, beats={20: beat(8.0), 100: beat(8.0, missing=1)}), "100/s: CPU per delivery"),
        (lambda all_: change_live(all_, burst=999_999.0), "one `apublish_many`"),
        (lambda all_: change_live(all_, joins=899.0), "1,000 clients"),
        (lambda all_: change_many(all_, memory_kb=28.1), "memory of each"),
        (lambda all_: change_many(all_, joins=899.0), "15,000 clients connect"),
        (lambda all_: change_many(all_, idle=0.17), "idle, with pings"),
        (lambda all_: change_many(all_, beat_cpu_us=9.2), "without what idling takes"),
        (lambda all_: replace(all_, slow=Slow(run(), run(missing=1), 250)), "lost by the others"),
        (lambda all_: replace(all_, slow=Slow(run(), run(p99_ms=20.0), 250)), "p99 latency of the others"),
        (lambda all_: replace(all_, slow=Slow(run(), run(growth=52 * MIB), 250)), "memory it grew by"),
        (lambda all_: replace(all_, overflow=Slow(run(), run(too_slow=49), 20_000)), "slow clients closed"),
        (lambda all_: replace(all_, overflow=Slow(run(), run(too_slow=50, held=1), 20_000)), "slow clients closed"),
    ],
)
def test_each_goal_can_be_missed(results, change, row):
    found = missed(change(results))
    assert any(row in what for what in found), found


def test_a_number_that_was_not_measured_reaches_nothing(results):
    nothing = Beat(cpu_us=0.0, p50_ms=0.0, p99_ms=0.0, deliveries=0, missing=20)
    found = missed(change_live(results, beats={20: nothing, 100: nothing}))
    assert len([what for what in found if "CPU per delivery" in what]) >= 4


def test_the_plot_shows_every_number_of_every_server(results):
    svg = plot.draw([results, replace(results, program="uvicorn")])
    root = ElementTree.fromstring(svg)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for words in ("stock consumer, daphne", "bare server, uvicorn", "live, uvicorn", "250.0", "48.0", "goal 8"):
        assert words in texts
    # Readable on both: nothing is coloured but by the style, which has both.
    assert "prefers-color-scheme: dark" in svg
    assert "fill=" not in svg
    height = float(root.get("height"))
    assert all(float(text.get("y")) < height for text in root.iter("{http://www.w3.org/2000/svg}text"))


def test_less_is_measured_of_everything(results):
    small = Size().scaled(0.01)
    assert (small.subscribers, small.many, small.listeners, small.not_reading) == (10, 150, 50, 1)
    assert small.many_seconds < Size().many_seconds
    assert Size().scaled(1) == Size()


def test_too_few_open_files_are_said_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: None)
    with pytest.raises(BenchError, match="15,000 clients need 15,200 open files and this process may have 4,096"):
        allow_open_files(Size())
    allow_open_files(Size().scaled(0.01))


def test_both_servers_are_started_with_their_own_options():
    daphne, uvicorn = LIVE.command(1234), replace(LIVE, program="uvicorn").command(1234)
    assert daphne[2:3] == ["daphne"]
    assert "tcp:port=1234:interface=127.0.0.1:backlog=1024" in daphne
    assert uvicorn[2:3] == ["uvicorn"]
    assert uvicorn[uvicorn.index("--ws") + 1] == "websockets-sansio"
    assert daphne[-1] == uvicorn[-1] == "bench.site:application"
