"""The explorer: the channels there are, one of them as lines and as messages, and publishing to it."""

import json
import re

import pytest
from playwright.sync_api import expect

from .conftest import line, wait_live

PLUGIN = "plugin/testdata/random-20Hz-stream"
LINE = "document.querySelector('#chart live-panel').shadowRoot.querySelector('.lines .line')"
POINTS = f"() => ({LINE}?.getAttribute('d') ?? '').split(/[ML]/).length - 1"
"""The points that are drawn of the chart's first line."""
GAINED = f"""(rate) => {{
  const seen = (window.__seen ??= []);
  const [now, points] = [performance.now() / 1000, ({POINTS})()];
  seen.push([now, points]);
  return seen.some(([began, before]) => now - began >= 2 && points - before >= rate * (now - began));
}}"""
"""Whether the chart has gained so many points a second in two seconds or more, at any time since it was asked first."""
PICTURE = f"{LINE}.getAttribute('d')"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def row_of(page, channel):
    return page.locator(f"tr[data-channel='{channel}']")


def publish(page, text):
    """Send the text with the explorer's form, which is opened if it is not."""
    if not page.locator("#publish").evaluate("(one) => one.open"):
        page.get_by_text("Publish a message").click()
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Publish", exact=True).click()


def fault(page):
    return page.locator("#publish-form").get_by_role("alert")


def test_channels_are_listed_with_rates_and_one_is_read(site, open_page, stream):
    page = open_page("/explore")
    site.push(stream, "m a=1")
    row = row_of(page, f"stream/{stream}/m")
    expect(row.locator("td").first).to_have_text("1")
    site.push(stream, "m a=2")
    expect(row.locator("td").first).to_have_text("2")

    row.get_by_role("button").click()
    expect(page.locator(".entry")).to_have_count(2)  # its history
    expect(page.locator(".entry").last).to_contain_text('"fields"')
    expect(page.locator(".entry time")).to_have_text(["earlier", "earlier"])
    site.push(stream, "m a=3.25")
    expect(page.locator(".entry").first).to_contain_text("3.25")
    expect(page.locator(".entry time").first).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    expect(row.locator("td").nth(1)).to_have_text("1")

    page.get_by_role("button", name="Pause").click()
    site.push(stream, "m a=4.5")
    expect(row.locator("td").first).to_have_text("4")
    expect(page.locator(".entry")).to_have_count(3)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".entry")).to_have_count(4)
    expect(page.locator(".entry").first).to_contain_text("4.5")

    page.get_by_placeholder("Filter, or type a channel").fill("no such channel")
    expect(page.locator("#channels tr")).to_have_count(0)
    expect(page.locator("#channels-empty")).to_be_visible()


def test_a_channel_is_a_chart_too_and_can_be_held(site, open_page, stream):
    page = open_page(f"/explore#stream/{stream}/m")
    wait_live(page)
    expect(page.locator("#detail-hint")).to_have_text("Nothing has come since you opened it.")
    expect(page.locator("#chart")).to_be_hidden()
    site.push(stream, "\n".join(line("m", value, seconds_ago=10 - value) for value in range(1, 9)))
    expect(page.locator("#chart .legend .latest")).to_have_text("8.00")
    assert page.evaluate(POINTS) == 8
    expect(page.get_by_role("img", name=re.compile(", 8 points in time since"))).to_be_visible()
    expect(page.locator("#detail-hint")).to_have_text(re.compile("1 since you opened it"))

    page.get_by_role("button", name="Pause").click()
    site.push(stream, line("m", 42))
    expect(page.locator("#detail-hint")).to_have_text(re.compile("2 since you opened it"))
    expect(page.locator("#chart .legend .latest")).to_have_text("8.00")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#chart .legend .latest")).to_have_text("42.0")


def test_a_plugins_stream_moves_at_its_pace(open_page):
    page = open_page("/explore")
    page.get_by_placeholder("Filter, or type a channel").fill("20Hz")
    row = row_of(page, PLUGIN)
    expect(row.locator("td").first).to_have_text(re.compile(r"^\d+$"))
    row.get_by_role("button").click()
    expect(page.locator("#chart .legend .name")).to_have_text(["Value", "Min", "Max"])
    page.wait_for_function(f"() => ({POINTS})() >= 20")
    picture = page.evaluate(PICTURE)
    # A busy machine leaves out beats now and then.
    page.wait_for_function(GAINED, arg=15)
    assert page.evaluate(PICTURE) != picture
    pace = re.compile(r"^About (1[5-9]|2\d) messages a second")
    expect(page.locator("#detail-hint")).to_have_text(pace, timeout=40_000)
    expect(page.locator(".entry").first).to_contain_text('"values"')
    assert len(page.sockets) == 1


def test_a_source_is_watched_by_its_name_only_by_whom_may(open_page):
    """Whoever is signed in may query the demo's sources; a visitor is not even told that there are some."""
    page = open_page("/explore")
    expect(row_of(page, PLUGIN)).to_be_visible()
    expect(page.locator("tr[data-channel^='ds/']")).to_have_count(0)
    page.get_by_placeholder("Filter, or type a channel").fill("ds/numbers/rows")
    expect(page.locator("#channels-empty")).to_contain_text("Press Enter to open it all the same")
    page.keyboard.press("Enter")
    expect(page.locator("#detail-hint")).to_have_text(re.compile("^This channel cannot be watched: "))

    page = open_page("/explore", login=True)
    row_of(page, "ds/numbers/rows").get_by_role("button").click()
    expect(page.locator(".entry").first).to_contain_text('"fields"')


@pytest.mark.parametrize("path", ["plugin/testdata/no-such-stream", "plugin/nobody/x", "ds/nowhere/x", "nonsense/a/b"])
def test_a_channel_that_cannot_be_watched_says_so(open_page, path):
    page = open_page(f"/explore#{path}", login=True)
    expect(page.locator("#detail-hint")).to_have_text(re.compile("^This channel cannot be watched: .+"))
    expect(page.locator("#raw-empty")).to_have_text("Nothing comes from here.")
    # And the next one can.
    row_of(page, PLUGIN).get_by_role("button").click()
    expect(page.locator("#chart .legend .name").first).to_be_visible()


def test_publishing_where_it_is_allowed(open_page, stream):
    channel = f"grafana/broadcast/{stream}"
    listener = open_page(f"/explore#{channel}")
    page = open_page(f"/explore#{channel}", login=True)
    for each in (listener, page):
        wait_live(each)
        expect(each.locator("#messages")).to_be_visible()
    publish(page, '{"said": "hello"}')
    expect(page.locator("#publish-state")).to_have_text("Published")
    for each in (listener, page):
        expect(each.locator(".entry code")).to_have_text('{"said":"hello"}')
        expect(each.locator("#chart")).to_be_hidden()
    page.get_by_role("textbox", name="Message").fill('["again"]')
    expect(page.locator("#publish-state")).to_have_text("")
    page.keyboard.press("Control+Enter")
    expect(listener.locator(".entry code").first).to_have_text('["again"]')


def test_publishing_where_it_is_refused(open_page, stream, problems):
    problems.allow("status of 403", "status of 404")
    page = open_page(f"/explore#{PLUGIN}", login=True)
    publish(page, "{not json")
    expect(fault(page)).to_have_text(re.compile("^This is not JSON: "))
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    publish(page, json.dumps({"a": 1}))
    expect(fault(page)).to_have_text(re.compile("^You may not publish to this channel"))
    page.get_by_placeholder("Filter, or type a channel").fill("plugin/nobody/x")
    page.keyboard.press("Enter")
    expect(page.locator("#raw-title")).to_have_text("plugin/nobody/x")
    expect(fault(page)).to_be_hidden()
    publish(page, "1")
    expect(fault(page)).to_have_text(re.compile("^There is nothing to publish to here"))

    visitor = open_page(f"/explore#grafana/broadcast/{stream}")
    publish(visitor, "1")
    expect(fault(visitor)).to_have_text("You may not publish to this channel. Signing in may help.")


def test_a_channel_is_opened_by_its_name_also_while_the_list_cannot_be_read(open_page, problems):
    problems.allow("status of 503")
    page = open_page()
    page.route("**/api/live/list*", lambda route: route.fulfill(status=503))
    with page.expect_response("**/api/live/list*"):
        page.goto("/explore")
    page.get_by_placeholder("Filter, or type a channel").fill(PLUGIN)
    page.keyboard.press("Enter")
    expect(page.locator("#raw-title")).to_have_text(PLUGIN)
    expect(page.locator("#chart .legend .name").first).to_be_visible()


def test_the_explorer_works_with_the_keyboard(open_page, site, stream):
    site.push(stream, "m a=1")
    page = open_page("/explore")
    page.get_by_placeholder("Filter, or type a channel").focus()
    page.keyboard.type(f"{stream}/m")
    expect(page.locator("#channels tr[data-channel]")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(row_of(page, f"stream/{stream}/m").get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"stream/{stream}/m")).to_be_visible()
    expect(row_of(page, f"stream/{stream}/m").get_by_role("button")).to_be_focused()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    reader = page.get_by_role("slider", name=f"stream/{stream}/m, point in time")
    expect(reader).to_be_visible()
    expect(page.get_by_role("log", name="Messages")).to_be_visible()
    page.keyboard.press("Tab")
    expect(reader).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("log", name="Messages")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_sees_the_list_then_the_channel(open_page, scheme):
    page = open_page("/explore", width=360, height=740, has_touch=True, scheme=scheme)
    row_of(page, PLUGIN).get_by_role("button").tap()
    expect(page.locator("#chart .legend .name").first).to_be_visible()
    expect(page.locator("#raw-title")).to_be_in_viewport()
    assert page.evaluate(OVERFLOW) == 0
    assert page.locator("[style]").count() == 0
