"""What arrives without asking: points in charts, all through one WebSocket."""

import json
import re
import time

from playwright.sync_api import expect

from .conftest import RECONNECT, line, panel, wait_live

PAINTED = """(nodes) => nodes.reduce((sum, node) => {
  const { stroke, strokeWidth, visibility } = getComputedStyle(node);
  return stroke === 'none' || visibility !== 'visible' ? sum : sum + node.getTotalLength() * parseFloat(strokeWidth);
}, 0)"""
"""About how many pixels these lines colour."""


def subscribed_channels(frames):
    """The channels of the subscribe commands in what a page sent."""
    commands = [json.loads(each) for frame in frames for each in frame.split("\n") if each.strip()]
    return [command["subscribe"]["channel"] for command in commands if "subscribe" in command]


def test_charts_move(site, open_page, make_dashboard, stream):
    dashboard = make_dashboard(
        panel("lines", f"stream/{stream}/m"),
        panel("number", f"stream/{stream}/m", kind="stat", place=(6, 0, 3, 2)),
        panel("raw", f"stream/{stream}/m", kind="raw", place=(6, 2, 6, 2)),
    )
    page = open_page(f"/d/{dashboard['uid']}")
    wait_live(page)
    expect(page.get_by_text("Waiting for data").first).to_be_visible()

    site.push(stream, "\n".join(line("m", value, seconds_ago=10 - value) for value in range(1, 9)))
    chart = page.get_by_role("img")
    line_drawn = page.locator("live-panel .lines .line")
    expect(chart).to_have_attribute("aria-label", re.compile(r"latest at .*: a 8\.00"))
    expect(page.locator(".stat .number")).to_have_text("8.00")
    expect(line_drawn).to_have_count(1)
    assert line_drawn.evaluate_all(PAINTED) > 250
    assert page.locator("live-panel .picture :is(.line, line)").evaluate_all(PAINTED) > 500
    before = line_drawn.get_attribute("d")
    assert before.count("L") == 7

    site.push(stream, line("m", 42))
    expect(page.locator(".stat .number")).to_have_text("42.0")
    expect(page.locator(".legend .latest")).to_have_text("42.0")
    expect(page.locator(".entry")).to_have_count(2)
    expect(line_drawn).not_to_have_attribute("d", before)


def test_label_sets_become_series(site, open_page, make_dashboard, stream):
    dashboard = make_dashboard(panel("lines", f"stream/{stream}/m"))
    page = open_page(f"/d/{dashboard['uid']}")
    wait_live(page)
    site.push(stream, "\n".join(line("m", value, tags=f",host=h,cpu={value}") for value in (1, 2)))
    expect(page.locator(".legend .name")).to_have_text(["1", "2"])
    site.push(stream, "\n".join(line("m", value, tags=f",host=h,cpu={value}") for value in (1, 2, 3)))
    expect(page.locator(".legend .name")).to_have_text(["1", "2", "3"])


def test_of_many_series_those_that_go_on_are_shown(site, open_page, make_dashboard, stream):
    dashboard = make_dashboard(panel("lines", f"stream/{stream}/m"))
    page = open_page(f"/d/{dashboard['uid']}")
    wait_live(page)
    ended = [line("m", n, tags=f",job={n:02}", seconds_ago=100 - n) for n in range(14)]
    site.push(stream, "\n".join([*ended, line("m", 1, tags=",job=98"), line("m", 2, tags=",job=99")]))
    latest = [f"{n:02}" for n in range(4, 14)]
    expect(page.locator(".legend .name")).to_have_text([*latest, "98", "99"])
    expect(page.locator(".legend")).to_contain_text("and 4 more")
    site.push(stream, "\n".join(line("m", 3, tags=f",job={n}") for n in range(80, 90)))
    expect(page.locator(".legend .name")).to_have_text(["98", "99", *(str(n) for n in range(80, 90))])


def test_a_new_field_appears(site, open_page, make_dashboard, stream):
    dashboard = make_dashboard(panel("lines", f"stream/{stream}/m", fields=()))
    page = open_page(f"/d/{dashboard['uid']}")
    wait_live(page)
    site.push(stream, "m a=1")
    expect(page.locator(".legend .name")).to_have_text(["a"])
    site.push(stream, "m a=1,b=2")
    expect(page.locator(".legend .name")).to_have_text(["a", "b"])


def test_a_late_visitor_starts_with_the_last_frame(site, open_page, make_dashboard, stream):
    dashboard = make_dashboard(panel("number", f"stream/{stream}/m", kind="stat"))
    site.push(stream, "m a=5")
    site.push(stream, "m a=7")
    page = open_page(f"/d/{dashboard['uid']}")
    expect(page.locator(".stat .number")).to_have_text("7.00")


def test_one_websocket_whatever_the_number_of_panels(site, open_page, make_dashboard, stream):
    panels = [panel(f"p{n}", f"stream/{stream}/m{n % 2}", place=(n % 2 * 6, n // 2 * 2, 6, 2)) for n in range(8)]
    dashboard = make_dashboard(*panels)
    page = open_page()
    sent = []

    def listen(socket):
        socket.on("framesent", lambda frame: sent.append(frame))

    page.on("websocket", listen)
    page.goto(f"/d/{dashboard['uid']}")
    wait_live(page)
    site.push(stream, "m0 a=1\nm1 a=2")
    expect(page.locator("live-panel .legend")).to_have_count(8)
    assert len(page.sockets) == 1
    expected = [f"grafana/dashboard/uid/{dashboard['uid']}", f"stream/{stream}/m0", f"stream/{stream}/m1"]
    assert sorted(subscribed_channels(sent)) == expected


def test_page_recovers_when_the_server_comes_back(own_site, open_page, problems):
    problems.allow("WebSocket connection to", "ERR_CONNECTION_REFUSED")
    site = own_site()
    page = open_page("/d/machine", where=site)
    wait_live(page)
    now = int(time.time())
    site.push("host", f"system load1=0.5,load5=0.4,load15=0.3 {now - 2}000000000")
    number = page.locator("[data-panel=load-now] .stat .number")
    expect(number).to_have_text("0.50")
    page.evaluate("window.__marker = true")

    site.stop()
    expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    site.manage(
        "shell",
        "--verbosity=0",
        "-c",
        "from project.dashboards.changes import save_change; save_change('machine', 1, title='Changed meanwhile')",
    )
    site.start()

    wait_live(page, RECONNECT)
    expect(page.locator("h1")).to_have_text("Changed meanwhile")
    site.push("host", f"system load1=0.75,load5=0.4,load15=0.3 {now}000000000")
    expect(number).to_have_text("0.75")
    # The site's memory is gone with it; what the page knew is not.
    expect(page.locator("[data-panel=load] .picture")).to_have_attribute("aria-label", re.compile(", 2 points in time"))
    assert page.evaluate("window.__marker") is True


def test_live_switched_off_is_said_and_not_tried(open_page, own_site):
    page = open_page("/d/machine", where=own_site(MAX_CONNECTIONS=0))
    expect(page.locator("#connection")).to_have_text("Live is off")
    expect(page.locator(".panel")).to_have_count(8)
    assert page.sockets == []
