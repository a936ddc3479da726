"""The grid of panels: who looks does without gridstack, who edits gets it, and nobody sees the difference."""

import json
import re

import pytest
from playwright.sync_api import expect

from .conftest import PLACES, line, panel, start_editing, until, wait_live

LAYOUT = {"a": (0, 0, 4, 2), "b": (4, 0, 5, 2), "c": (9, 0, 3, 3), "d": (0, 2, 7, 3)}
LATER = {"d": (0, 0, 12, 2), "c": (0, 2, 3, 4), "a": (3, 2, 6, 2), "new": (9, 2, 3, 1)}
BOXES = """() => Object.fromEntries([...document.querySelectorAll('.panel')].map((panel) => {
  const { x, y, width, height } = panel.getBoundingClientRect();
  return [panel.parentElement.dataset.panel, [x, y, width, height]];
}))"""
# Looks at every picture that the browser paints; how far anything was from where it was at first.
WATCH_BOXES = f"""() => {{
  const boxes = {BOXES};
  const first = boxes();
  window.__strayed = 0;
  const look = () => {{
    for (const [id, box] of Object.entries(boxes())) {{
      const off = box.map((value, index) => Math.abs(value - first[id][index]));
      window.__strayed = Math.max(window.__strayed, ...off);
    }}
    requestAnimationFrame(look);
  }};
  look();
}}"""
COUNT_GLIDES = """() => {
  window.__glided = [];
  const animate = Element.prototype.animate;
  Element.prototype.animate = function (...how) {
    window.__glided.push(this.dataset.panel);
    return animate.apply(this, how);
  };
}"""
# The panels from above to below, once they stand in one column.
COLUMN = f"""() => {{
  const boxes = Object.entries(({BOXES})()).sort(([, first], [, second]) => first[1] - second[1]);
  return new Set(boxes.map(([, [left]]) => left)).size === 1 && boxes.map(([id]) => id).join(' ');
}}"""
TWO_PICTURES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
TROUBLE = re.compile("^Editing cannot begin")


def panels(layout, channel="stream/quiet/m"):
    return [panel(name, channel, place=place) for name, place in layout.items()]


def rearrange(demo, dashboard, layout, channel="stream/quiet/m", **values):
    """Save another layout behind the browsers' back."""
    path = f"/api/dashboards/{dashboard['uid']}/"
    version = demo.request("GET", path)[1]["version"]
    data = {"title": "Moved", "panels": panels(layout, channel), "version": version, **values}
    status, answer = demo.request("PUT", path, data, {"X-Live-Session": "other"})
    assert status == 200, answer


def wait_places(page, layout):
    """Wait until the panels are there, and are shown there."""
    wanted = json.dumps(sorted([name, list(place)] for name, place in layout.items()), separators=(",", ":"))
    page.wait_for_function(f"(wanted) => JSON.stringify(Object.entries(({PLACES})()).sort()) === wanted", arg=wanted)
    # Nothing glides any more: each is as far from the corner as its place says.
    page.wait_for_function(
        f"""() => {{
          const grid = document.getElementById('grid').getBoundingClientRect();
          const boxes = ({BOXES})();
          return Object.entries(({PLACES})()).every(([id, [x, y, w, h]]) => {{
            const [left, top, width, height] = boxes[id];
            const column = grid.width / 12;
            const place = [x * column + 6, y * 72 + 6, w * column - 12, h * 72 - 12];
            const shown = [left - grid.x, top - grid.y, width, height];
            return place.every((value, index) => Math.abs(value - shown[index]) < 1);
          }});
        }}"""
    )


def asked_for(page):
    """What the page asks for of gridstack, as it does."""
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "gridstack" in request.url else None)
    return asked


def commands(page):
    """What the page sends through its WebSocket: subscribe and unsubscribe, with the channels."""
    sent = []

    def read(frame):
        for command in map(json.loads, filter(str.strip, frame.split("\n"))):
            sent.extend((name, command[name]["channel"]) for name in ("subscribe", "unsubscribe") if name in command)

    page.on("websocket", lambda socket: socket.on("framesent", read))
    return sent


@pytest.fixture
def dashboard(make_dashboard):
    return make_dashboard(*panels(LAYOUT))


@pytest.mark.parametrize("width", [1280, 1093])
def test_editing_brings_gridstack_once_and_moves_nothing(open_page, dashboard, width):
    page = open_page("/", login=True, width=width)
    asked = asked_for(page)
    page.goto(f"/d/{dashboard['uid']}")
    wait_live(page)
    wait_places(page, LAYOUT)
    assert asked == []

    page.evaluate(WATCH_BOXES)
    for _ in range(2):
        start_editing(page)
        expect(page.locator(".ui-resizable-handle").first).to_be_attached()
        page.evaluate(TWO_PICTURES)
        wait_places(page, LAYOUT)
        page.get_by_role("button", name="Done").click()
        expect(page.get_by_role("button", name="Edit")).to_be_focused()
        expect(page.locator(".ui-resizable-handle")).to_have_count(0)
        page.evaluate(TWO_PICTURES)
        wait_places(page, LAYOUT)
    assert page.evaluate("window.__strayed") < 1
    assert sorted(re.sub(r".*/|#.*", "", url) for url in asked) == ["gridstack.css", "gridstack.js"]


def test_panels_go_on_whatever_shows_them(site, open_page, make_dashboard, stream):
    channel = f"stream/{stream}/m"
    dashboard = make_dashboard(*panels(LAYOUT, channel))
    page = open_page("/", login=True)
    sent = commands(page)
    page.goto(f"/d/{dashboard['uid']}")
    wait_live(page)
    site.push(stream, line("m", 1, seconds_ago=3))
    latest = page.locator("[data-panel=a] .legend .latest")
    expect(latest).to_have_text("1.00")
    before = sorted(sent)
    kept = page.evaluate_handle("document.querySelector('[data-panel=a] live-panel').shadowRoot.firstElementChild")

    start_editing(page)
    site.push(stream, line("m", 2, seconds_ago=2))
    expect(latest).to_have_text("2.00")
    page.get_by_role("button", name="Move d:").press("ArrowRight")
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    wait_places(page, LAYOUT)
    site.push(stream, line("m", 3, seconds_ago=1))
    expect(latest).to_have_text("3.00")
    points = page.locator("[data-panel=a] .picture")
    expect(points).to_have_attribute("aria-label", re.compile("3 points in time"))
    assert page.evaluate("(shown) => shown.isConnected", kept)
    assert sorted(sent) == before


@pytest.mark.parametrize(("what", "how"), [("gridstack.js", "no answer"), ("gridstack.css", "not found")])
def test_without_gridstack_the_page_says_so_and_goes_on(
    site, open_page, demo, make_dashboard, stream, problems, what, how
):
    problems.allow("Failed to load resource")
    channel = f"stream/{stream}/m"
    dashboard = make_dashboard(*panels(LAYOUT, channel))
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    page.route(f"**/{what}*", lambda route: route.abort() if how == "no answer" else route.fulfill(status=404))
    trouble = page.locator(".notice.error").filter(has_text=TROUBLE)
    for _ in range(2):
        page.get_by_role("button", name="Edit").click()
        expect(trouble).to_have_count(1)
        expect(trouble).to_contain_text("press Edit to try again")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("#edit-actions")).to_be_hidden()
    wait_places(page, LAYOUT)
    site.push(stream, line("m", 5))
    expect(page.locator("[data-panel=a] .legend .latest")).to_have_text("5.00")
    rearrange(demo, dashboard, LATER, channel)
    wait_places(page, LATER)

    page.unroute(f"**/{what}*")
    start_editing(page)
    expect(trouble).to_have_count(0)
    expect(page.locator("[data-panel=a] .ui-resizable-handle").first).to_be_attached()
    wait_places(page, LATER)


def test_a_slow_gridstack_is_waited_for_in_sight(open_page, demo, dashboard):
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    held = []
    page.route("**/gridstack.js*", lambda route: held.append(route))
    edit = page.get_by_role("button", name="Edit")
    edit.click()
    expect(edit).to_have_attribute("aria-busy", "true")
    waiting = page.locator(".notice").filter(has_text="Loading what editing needs")
    expect(waiting).to_have_count(1)
    edit.press("Enter")
    # What is saved meanwhile is shown, and is what is edited then.
    rearrange(demo, dashboard, LATER, title="Theirs")
    expect(page.locator("h1")).to_have_text("Theirs")
    until(page, lambda: held)
    assert len(held) == 1
    held[0].continue_()
    expect(page.get_by_role("textbox", name="Title of the dashboard")).to_have_value("Theirs")
    expect(waiting).to_have_count(0)
    wait_places(page, LATER)
    expect(page.get_by_role("button", name="Done")).to_be_visible()
    page.get_by_role("button", name="Done").click()
    assert edit.get_attribute("aria-busy") is None


def test_a_gridstack_that_never_comes_is_given_up(open_page, dashboard):
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    held = []
    page.route("**/gridstack.js*", lambda route: held.append(route))
    # The page's time stands still but for what it is put forward.
    page.clock.install(time=0)
    page.clock.pause_at(10)
    page.get_by_role("button", name="Edit").click()
    page.wait_for_function("() => document.querySelector('link[href*=gridstack]')?.sheet")
    page.clock.fast_forward(19_000)
    expect(page.get_by_role("button", name="Edit")).to_have_attribute("aria-busy", "true")
    page.clock.fast_forward(1_000)
    expect(page.locator(".notice.error").filter(has_text=TROUBLE)).to_contain_text("did not come within 20 seconds")
    assert page.get_by_role("button", name="Edit").get_attribute("aria-busy") is None
    page.clock.resume()
    page.unroute("**/gridstack.js*")
    start_editing(page)


def test_changes_of_others_are_shown_to_all(open_page, demo, dashboard):
    """Moved, resized, added and removed: for who looks, who edits, and who has edited."""
    looks, edits, edited = (open_page(f"/d/{dashboard['uid']}", login=user) for user in (False, True, True))
    for page in (looks, edits, edited):
        wait_live(page)
    start_editing(edits)
    start_editing(edited)
    edited.get_by_role("button", name="Done").click()
    for layout in (LATER, LAYOUT):
        rearrange(demo, dashboard, layout)
        for page in (looks, edits, edited):
            wait_places(page, layout)
    expect(edits.get_by_role("button", name="Done")).to_be_visible()
    assert looks.evaluate("document.querySelector('.grid-stack')") is None


@pytest.mark.parametrize("corner", [False, True], ids=["dragged", "resized"])
def test_editing_may_end_while_a_panel_is_held(open_page, demo, dashboard, corner):
    """The answer to a save comes late: what is held then is let go, where it was saved."""
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    start_editing(page)
    held = []
    page.route("**/api/dashboards/*/", lambda route: held.append(route), times=1)
    page.get_by_role("textbox", name="Title of the dashboard").fill("Saved")
    page.get_by_role("button", name="Save changes").click()
    until(page, lambda: held)
    page.locator("[data-panel=a]").hover()
    handle = page.locator("[data-panel=a]").locator(".ui-resizable-se" if corner else ".panel-title")
    expect(handle).to_be_visible()
    handle = handle.bounding_box()
    x, y = handle["x"] + 8, handle["y"] + 8
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 150, y + 90, steps=8)
    expect(page.locator("[data-panel=a]:is(.ui-draggable-dragging, .ui-resizable-resizing)")).to_have_count(1)
    held[0].continue_()
    expect(page.locator("#saved-info")).to_have_text(re.compile("^Version 2"))
    page.mouse.move(x + 250, y + 190, steps=3)
    page.mouse.up()
    wait_places(page, LAYOUT)
    start_editing(page)
    wait_places(page, LAYOUT)
    expect(page.get_by_role("button", name="Done")).to_be_visible()


def test_what_moves_glides_unless_that_is_not_wanted(open_page, demo, dashboard):
    glides, jumps = (open_page(f"/d/{dashboard['uid']}", reduced_motion=how) for how in ("no-preference", "reduce"))
    for page in (glides, jumps):
        wait_live(page)
        page.evaluate(COUNT_GLIDES)
    rearrange(demo, dashboard, {**LAYOUT, "a": (5, 0, 4, 2), "b": (0, 0, 5, 2), "new": (0, 5, 3, 1)})
    for page in (glides, jumps):
        expect(page.locator("[data-panel=new]")).to_be_visible()
    glides.wait_for_function("() => window.__glided.length >= 2")
    assert sorted(glides.evaluate("window.__glided")) == ["a", "b"]
    assert jumps.evaluate("window.__glided") == []


def test_what_a_program_saved_stands_the_same_for_all(open_page, demo, make_dashboard):
    """Gaps close and what is over something else makes room: also before gridstack is there to do it."""
    given = {"a": (0, 4, 6, 2), "b": (3, 5, 6, 2), "c": (9, 30, 3, 2), "d": (0, 90, 3, 1)}
    shown = {"a": (0, 0, 6, 2), "b": (3, 2, 6, 2), "c": (9, 0, 3, 2), "d": (0, 2, 3, 1)}
    dashboard = make_dashboard(*panels(given))
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    wait_places(page, shown)
    start_editing(page)
    wait_places(page, shown)
    # Nothing was changed by a person yet.
    expect(page.get_by_role("button", name="Done")).to_be_visible()
    page.get_by_role("button", name="Move d:").press("ArrowRight")
    page.get_by_role("button", name="Save changes").click()
    expect(page.locator("#saved-info")).to_have_text(re.compile("^Version 2"))
    stored = demo.request("GET", f"/api/dashboards/{dashboard['uid']}/")[1]["panels"]
    assert {each["id"]: list(each["grid"].values()) for each in stored} == page.evaluate(PLACES)


def test_a_draft_survives_one_column(open_page, dashboard):
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    start_editing(page)
    page.get_by_role("button", name="Move d:").press("ArrowRight")
    moved = {**LAYOUT, "d": (1, 2, 7, 3)}
    wait_places(page, moved)
    page.set_viewport_size({"width": 600, "height": 800})
    expect(page.locator(".grid-stack")).to_have_count(0)
    page.wait_for_function(f"() => ({COLUMN})() === 'a b c d'")
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.locator("[data-panel=d] .ui-resizable-handle").first).to_be_attached()
    wait_places(page, moved)
    expect(page.get_by_role("button", name="Save changes")).to_be_visible()


def test_the_focus_stays_where_it_is_and_the_order_is_that_of_the_screen(open_page, dashboard):
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    start_editing(page)
    grip = page.get_by_role("button", name="Move c:")
    for key in ("ArrowLeft", "ArrowLeft"):
        grip.press(key)
    expect(grip).to_be_focused()
    shown = page.evaluate(PLACES)
    order = page.locator("[data-panel]").evaluate_all("(all) => all.map((one) => one.dataset.panel)")
    assert order == sorted(shown, key=lambda name: (shown[name][1], shown[name][0]))
