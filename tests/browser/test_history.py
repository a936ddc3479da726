"""The recent past of a channel: a page that opens late has it at once, a page that was away gets what it missed."""

import json
import re
import time

from playwright.sync_api import expect

from .conftest import panel, wait_live

SECOND = 1_000_000_000
LISTEN = """async ([channel, name, history]) => {
  const { subscribe } = await import('/static/live/live.js');
  const seen = ((window.seen ??= {})[name] = []);
  subscribe(channel, {
    history,
    onData: ({ data }, { initial, late }) => seen.push(data.values.at(-1)[0] + (initial || late ? ' known' : '')),
  });
}"""


def push_seconds(site, stream, seconds, make_line):
    """One push for each of `seconds` (Unix time), with a time stamp of its own; no waiting."""
    for second in seconds:
        site.push(stream, "\n".join(f"{row} {second * SECOND}" for row in make_line(second)))


def clock(second):
    """The time of day as the page writes it."""
    return time.strftime("%H:%M:%S", time.localtime(second))


def expect_points(chart, seconds, latest):
    """Wait until a chart says in words that it shows one point in time for each of `seconds`."""
    first, last = clock(seconds[0]), clock(seconds[-1])
    text = f", latest at {last}: {latest}, {len(seconds)} points in time since {first}"
    expect(chart).to_have_attribute("aria-label", re.compile(re.escape(text) + "$"))


def history_commands(sent):
    """The history commands in what a page sent."""
    commands = [json.loads(each) for frame in sent for each in frame.split("\n") if each.strip()]
    return [command["history"] for command in commands if "history" in command]


def listen(page):
    """What the page sends from here on, a list that grows."""
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    return sent


def test_a_panel_opened_after_60_seconds_shows_them_at_once(site, open_page, make_dashboard, stream):
    channel = f"stream/{stream}/m"
    dashboard = make_dashboard(
        panel("lines", channel, place=(0, 0, 8, 4)),
        panel("number", channel, kind="stat", place=(8, 0, 4, 2)),
        panel("raw", channel, kind="raw", place=(8, 2, 4, 2)),
    )
    now = int(time.time())
    seconds = range(now - 59, now + 1)
    push_seconds(site, stream, seconds, lambda second: [f"m,cpu={n} a={(now - second) % 10 + 20 + n}" for n in (0, 1)])

    page = open_page()
    sent = listen(page)
    page.goto(f"/d/{dashboard['uid']}")
    expect_points(page.locator("live-panel .picture"), seconds, "0 20.0, 1 21.0")
    expect(page.locator(".legend .name")).to_have_text(["0", "1"])
    expect(page.locator(".spark .line")).to_have_attribute("d", re.compile(r"^M[^L]*(L[^L]*){59}$"))
    expect(page.locator(".entry")).to_have_count(50)
    assert [command.get("since") for command in history_commands(sent)] == [None]

    # What comes now goes on where the past ends.
    push_seconds(site, stream, [now + 1], lambda second: ["m,cpu=0 a=1", "m,cpu=1 a=2"])
    expect_points(page.locator("live-panel .picture"), range(now - 59, now + 2), "0 1.00, 1 2.00")


def test_fields_label_sets_and_types_that_appear_later_join_the_chart(site, open_page, make_dashboard, stream):
    """What broke or emptied panels elsewhere: a new field or tag, other columns, a text for a number."""
    dashboard = make_dashboard(panel("lines", f"stream/{stream}/m", fields=()))
    start = int(time.time()) - 60
    push_seconds(site, stream, [start], lambda second: ["m,host=x a=1"])
    page = open_page(f"/d/{dashboard['uid']}")
    page.evaluate("window.__marker = true")
    chart = page.locator("live-panel .picture")
    expect_points(chart, [start], "a 1.00")

    both = "a x 5.00, loss x 5.00, a y 6.00, b y 7.00"
    steps = [
        (["m,host=x a=2"], "a 2.00"),
        (["m,host=x a=3,loss=5"], "a 3.00, loss 5.00"),  # a field appears
        (["m,host=x a=4"], "a 4.00, loss 5.00"),  # and is gone
        (["m,host=x a=5", "m,host=y a=6,b=7"], both),  # a label set with a field of its own
        (['m,host=x a="down"'], both),  # a text where a number was
        (["m,host=x a=8,loss=1"], "a x 8.00, loss x 1.00, a y 6.00, b y 7.00"),
        (["m,cpu=0,host=x a=9"], "a x 8.00, loss x 1.00, a y 6.00, b y 7.00, a 0, x 9.00"),  # another tag
    ]
    for step, (rows, latest) in enumerate(steps, 1):
        push_seconds(site, stream, [start + step], lambda second, rows=rows: rows)
        expect_points(chart, range(start, start + step + 1), latest)
        expect(page.locator(".panel-state")).to_have_text("")
    assert page.evaluate("window.__marker") is True

    # A page opened now sees the same, read from the history.
    late = open_page(f"/d/{dashboard['uid']}")
    expect_points(late.locator("live-panel .picture"), range(start, start + len(steps) + 1), steps[-1][1])


def test_wide_frames_become_the_same_series(site, open_page, make_dashboard, stream):
    """Labels on the fields, another schema with each push: every label set is a series and none goes away."""
    dashboard = make_dashboard(panel("lines", f"stream/{stream}/m"))
    wide = f"{stream}?gf_live_frame_format=wide"
    start = int(time.time()) - 60
    push_seconds(site, wide, range(start, start + 20), lambda second: [f"m,cpu={second % 2} a={second % 2}"])
    page = open_page(f"/d/{dashboard['uid']}")
    chart = page.locator("live-panel .picture")
    expect_points(chart, range(start, start + 20), f"{start % 2} {start % 2:.2f}, {1 - start % 2} {1 - start % 2:.2f}")
    push_seconds(site, wide, [start + 20], lambda second: [f"m,cpu={cpu} a=5" for cpu in (0, 1, 2)])
    push_seconds(site, stream, [start + 21], lambda second: [f"m,cpu={cpu} a=6" for cpu in (0, 1, 2)])
    expect_points(chart, range(start, start + 22), f"{start % 2} 6.00, {1 - start % 2} 6.00, 2 6.00")


def test_listeners_get_the_same_whenever_they_join(site, open_page, stream):
    channel = f"stream/{stream}/m"
    for value in range(1, 6):
        site.push(stream, f"m a={value}")
    page = open_page()
    sent = listen(page)
    # In one turn of the page, so that neither has its answer when the other asks.
    together = f"(calls) => Promise.all(calls.map({LISTEN.strip()}))"
    page.evaluate(together, [[channel, name, True] for name in ("first", "second")])
    page.wait_for_function("() => seen.first.length === 5")
    page.evaluate(LISTEN, [channel, "late", True])
    page.evaluate(LISTEN, [channel, "live", False])
    for value in range(6, 9):
        site.push(stream, f"m a={value}")
    page.wait_for_function("() => Object.values(seen).every((values) => values.at(-1) === '8')")
    everything = [str(value) for value in range(1, 9)]
    assert page.evaluate("seen") == {
        "first": everything,
        "second": everything,
        "late": everything,
        "live": ["5 known", "6", "7", "8"],
    }
    # Those that ask at the same time share the answer.
    assert history_commands(sent) == [{"channel": channel, "limit": 300}] * 2


def test_a_history_larger_than_one_answer_is_read_page_by_page(site, open_page, stream):
    channel = f"stream/{stream}/m"
    for value in range(1, 81):
        site.push(stream, f'm a="{"x" * 20_000}",n={value}')
    page = open_page()
    sent = listen(page)
    page.evaluate(LISTEN, [channel, "all", True])
    page.wait_for_function("() => seen.all.at(-1) === '80'")
    assert page.evaluate("seen.all") == [str(value) for value in range(1, 81)]
    assert len(history_commands(sent)) > 2


def test_what_was_missed_while_away_is_there_afterwards(site, open_page, make_dashboard, stream, problems):
    problems.allow("WebSocket connection to", "ERR_INTERNET_DISCONNECTED", "Failed to load resource")
    dashboard = make_dashboard(panel("lines", f"stream/{stream}/m"))
    start = int(time.time()) - 120
    push_seconds(site, stream, range(start, start + 10), lambda second: ["m a=1"])
    page = open_page()
    sent = listen(page)
    page.goto(f"/d/{dashboard['uid']}")
    chart = page.locator("live-panel .picture")
    expect_points(chart, range(start, start + 10), "a 1.00")
    push_seconds(site, stream, range(start + 10, start + 15), lambda second: ["m a=2"])
    expect_points(chart, range(start, start + 15), "a 2.00")

    page.context.set_offline(True)
    expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    push_seconds(site, stream, range(start + 15, start + 60), lambda second: ["m a=3"])
    page.context.set_offline(False)
    wait_live(page)
    expect_points(chart, range(start, start + 60), "a 3.00")
    push_seconds(site, stream, [start + 60], lambda second: ["m a=4"])
    expect_points(chart, range(start, start + 61), "a 4.00")
    # It came with the subscription: the history was asked for once.
    assert [command.get("since") for command in history_commands(sent)] == [None]


def test_each_listener_gets_what_was_missed_once_and_as_past(site, open_page, stream, problems):
    problems.allow("WebSocket connection to", "ERR_INTERNET_DISCONNECTED", "Failed to load resource")
    channel = f"stream/{stream}/m"
    page = open_page("/explore")
    for name, history in (("all", True), ("live", False)):
        page.evaluate(
            """async ([channel, name, history]) => {
              const { subscribe } = await import('/static/live/live.js');
              const seen = ((window.seen ??= {})[name] = []);
              subscribe(channel, {
                history,
                onData: ({ data }, { past }) => seen.push((past ? 'past ' : '') + data.values.at(-1)[0]),
                onState: (state) => (window.state = state),
              });
            }""",
            [channel, name, history],
        )
    page.wait_for_function("() => window.state === 'subscribed'")
    site.push(stream, "m a=1")
    both = "(count) => seen.all.length === count && seen.live.length === count"
    page.wait_for_function(both, arg=1)
    for turn in range(2):
        page.context.set_offline(True)
        expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
        for value in (2, 3):
            site.push(stream, f"m a={3 * turn + value}")
        page.context.set_offline(False)
        wait_live(page)
        page.wait_for_function(both, arg=3 * turn + 3)
        site.push(stream, f"m a={3 * turn + 4}")
        page.wait_for_function(both, arg=3 * turn + 4)
    everything = ["1", "past 2", "past 3", "4", "past 5", "past 6", "7"]
    assert page.evaluate("seen") == {"all": everything, "live": everything}
