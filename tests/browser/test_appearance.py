"""How the pages look and behave on any screen: phone, dark, console, strict content policy, the README's picture."""

import math
import os
import struct
import time

import pytest
from playwright.sync_api import expect

from tests.site import ROOT

from .conftest import PLACES, line, panel, start_editing, wait_live

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LUMINANCE = """() => {
  const [r, g, b] = getComputedStyle(document.documentElement).backgroundColor.match(/[\\d.]+/g).map(Number);
  return (r + g + b) / 765;
}"""
DARK = f"() => ({LUMINANCE})() < 0.5"
SHOWN = f"""(wanted) => {{
  const shown = ({PLACES})();
  const text = (places) => JSON.stringify(Object.entries(places).sort());
  return text(shown) === text(wanted);
}}"""
"""Whether the panels are at these places, and no others."""
PAGES = ["/", "/d/machine", "/d/details", "/explore", "/accounts/login/"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_clean_and_follows_the_systems_colours(open_page, path, scheme):
    page = open_page(path, scheme=scheme)  # the fixture fails on anything in the console
    expect(page.locator("header.site-header")).to_be_visible()
    if page.locator("#connection").count():
        wait_live(page)
    assert (page.evaluate(LUMINANCE) > 0.5) == (scheme == "light")
    assert page.locator("script:not([src]):not([type='application/json'])").count() == 0
    assert page.locator("[style]").evaluate_all("(nodes) => nodes.filter((n) => !n.closest('#grid'))") == []


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_sees_one_column_without_scrolling_sideways(open_page, path):
    page = open_page(path, login=path != "/accounts/login/", width=360, height=740, has_touch=True)
    if page.locator("#connection").count():
        wait_live(page)
    assert page.evaluate(OVERFLOW) == 0
    lefts = set(page.locator(".panel").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().left)"))
    assert len(lefts) <= 1


def test_a_phone_edits_without_changing_the_layout(open_page, make_dashboard, demo):
    places = {"a": (0, 0, 4, 2), "b": (4, 0, 8, 2), "c": (0, 2, 12, 3)}
    dashboard = make_dashboard(*(panel(name, "stream/quiet/m", place=place) for name, place in places.items()))
    page = open_page(f"/d/{dashboard['uid']}", login=True, width=360, height=740)
    wait_live(page)
    start_editing(page)
    page.get_by_role("button", name="Change b").click()
    page.get_by_role("textbox", name="Title", exact=True).fill("Renamed")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("article", name="Renamed")).to_be_visible()
    assert page.evaluate(OVERFLOW) == 0
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    panels = demo.request("GET", f"/api/dashboards/{dashboard['uid']}/")[1]["panels"]
    assert {each["id"]: tuple(each["grid"].values()) for each in panels} == places
    assert panels[1]["title"] == "Renamed"

    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function(SHOWN, arg=places)


def test_any_saved_layout_is_shown_as_it_is(open_page, make_dashboard, demo):
    """Another order, swapped places: where the panels were before must not change the result."""
    first = {"a": (0, 0, 6, 2), "b": (6, 0, 6, 2), "c": (0, 2, 12, 2), "d": (0, 4, 3, 2), "e": (3, 4, 9, 2)}
    later = {"e": (0, 0, 9, 2), "d": (9, 0, 3, 2), "c": (0, 2, 12, 2), "b": (0, 4, 6, 3), "a": (6, 4, 6, 2)}
    panels = [panel(name, "stream/quiet/m", place=place) for name, place in first.items()]
    dashboard = make_dashboard(*panels)
    page = open_page(f"/d/{dashboard['uid']}")
    wait_live(page)

    page.wait_for_function(SHOWN, arg=first)
    panels = [panel(name, "stream/quiet/m", place=place) for name, place in later.items()]
    body = {"title": "Moved", "panels": panels, "version": 1}
    assert demo.request("PUT", f"/api/dashboards/{dashboard['uid']}/", body)[0] == 200
    expect(page.locator("h1")).to_have_text("Moved")
    page.wait_for_function(SHOWN, arg=later)
    order = page.locator("[data-panel]").evaluate_all("(all) => all.map((one) => one.dataset.panel)")
    assert order == ["e", "d", "c", "b", "a"]


def test_the_theme_button_switches_and_is_remembered(open_page):
    page = open_page("/d/machine", scheme="light")
    page.get_by_role("button", name="Switch between light and dark").click()
    page.wait_for_function(DARK)
    page.reload()
    page.wait_for_function(DARK)


def test_charts_survive_a_change_of_colours(site, open_page, make_dashboard, stream):
    dashboard = make_dashboard(panel("lines", f"stream/{stream}/m"))
    page = open_page(f"/d/{dashboard['uid']}")
    wait_live(page)
    site.push(stream, "\n".join(line("m", value, seconds_ago=5 - value) for value in range(5)))
    expect(page.locator(".legend .latest")).to_have_text("4.00")
    drawn = page.locator("live-panel .lines .line")
    colours = """(before) => {
      const inside = document.querySelector('live-panel').shadowRoot;
      const now = ['.line', 'text', '.latest'].map((name) => getComputedStyle(inside.querySelector(name)))
        .map(({ stroke, fill, color }) => [stroke, fill, color].join(' '));
      return now.some((colour) => before.includes(colour)) ? null : now;
    }"""
    before = page.evaluate(colours, [])
    page.get_by_role("button", name="Switch between light and dark").click()
    page.wait_for_function(colours, arg=before)
    site.push(stream, line("m", 7))
    expect(page.locator(".legend .latest")).to_have_text("7.00")
    expect(drawn).to_have_count(1)


def test_a_dashboard_that_does_not_exist_has_a_page_of_its_own(open_page, problems):
    problems.allow("status of 404")
    page = open_page("/d/nothing-here")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def test_a_refused_login_is_explained(open_page):
    page = open_page("/accounts/login/")
    page.get_by_label("User name").fill("demo")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def demo_lines(step, now):
    """What a machine could have said `step` seconds ago: the agent's streams, made up, so that the picture is calm."""
    at = now - step * 1_000_000_000
    wave = [math.sin((300 - step) / period + shift) for period, shift in ((23, 0), (11, 1), (31, 2), (7, 3))]
    busy = 31 + 17 * wave[0] + 6 * wave[1] + 3 * wave[3]
    used = 8.1e9 + 0.5e9 * wave[2] + 0.1e9 * wave[1]
    load = 1.4 + 0.5 * wave[0] + 0.15 * wave[3]
    yield f"cpu,cpu=cpu-total usage_user={busy},usage_system={9 + 3 * wave[1]},usage_iowait={2 + 1.5 * wave[3]} {at}"
    yield f"mem used={used},available={16.6e9 - used},used_percent={used / 16.6e7} {at}"
    yield f"disk,path=/ used_percent={57.3 + 0.02 * wave[0]},free={2.1e11} {at}"
    yield f"system load1={load},load5={1.25 + 0.2 * wave[2]},load15={1.1 + 0.04 * wave[2]} {at}"
    rates = f"bytes_recv_rate={4.1e6 + 2.2e6 * wave[1] + 0.9e6 * wave[3]},bytes_sent_rate={1.2e6 + 0.6e6 * wave[0]}"
    yield f"net,interface=eth0 {rates} {at}"


def test_the_picture_for_the_readme(site, open_page, tmp_path):
    page = open_page("/d/machine", login=True)
    wait_live(page)
    now = time.time_ns()
    site.push("host", "\n".join(text for step in range(299, -1, -1) for text in demo_lines(step, now)))
    expect(page.locator("live-panel .stat")).to_have_count(4)
    expect(page.locator("live-panel .legend")).to_have_count(4)
    lines = "[...document.querySelectorAll('live-panel')].map((one) => one.shadowRoot.querySelector('.line'))"
    page.wait_for_function(f"() => {lines}.filter((line) => line?.getAttribute('d')).length === 8")
    wanted = os.environ.get("LIVE_README_PICTURE") == "1"
    target = ROOT / "docs" / "dashboard.png" if wanted else tmp_path / "dashboard.png"
    page.screenshot(path=target, animations="disabled")
    picture = target.read_bytes()
    assert struct.unpack(">II", picture[16:24]) == (1280, 800)
    assert len(picture) < 300_000
