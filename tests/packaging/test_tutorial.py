"""docs/tutorial.md, step by step: a blank project, the built wheel in a fresh environment, a real Chromium.

The browser is opened and closed inside the test: Playwright's event loop must not be there when an asynchronous test of
another file runs in this process.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.docs.markdown import Block
from tests.packaging.conftest import ROOT
from tests.packaging.reader import PASSWORD, Reader, Unknown, named, wait_for

PAGE = ROOT / "docs/tutorial.md"
LINE = "live-panel .line"
TITLE = '<b>"Ours" & theirs</b>'
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


@pytest.fixture
def reader(wheel: Path, tmp_path: Path) -> Iterator[Reader]:
    assert not tmp_path.is_relative_to(ROOT)
    reader = Reader(PAGE.read_text(), tmp_path / "tutorial", wheel)
    yield reader
    reader.close()
    for path in sorted(tmp_path.glob("running-*.log")):  # shown when the test has failed
        print(f"{path.name}\n{path.read_text()}")


class Windows:
    """Windows of a browser, each of somebody else; `problems` is what none of them may have."""

    def __init__(self, browser: Browser, reader: Reader) -> None:
        self._browser = browser
        self._reader = reader
        self.problems: list[str] = []

    def open(self, path: str = "/", *, scheme: str = "light", width: int = 1280) -> Page:
        """A page of the site, in a context of its own."""
        context = self._browser.new_context(
            base_url=self._reader.url, color_scheme=scheme, viewport={"width": width, "height": 800}
        )
        context.set_default_timeout(30_000)
        context.add_init_script(VIOLATIONS)
        page = context.new_page()
        found = self.problems.append
        page.on("console", lambda message: self._said(message))
        page.on("pageerror", lambda error: found(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: found(f"failed: {request.url}"))
        page.on("response", lambda answer: found(f"{answer.status}: {answer.url}") if answer.status >= 400 else None)
        page.goto(path)
        return page

    def _said(self, message: ConsoleMessage) -> None:
        # The admin names no icon, so the browser asks for one that is not there.
        if message.location["url"] != f"{self._reader.url}/favicon.ico" or "/admin/" not in message.page.url:
            self.problems.append(f"console: {message.text} {message.location['url']}")

    def close(self, page: Page) -> None:
        """Closes it, when nothing on it was refused."""
        assert page.evaluate("violations") == []
        assert self.problems == []
        page.context.close()


@pytest.fixture
def windows(reader: Reader) -> Iterator[Windows]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        expect.set_options(timeout=30_000)
        yield Windows(browser, reader)
        browser.close()


def changes(read: Callable[[], str | None]) -> None:
    """Waits until what `read` returns is another."""
    before = read()
    wait_for(lambda: read() not in (before, None), f"something else than {before}")


def loaded(page: Page) -> None:
    """Waits for all that belongs to the page that is shown: what is left while it loads is a request that failed."""
    page.wait_for_load_state()


def moves(page: Page) -> None:
    """The line and the text of the page's chart change."""
    picture = page.get_by_role("img")
    expect(picture).to_have_attribute("aria-label", re.compile(r"latest at [\d:]+: \w+ [-\d.]+"))
    line = page.locator(LINE).first
    changes(lambda: line.get_attribute("d"))
    changes(lambda: picture.get_attribute("aria-label"))


def colour(where: Locator, name: str) -> tuple[float, ...]:
    """A colour of an element: red, green, blue from 0 to 1."""
    text = where.evaluate(f"(node) => getComputedStyle(node).{name}")
    assert text.startswith("rgb("), text
    return tuple(float(part) / 255 for part in re.findall(r"[\d.]+", text))


def mixed(where: Locator, name: str, behind: tuple[float, ...]) -> tuple[float, ...]:
    """A colour of an element through which what is behind it shines, as it is seen."""
    text = where.evaluate(f"(node) => getComputedStyle(node).{name}")
    assert text.startswith("color(srgb "), text
    *own, share = (float(part) for part in re.findall(r"[\d.]+", text))
    return tuple(share * one + (1 - share) * other for one, other in zip(own, behind, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The contrast of two colours as WCAG 2 defines it, from 1 to 21."""

    def luminance(rgb: tuple[float, ...]) -> float:
        parts = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb)
        return sum(part * weight for part, weight in zip(parts, (0.2126, 0.7152, 0.0722), strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def colours(page: Page) -> dict[str, tuple[float, ...]]:
    """The colours of the page and its chart, when each can be told from what is behind it."""
    panel = page.locator("live-panel figure")
    found = {
        "page": colour(page.locator("body"), "backgroundColor"),
        "heading": colour(page.locator("h1"), "color"),
        "panel": colour(panel, "backgroundColor"),
        "title": colour(panel.locator(".title"), "color"),
        "value": colour(panel.locator(".latest").first, "color"),
        "line": colour(page.locator(LINE).first, "stroke"),
    }
    found["mark"] = mixed(page.locator("live-panel .picture text").first, "fill", found["panel"])
    assert contrast(found["mark"], found["panel"]) >= 4.5
    assert contrast(found["heading"], found["page"]) >= 7
    assert contrast(found["title"], found["panel"]) >= 7
    assert contrast(found["value"], found["panel"]) >= 7
    assert contrast(found["line"], found["panel"]) >= 3
    return found


@pytest.mark.timeout(360)
def test_the_tutorial_does_what_it_says(reader: Reader, windows: Windows) -> None:
    a_chart_moves(reader, windows)
    it_is_dark_and_strict(reader, windows)
    a_board_follows_edits(reader, windows)
    reader.follow("manage.py test")
    reader.follow("OK")
    assert reader.blocks == []
    assert "Traceback" not in reader.log(0)


def a_chart_moves(reader: Reader, windows: Windows) -> None:
    reader.follow("manage.py runserver")
    reader.follow("System check identified no issues (0 silenced).")
    page = windows.open()
    expect(page.locator("live-panel").get_by_text("How long this page takes")).to_be_visible()
    expect(page.locator("live-panel").get_by_text("Waiting for data")).to_be_visible()
    expect(page.locator("main > p")).to_have_text(re.compile(r"^It is \S outside\.$"))
    reader.follow("weather temperature=21.5")
    expect(page.locator("live-value .number")).to_have_text("21.5 °C")
    reader.follow("while sleep 1")
    moves(page)
    second = windows.open()
    expect(second.locator(LINE)).to_have_attribute("d", re.compile("L.*L"))
    windows.close(second)
    windows.close(page)


def it_is_dark_and_strict(reader: Reader, windows: Windows) -> None:
    reader.follow('name="color-scheme"')
    wait_for(lambda: 'content="light dark"' in reader.get("/")[2], "the line for dark mode")
    reader.follow("MIDDLEWARE = [")
    reader.restarted()
    _, headers, _ = reader.get("/")
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    light, dark = windows.open(), windows.open(scheme="dark")
    expect(light.locator(LINE)).to_be_visible()
    moves(dark)
    seen = colours(light), colours(dark)
    assert {name for name in seen[0] if seen[0][name] == seen[1][name]} == set()
    assert sum(seen[0]["page"]) > 2.5
    assert sum(seen[1]["page"]) < 0.5
    windows.close(light)
    windows.close(dark)


def a_board_follows_edits(reader: Reader, windows: Windows) -> None:
    reader.follow("boards/follow.js, the whole file")
    reader.restarted()
    reader.follow("manage.py migrate")
    ann = windows.open("/admin/boards/board/add/")
    ann.get_by_label("Username").fill("ann")
    ann.get_by_label("Password").fill(PASSWORD)
    ann.get_by_role("button", name="Log in").click()
    ann.get_by_label("Slug").fill("desk")
    ann.get_by_label("Title").fill("My desk")
    loaded(ann)
    ann.get_by_role("button", name="Save and continue editing").click()
    expect(ann.get_by_text("was added successfully")).to_be_visible()
    loaded(ann)

    visitor = windows.open("/boards/desk/", width=390, scheme="dark")
    expect(visitor.get_by_role("heading")).to_have_text("My desk")
    expect(visitor.locator(LINE)).to_have_count(1)
    assert visitor.evaluate("document.documentElement.scrollWidth") == 390
    visitor.evaluate("window.same = true")

    ann.get_by_label("Title").fill(TITLE)
    ann.get_by_label("Note").fill("First line\n\nSecond & last")
    ann.get_by_label("Chart").select_option("Random numbers")
    ann.get_by_role("button", name="Save and continue editing").click()
    expect(visitor.get_by_role("heading")).to_have_text(TITLE)
    expect(visitor.locator("#board > p")).to_have_text(["First line", "Second & last"])
    expect(visitor.locator("live-panel .title")).to_have_text("Random numbers")
    expect(visitor.locator(LINE)).to_have_count(3)
    moves(visitor)

    # The visitor may know it before Ann is answered.
    expect(ann.get_by_text("was changed successfully")).to_be_visible()
    loaded(ann)
    ann.get_by_text("Delete", exact=True).click()  # a link, from Django 6 on called a button
    expect(ann.get_by_role("button", name="Yes")).to_be_visible()
    loaded(ann)
    ann.get_by_role("button", name="Yes").click()
    expect(ann.get_by_text("was deleted successfully")).to_be_visible()
    loaded(ann)
    expect(visitor.locator("#board")).to_have_text("This board has been deleted.")
    assert visitor.evaluate("window.same") is True
    windows.close(visitor)
    windows.close(ann)


@pytest.mark.parametrize(
    "block",
    [
        "```python\nimport live\n```",
        "```python\n# mysite/settings.py\n```",
        "```python\n# mysite/settings.py, somewhere\n```",
        "```python\n# /etc/settings.py, the whole file\n```",
        "```html\n# mysite/page.html, the whole file\n```",
        "```toml\n# pyproject.toml, the whole file\n```",
        "```sh\n# in another terminal\npython manage.py check\n```",
        "```sh\npip install something-else\n```",
        "    indented",
    ],
)
def test_a_block_that_says_nothing_known_is_an_error(block: str, wheel: Path, tmp_path: Path) -> None:
    reader = Reader(block, tmp_path / "tutorial", wheel)
    with pytest.raises(Unknown, match="line 1"):
        reader.follow("")


def test_what_was_not_printed_is_an_error(wheel: Path, tmp_path: Path) -> None:
    reader = Reader("```text\nOK\n```", tmp_path / "tutorial", wheel)
    with pytest.raises(AssertionError, match="'OK'.* is not in what was printed"):
        reader.follow("OK")


def test_a_step_that_is_missing_is_an_error(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no block with 'runserver' is left"):
        Reader("", tmp_path / "tutorial", wheel).follow("runserver")


def test_blocks_that_are_files_say_which() -> None:
    block = Block("html", 1, "{# a/b.html, below <head> #}\n<p>\n")
    assert named(block).groupdict() == {"path": "a/b.html", "whole": None, "end": None, "line": "<head>"}
