"""A real site, a real browser. The browser's fixtures end with this folder: Playwright's event loop lives in the main
thread, where no asynchronous test can run beside it.
"""

import itertools
import shutil
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.embedding_site.site import OtherSite
from tests.site import ROOT
from tests.visitors import DemoSite

PLACES = """() => Object.fromEntries(
  [...document.querySelectorAll('[data-panel]')].map((item) => {
    const { gridColumnStart, gridColumnEnd, gridRowStart, gridRowEnd } = getComputedStyle(item);
    const span = (end) => Number(end.match(/^span (\\d+)$/)?.[1]);
    const seen = { x: gridColumnStart - 1, y: gridRowStart - 1, w: span(gridColumnEnd), h: span(gridRowEnd) };
    const { x, y, w, h } = item.gridstackNode ?? seen;
    return [item.dataset.panel, [x, y, w, h]];
  }),
)"""
"""Where the panels are on a wide screen, whatever shows them there."""
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
HERE = Path(__file__).parent
PATIENCE = 30_000
"""Milliseconds that something on a page may take: what is proved is that it comes, however busy the machine is."""
RECONNECT = 60_000
"""Milliseconds that a page may take to be connected again: its pauses between attempts become long."""
SLOW = {"PUBLISH_TIMEOUT": 30}
"""Settings with which a site on a busy machine answers late rather than with 503."""
SUBSCRIBED = """() => [...globalThis[Symbol.for('live.tab')].channels.values()].every(
  ({ subscription }) => subscription.state !== 'subscribing',
)"""
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items):
    """A test of this folder may wait several times for as long as `PATIENCE`."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="package", autouse=True)
def built():
    """The libraries of the pages must be there; without them every test would fail for the same reason."""
    missing = [
        name
        for name in ("live/static/live/vendor/centrifuge.js", "project/static/project/vendor/gridstack.js")
        if not (ROOT / name).exists()
    ]
    assert not missing, f"run `npm ci && npm run build` first: {', '.join(missing)} missing"


@pytest.fixture(scope="package")
def site(tmp_path_factory):
    """The site that most tests share; each makes its own dashboards and streams."""
    site = DemoSite(tmp_path_factory.mktemp("site"), **SLOW)
    try:
        yield site.open()
    finally:
        site.close()


@pytest.fixture(scope="package")
def other(tmp_path_factory):
    """A project with `live` and nothing of the demo."""
    site = OtherSite(tmp_path_factory.mktemp("other"), **SLOW)
    site.prepare()
    site.start()
    yield site
    site.stop()
    assert "Traceback" not in site.log, site.log


@pytest.fixture
def own_site(tmp_path):
    """Starts sites that a test has for itself, to stop them or to change their settings."""
    sites = []

    def own_site(**live):
        sites.append(DemoSite(tmp_path, **(SLOW | live)))
        return sites[-1].open()

    yield own_site
    for site in sites:
        site.close()


@pytest.fixture(scope="package")
def demo(site):
    """The user demo's session, for what a test does behind the browser's back."""
    return site.login()


@pytest.fixture(scope="package")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


class Problems:
    """What the browser's console said that it should not have."""

    def __init__(self):
        self.found = []
        self.allowed = []

    def allow(self, *texts):
        """Texts a message may contain; the browser itself logs each failed request."""
        self.allowed.extend(texts)

    def watch(self, page):
        """Listen to a page's console and uncaught errors."""
        page.on("console", lambda message: self._add(message.type, message.text))
        page.on("pageerror", lambda error: self._add("uncaught", str(error)))

    def _add(self, kind, text):
        if kind in ("error", "warning", "uncaught") and not any(each in text for each in self.allowed):
            self.found.append(f"{kind}: {text}")


@pytest.fixture
def problems():
    """No test may leave anything in the console, unless it says so with `problems.allow`."""
    problems = Problems()
    yield problems
    assert problems.found == []


@pytest.fixture
def open_page(browser, site, problems):
    """Opens a page of the site in a context of its own: `open_page("/d/x", login=True, width=390)`.

    `login` is the name of a user whose password is "demo", or True for the user demo.
    """
    contexts = []

    def open_page(path="/", *, login=False, width=1280, height=800, scheme="light", where=None, **options):
        where = where or site
        context = browser.new_context(
            base_url=where.url, viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if login:
            session = where.login("demo" if login is True else login)
            cookies = [{"name": each.name, "value": each.value, "url": where.url} for each in session.cookies]
            context.add_cookies(cookies)
        page = context.new_page()
        page.sockets = []
        page.on("websocket", lambda socket: page.sockets.append(socket))
        problems.watch(page)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def stream():
    """The id of a stream that no other test uses."""
    return f"s{next(_numbers)}"


@pytest.fixture
def make_dashboard(demo):
    """Makes a dashboard through the API and returns it; panels are given as (id, type, channel, fields)."""

    def make_dashboard(*panels, title="Test dashboard"):
        status, dashboard = demo.request("POST", "/api/dashboards/", {"title": title, "panels": list(panels)})
        assert status == 201, dashboard
        return dashboard

    return make_dashboard


def panel(panel_id, channel, *, kind="timeseries", fields=("a",), place=(0, 0, 6, 4), title=""):
    """A panel as the API takes it."""
    x, y, w, h = place
    grid = {"x": x, "y": y, "w": w, "h": h}
    title = title or panel_id
    return {"id": panel_id, "type": kind, "title": title, "channel": channel, "fields": list(fields), "grid": grid}


def line(measurement, value, *, seconds_ago=0, tags=""):
    """One line of line protocol with the field `a`."""
    return f"{measurement}{tags} a={value} {time.time_ns() - int(seconds_ago * 1e9)}"


def wait_live(page, timeout=PATIENCE):
    """Wait until the page's connection is up, and each channel that it asked for is subscribed to or refused."""
    expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=timeout)
    page.wait_for_function(SUBSCRIBED)


def until(page, condition):
    """Wait until `condition()` holds of what the page's events told; they come while the page is asked something."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < deadline, "the page's events did not come"
        page.wait_for_timeout(20)


def reload_until(page, condition):
    """Load a page that shows how things were when it was asked for, again and again until `condition()` holds of it."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < deadline, f"{page.url} did not become what it should"
        # What is still being loaded would be aborted.
        page.wait_for_load_state("networkidle")
        page.reload()


def start_editing(page):
    """Press Edit, and wait until the page can be edited."""
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(page.get_by_role("textbox", name="Title of the dashboard")).to_be_focused()
