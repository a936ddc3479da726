"""`{% live_panel %}` and `{% live_value %}` on a page of another project, below a strict content security policy."""

import itertools
import re
import time

import pytest
from playwright.sync_api import expect

from tests.embedding_site.site import OtherSite, frame, path

from .conftest import RECONNECT, SLOW

_numbers = itertools.count(1)
SIZE = "(node) => parseFloat(getComputedStyle(node).fontSize)"
LINE = "live-panel .lines .line"


@pytest.fixture
def embed(open_page, other):
    """Opens a page with this template as its body."""

    def embed(body, *, where=None, **options):
        return open_page(path(body), where=where or other, **options)

    return embed


@pytest.fixture
def channel():
    """A channel that no other test uses."""
    return f"stream/embedding/m{next(_numbers)}"


def test_two_lines_of_template_are_a_chart_that_moves(embed, other, channel):
    requests = []
    page = embed("<p>Wait</p>")
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path(f'{{% live_panel channel="{channel}" fields="a,b" title="Load" unit="percent" %}}'))
    panel = page.locator("live-panel")
    expect(panel.get_by_text("Waiting for data")).to_be_visible()
    other.publish(channel, frame(1, 2, 3, b=[3, 2, 1], c=[9, 9, 9]))

    said = r"^Load, latest at [\d:]+: a 3\.0 %, b 1\.0 %, 3 points in time since [\d:]+$"
    picture = page.get_by_role("img", name=re.compile(said))
    expect(picture).to_be_visible()
    expect(panel.locator("li")).to_have_text(["a3.0 %", "b1.0 %"])
    expect(page.locator(LINE)).to_have_count(2)
    before = page.locator(LINE).first.get_attribute("d")
    assert before.count("L") == 2

    other.publish(channel, frame(42, b=[0]))
    expect(panel.locator(".latest").first).to_have_text("42.0 %")
    expect(page.locator(LINE).first).not_to_have_attribute("d", before)
    expect(page.get_by_role("img", name=re.compile(r": a 42\.0 %, b 0\.0 %, 4 points"))).to_be_visible()
    assert not [url for url in requests if "/static/" in url and "/static/live/" not in url]


def test_the_scripts_are_small(embed, channel):
    responses = []
    page = embed("<p>Wait</p>")
    page.on("response", lambda response: responses.append(response))
    page.goto(path(f'{{% live_panel channel="{channel}" %}}'))
    expect(page.locator("live-panel figure")).to_be_visible()
    page.wait_for_load_state("networkidle")
    scripts = {one.url: len(one.body()) for one in responses if one.url.endswith(".js")}
    assert len(scripts) >= 5
    assert sum(scripts.values()) < 300 * 1024


def test_a_value_in_a_sentence(embed, other, channel):
    page = embed(
        f'<p id="said">It is {{% live_value channel="{channel}" field="a" digits=1 unit="°C" default="warm" %}}.</p>'
        f'<p id="json">{{% live_value channel="grafana/broadcast/{channel}" field="orders.open" %}} orders</p>'
    )
    said = page.locator("#said live-value")
    expect(page.locator("#said")).to_have_text("It is warm.")
    other.publish(channel, frame(20, 21.25))
    expect(said.locator(".number")).to_have_text("21.3 °C")
    other.publish(f"grafana/broadcast/{channel}", {"orders": {"open": 7}})
    expect(page.locator("#json .number")).to_have_text("7.00")
    other.publish(f"grafana/broadcast/{channel}", {"orders": {"open": "many"}})
    expect(page.locator("#json .number")).to_have_text("many")


def test_a_number_and_the_messages_as_they_are(embed, other, channel):
    page = embed(
        f'{{% live_panel channel="{channel}" type="stat" fields="a" unit="bytes" title="Size" %}}'
        f'{{% live_panel channel="{channel}" type="raw" title="All" %}}'
    )
    other.publish(channel, frame(1500))
    expect(page.locator(".stat")).to_have_text("1.50 kB")
    sizes = [page.locator(f".stat .{part}").evaluate(SIZE) for part in ("number", "unit")]
    assert sizes[0] > 1.5 * sizes[1]
    log = page.get_by_role("log", name="All")
    expect(log.locator(".entry")).to_have_count(1)
    for value in range(60):
        other.publish(channel, frame(value))
    expect(page.locator(".stat")).to_have_text("59 B")
    expect(page.locator(".spark .line")).to_have_attribute("d", re.compile(r"^M[\d.]+,[\d.]+(L[\d.]+,[\d.]+)+$"))
    expect(log.locator(".entry")).to_have_count(50)

    # What is no frame, or does not fit the frames before it, is a message all the same.
    other.publish(channel, {"data": {"values": [[1], [2], [3]]}})
    expect(log.locator(".entry code").first).to_have_text('{"data":{"values":[[1],[2],[3]]}}')
    expect(page.locator("live-panel").first.locator(".trouble")).to_have_text("Waiting for a whole frame")
    expect(page.locator("live-panel").last.locator(".trouble")).to_have_text("")


def test_a_channel_that_is_silent_is_named(embed, channel):
    page = embed(f'{{% live_panel channel="{channel}" %}}')
    expect(page.locator("live-panel .empty")).to_have_text(f"Waiting for data {channel}")


def test_of_many_series_those_that_go_on_are_shown(embed, other, channel):
    page = embed(f'{{% live_panel channel="{channel}" %}}')
    now = int(time.time() * 1000)
    fields = [{"name": "time", "type": "time"}]
    fields += [{"name": "a", "type": "number", "labels": {"job": f"{number:02}"}} for number in range(15)]
    values = [[now - 30_000, now], *([1, None if number < 3 else 2] for number in range(15))]
    other.publish(channel, {"schema": {"fields": fields}, "data": {"values": values}})
    shown = [f"{number:02}2.00" for number in range(3, 15)]
    expect(page.locator("live-panel li")).to_have_text([*shown, "and 3 more"])
    expect(page.locator(LINE)).to_have_count(12)


def test_a_message_that_does_not_fit_is_said_until_the_next_full_frame(embed, other, channel):
    page = embed(f'{{% live_panel channel="{channel}" %}}')
    other.publish(channel, frame(1, 2))
    expect(page.locator("live-panel .latest")).to_have_text("2.00")
    other.publish(channel, {"data": {"values": [[1], [2], [3]]}})
    expect(page.locator("live-panel .trouble")).to_have_text("Waiting for a whole frame")
    expect(page.locator("live-panel .latest")).to_have_text("2.00")
    other.publish(channel, frame(3))
    expect(page.locator("live-panel .latest")).to_have_text("3.00")
    expect(page.locator("live-panel .trouble")).to_have_text("")


def test_all_of_a_tab_share_one_websocket(embed, other, channel):
    """Also a script of the page that finds live.js under another address, as hashes in file names have it."""
    panels = f'{{% live_panel channel="{channel}" %}}' * 2
    script = (
        '<script type="module" nonce="{{ request.csp_nonce }}">'
        'import { subscribe, sessionId } from "{% static "live/live.js" %}?other";'
        'import { sessionId as first } from "{% static "live/live.js" %}";'
        "window.own = []; window.same = sessionId === first;"
        f'subscribe("{channel}", {{ onData: (message) => own.push(message) }});</script>'
    )
    page = embed(f'{{% live_value channel="{channel}" %}}' + panels + script)
    other.publish(channel, frame(1, 2))
    expect(page.locator("live-value .number")).to_have_text("2.00")
    expect(page.locator(LINE)).to_have_count(2)
    page.wait_for_function("() => own.length === 1 && own[0].data.values[1].length === 2")
    assert page.evaluate("window.same") is True
    assert len(page.sockets) == 1


@pytest.fixture
def chart(embed, other, channel):
    """A page with a chart of four rows, a second apart, of the fields a and b; a gap in b, and before it one value."""
    page = embed(f'{{% live_panel channel="{channel}" fields="a,b" title="Load" %}}')
    other.publish(channel, frame(1, 2, 3, 4, b=[10, None, 30, 40]))
    expect(page.locator(LINE)).to_have_count(2)
    return page


def latest(page):
    return page.locator("live-panel .latest")


def shapes(page, kind):
    """The paths of the chart's lines, areas or dots."""
    return page.locator(f"live-panel .lines .{kind}").evaluate_all("(all) => all.map((one) => one.getAttribute('d'))")


def place(chart, share):
    """A point over the picture, so far from its left."""
    box = chart.get_by_role("slider").bounding_box()
    return box["x"] + box["width"] * share, box["y"] + box["height"] / 2


def test_gaps_stay_gaps_and_what_is_alone_is_a_dot(chart):
    assert chart.locator(LINE).first.get_attribute("d").count("L") == 3
    assert chart.locator(LINE).last.get_attribute("d").count("L") == 1
    assert [len(path.split("M")) - 1 for path in shapes(chart, "dots")] == [0, 1]
    assert [path.count("Z") for path in shapes(chart, "area")] == [1, 1]


def test_four_lines_have_no_areas(embed, other, channel):
    page = embed(f'{{% live_panel channel="{channel}" %}}')
    other.publish(channel, frame(1, 2, b=[1, 2], c=[3, 4], d=[5, 6]))
    expect(page.locator(LINE)).to_have_count(4)
    assert shapes(page, "area") == [""] * 4


def test_the_legend_shows_the_values_under_the_pointer(chart, other, channel):
    cursor = chart.locator("live-panel text.at")
    expect(cursor).to_be_hidden()
    chart.mouse.move(*place(chart, 0.995))
    expect(latest(chart)).to_have_text(["4.00", "40.0"])
    expect(cursor).to_be_visible()
    chart.mouse.move(*place(chart, 0.05))  # before all of them is the first
    expect(latest(chart)).to_have_text(["1.00", "10.0"])
    expect(chart.locator("live-panel circle:not([visibility])")).to_have_count(2)
    shown = chart.locator("live-panel .at").text_content()
    assert re.fullmatch(r"\d\d:\d\d:\d\d", shown)
    # What comes does not take the pointer away; the text for those who do not see it goes on.
    other.publish(channel, frame(5, b=[50]))
    expect(chart.get_by_role("img", name=re.compile("a 5.00, b 50.0, 5 points"))).to_be_visible()
    expect(latest(chart)).to_have_text(["1.00", "10.0"])
    chart.mouse.move(0, 0)
    expect(latest(chart)).to_have_text(["5.00", "50.0"])
    expect(cursor).to_be_hidden()


def test_a_finger_reads_the_chart_too(embed, other, channel):
    page = embed(f'{{% live_panel channel="{channel}" fields="a" %}}<button>Away</button>', has_touch=True)
    other.publish(channel, frame(1, 2, 3))
    expect(latest(page)).to_have_text("3.00")
    page.touchscreen.tap(*place(page, 0.2))
    expect(latest(page)).to_have_text("1.00")
    page.get_by_role("button").tap()
    expect(latest(page)).to_have_text("3.00")


def test_arrow_keys_go_from_point_to_point(chart):
    slider = chart.get_by_role("slider", name="Load, point in time")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^latest at .*: a 4.00, b 40.0, 4 points in time"))
    slider.focus()
    texts = []
    for key in ("ArrowLeft", "ArrowLeft", "Home", "ArrowLeft", "ArrowRight", "PageUp", "ArrowRight"):
        chart.keyboard.press(key)
        texts.append(slider.get_attribute("aria-valuetext").split(": ")[1])
    first, second, third, last = "a 1.00, b 10.0", "a 2.00, b –", "a 3.00, b 30.0", "a 4.00, b 40.0"  # noqa: RUF001
    assert texts == [third, second, first, first, second, last, last]
    assert int(slider.get_attribute("aria-valuenow")) == int(slider.get_attribute("aria-valuemax")) == 20_000
    chart.keyboard.press("Home")
    expect(latest(chart)).to_have_text(["1.00", "10.0"])
    expect(chart.locator("live-panel text.at")).to_be_visible()
    chart.keyboard.press("Escape")
    expect(latest(chart)).to_have_text(["4.00", "40.0"])
    expect(slider).to_be_focused()
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^latest at "))


def test_a_paused_panel_keeps_what_it_shows_and_can_be_read(embed, other, channel):
    kinds = "".join(f'{{% live_panel channel="{channel}" type="{kind}" %}}' for kind in ("timeseries", "stat", "raw"))
    page = embed(f'{kinds}{{% live_value channel="{channel}" %}}', height=1200)
    other.publish(channel, frame(1, 2))
    entries = page.locator(".entry")
    expect(latest(page)).to_have_text("2.00")
    expect(entries).to_have_count(1)
    pause = "(yes) => document.querySelectorAll('live-panel').forEach((one) => one.toggleAttribute('paused', yes))"
    page.evaluate(pause, True)
    drawn = page.locator(LINE).get_attribute("d")
    other.publish(channel, frame(3))
    expect(page.locator("live-value .number")).to_have_text("3.00")  # it has come
    page.locator("live-panel").first.evaluate("(node) => { node.style.inlineSize = '300px'; }")
    expect(page.locator(LINE)).not_to_have_attribute("d", drawn)  # in its new size
    assert page.locator(LINE).get_attribute("d").count("L") == 1
    expect(latest(page)).to_have_text("2.00")
    expect(page.locator(".stat")).to_have_text("2.00")
    expect(entries).to_have_count(1)
    page.mouse.move(*place(page, 0.1))
    expect(latest(page)).to_have_text("1.00")
    page.mouse.move(0, 0)
    page.evaluate(pause, False)
    expect(latest(page)).to_have_text("3.00")
    expect(page.locator(".stat")).to_have_text("3.00")
    expect(entries).to_have_count(2)


def test_series_that_end_leave_the_chart_as_it_was(embed, other, channel):
    page = embed(f'{{% live_panel channel="{channel}" labels="job=1" title="Load" %}}')
    now = int(time.time() * 1000)
    for job, moment, value in ((1, now - 400_000, 7), (2, now, 8)):
        fields = [{"name": "time", "type": "time"}, {"name": "a", "type": "number", "labels": {"job": str(job)}}]
        other.publish(channel, {"schema": {"fields": fields}, "data": {"values": [[moment], [value]]}})
        expect(page.get_by_role("img", name=re.compile("^Load, .*: a 7.00, 1 points"))).to_be_visible()
    other.publish(channel, {"data": {"values": [[1], [2], [3]]}})
    said = re.compile(r"^Load, Waiting for a whole frame, latest at [\d:]+: a 7\.00, 1 points")
    expect(page.get_by_role("img", name=said)).to_be_visible()  # the table has nothing of it any more
    page.mouse.move(*place(page, 0.5))
    expect(latest(page)).to_have_text("7.00")


def test_an_element_that_is_moved_keeps_what_it_shows(chart, other, channel):
    inside = chart.evaluate_handle("() => document.querySelector('live-panel').shadowRoot.firstElementChild")
    chart.evaluate("() => document.querySelector('main').append(document.querySelector('live-panel'))")
    other.publish(channel, frame(5))
    expect(latest(chart).first).to_have_text("5.00")
    assert chart.evaluate("(node) => node.isConnected", inside)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_page_and_its_custom_properties(embed, other, channel, scheme):
    page = embed(f'{{% live_panel channel="{channel}" fields="a,b" %}}', scheme=scheme)
    other.publish(channel, frame(1, 2, b=[2, 1]))
    expect(page.locator(LINE)).to_have_count(2)
    colour = "(node) => getComputedStyle(node).stroke"
    own = {"light": "rgb(11, 122, 112)", "dark": "rgb(67, 198, 181)"}[scheme]
    assert page.locator(LINE).first.evaluate(colour) == own
    page.evaluate("() => document.querySelector('live-panel').style.setProperty('--live-series-1', 'rgb(1, 2, 3)')")
    assert page.locator(LINE).first.evaluate(colour) == "rgb(1, 2, 3)"
    texts = page.locator("live-panel text").first.evaluate("(node) => getComputedStyle(node).fill")
    light = sum(float(part) for part in re.findall(r"[\d.]+", texts)[:3]) > 1.5
    assert light == (scheme == "dark")


def test_nothing_is_drawn_while_it_cannot_be_seen(embed, other, channel):
    script = (
        '<script type="module" nonce="{{ request.csp_nonce }}">'
        'import { frames } from "{% static "live/live.js" %}";'
        f'window.own = frames("{channel}");</script>'
    )
    page = embed(f'{{% live_value channel="{channel}" %}}{{% live_panel channel="{channel}" %}}{script}')
    other.publish(channel, frame(1, 2))
    value, line = page.locator("live-value .number"), page.locator(LINE)
    expect(value).to_have_text("2.00")
    expect(line).to_have_count(1)
    page.evaluate("() => { document.querySelector('live-panel').style.marginTop = '5000px'; }")
    # When this observer has been told, the panel's own has been too: they are told in the order of their making.
    page.evaluate(
        """() => new Promise((told) => {
          const observer = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting || told());
          observer.observe(document.querySelector('live-panel'));
        })"""
    )
    drawn = line.get_attribute("d")
    other.publish(channel, frame(3))
    expect(value).to_have_text("3.00")
    assert line.get_attribute("d") == drawn
    page.locator("live-panel").scroll_into_view_if_needed()
    expect(line).not_to_have_attribute("d", drawn)

    # A tab in the background: this browser has none, so it is told so.
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate("() => scrollTo(0, 0)")
    expect(value).to_have_text("3.00")
    page.evaluate(hide, True)
    other.publish(channel, frame(4))
    page.wait_for_function("() => window.own.table.series[0].values.at(-1) === 4")
    assert value.text_content() == "3.00"
    page.evaluate(hide, False)
    expect(value).to_have_text("4.00")


def test_a_lost_connection_is_said_and_mends(embed, tmp_path, channel, problems):
    problems.allow("WebSocket connection to", "ERR_CONNECTION_REFUSED")
    site = OtherSite(tmp_path, **SLOW)
    site.prepare()
    site.start()
    try:
        body = f'{{% live_panel channel="{channel}" title="Load" %}}{{% live_value channel="{channel}" %}}'
        page = embed(body, where=site)
        site.publish(channel, frame(1, 2))
        expect(page.locator(LINE)).to_have_count(1)
        site.stop()
        expect(page.locator("live-panel .trouble")).to_have_text("Connection lost, trying again")
        expect(page.locator("live-value .trouble")).to_have_text(" (Connection lost, trying again)")
        expect(page.locator("live-value .number")).to_have_text("2.00")
        expect(
            page.get_by_role("img", name=re.compile("^Load, Connection lost, trying again, latest at"))
        ).to_be_visible()
        expect(page.get_by_role("status")).to_have_text("Connection lost, trying again")
        site.start()
        expect(page.get_by_role("status")).to_have_text("Connected again", timeout=RECONNECT)
        expect(page.locator("live-panel .trouble")).to_have_text("")
        site.publish(channel, frame(5))
        expect(page.locator("live-value .number")).to_have_text("5.00")
    finally:
        site.stop()


def test_live_switched_off_is_said_and_not_tried(embed, tmp_path, channel):
    site = OtherSite(tmp_path, MAX_CONNECTIONS=0)
    site.prepare()
    site.start()
    try:
        page = embed(f'{{% live_panel channel="{channel}" %}}', where=site)
        expect(page.locator("live-panel .trouble")).to_have_text("Live is switched off")
        assert page.sockets == []
    finally:
        site.stop()


def test_a_refused_channel_is_explained(embed):
    page = embed("<p>Wait</p>")
    page.evaluate("addEventListener('live-state', ({ detail }) => (window.told ??= []).push(detail))")
    page.evaluate("""() => {
      for (const name of ["live-panel", "live-value"]) {
        const element = document.createElement(name);
        element.setAttribute("channel", "nowhere/at/all");
        document.querySelector("main").append(element);
      }
    }""")
    expect(page.locator("live-panel .trouble")).to_have_text("There is no such channel")
    expect(page.locator("live-value .trouble")).to_have_text(" (There is no such channel)")
    told = page.evaluate("window.told")
    assert [(each["text"], each["connection"]) for each in told] == [("There is no such channel", False)] * 2
    assert told[0]["error"]["code"] in (102, 404)


def test_elements_follow_their_attributes_and_leave_nothing(embed, other, channel):
    page = embed(f'{{% live_panel channel="{channel}" fields="a" %}}')
    other.publish(channel, frame(1, 2, b=[7, 8]))
    expect(page.locator("live-panel .latest")).to_have_text("2.00")
    page.evaluate("() => document.querySelector('live-panel').setAttribute('fields', 'b')")
    expect(page.locator("live-panel .latest")).to_have_text("8.00")
    tab = "globalThis[Symbol.for('live.tab')].channels.size"
    assert page.evaluate(tab) == 1
    page.evaluate("() => document.querySelector('live-panel').remove()")
    page.wait_for_function(f"() => {tab} === 0")
