"""Every page, in light and dark, on a screen and a phone: axe finds nothing, and the basics of a good page hold."""

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import pytest
from django.urls import URLResolver, get_resolver, resolve

from .axe import violations
from .scenes import SCENES
from .stage import Stage, size

SCREEN = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SCRIPT_LIMIT = 225_000
EDITING_LIMIT = 300 * 1024
"""Bytes of script, unpacked: of a page that is looked at, and once it is edited."""

# The views that are no page of ours, and why.
NO_PAGES = {
    "Django's own; those of Live are named admin:live_*": ["admin:*"],
    "the demo's HTTP API, in a browser as Django REST framework shows it": [
        "dashboards:api-detail",
        "dashboards:api-list",
    ],
    "the HTTP API of Live: JSON, or nothing": [
        "live:influx-health",
        "live:influx-ping",
        "live:influx-query",
        "live:influx-v1-write",
        "live:influx-v2-write",
        "live:info",
        "live:list",
        "live:nodes",
        "live:publish",
        "live:push",
    ],
    "the address of a form, which leads to the list": ["logout"],
    "plain text, for Prometheus": ["metrics"],
}


@pytest.fixture(scope="module")
def stage(browser, site, other, demo):
    stage = Stage(browser, site, other, demo)
    yield stage
    stage.close()


@pytest.fixture(scope="module", params=SCENES, ids=lambda scene: scene.name)
def scene(request):
    return request.param


@pytest.fixture(scope="module")
def visit(stage, scene):
    """The scene's page, opened once for all tests."""
    visit = stage.open(scene)
    yield visit
    stage.clear(visit)


# What follows the size does so within a frame or two; the admin goes from one colour to the next slowly.
SETTLED = """async () => {
  for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
  const going = document.getAnimations().filter((each) => each instanceof CSSTransition);
  await Promise.allSettled(going.map((each) => each.finished));
}"""

IS_DARK = """() => {
  const colours = [document.body, document.documentElement].map((node) => getComputedStyle(node).backgroundColor);
  const [red, green, blue] = colours.find((colour) => !/, 0\\)$/.test(colour)).match(/[0-9.]+/g).map(Number);
  return red + green + blue < 384;
}"""


def show(page, viewport, scheme):
    """Let the page have that size and those colours."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(viewport)
    page.evaluate(SETTLED)
    assert page.evaluate(IS_DARK) == (scheme == "dark")


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(SCREEN, "light"), (SCREEN, "dark"), (PHONE, "light")],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing(visit, scene, viewport, scheme):
    show(visit.page, viewport, scheme)
    found = violations(visit.page, not_ours=scene.not_ours)
    assert not found, "\n".join(found)


def test_what_is_wrong_is_found(stage):
    page = stage.context("").new_page()
    page.set_content("<img src='data:,'><p style='color: #999; background: #fff'>Pale <button></button></p>")
    found = "\n".join(violations(page))
    page.close()
    for rule in ("button-name", "color-contrast", "document-title", "html-has-lang", "image-alt", "landmark-one-main"):
        assert f"{rule}: " in found


HEAD = """() => {
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((node) => node.checkVisibility()).length;
  return {
    titled: document.title.trim() !== "",
    language: document.documentElement.lang.slice(0, 2),
    viewport: document.querySelector("meta[name=viewport]")?.content.startsWith("width=device-width"),
    mains: shown("main, [role=main]"),
    h1: shown("h1"),
  };
}"""
GOOD_HEAD = {"titled": True, "language": "en", "viewport": True, "mains": 1, "h1": 1}


def test_the_basics(visit, scene):
    assert visit.page.evaluate(HEAD) == GOOD_HEAD
    assert [text for text in visit.console if not any(part in text for part in scene.console)] == []
    assert visit.failed == ([f"{visit.page.url}: {scene.status}"] if scene.status >= 400 else [])
    assert scene.sockets is None or len(visit.sockets) == scene.sockets
    sizes = {url: size(url) for url in sorted(visit.scripts)}
    total = sum(sizes.values())
    assert total < (EDITING_LIMIT if scene.edits else SCRIPT_LIMIT), f"{total} bytes of script: {sizes}"
    assert any("gridstack" in url for url in sizes) == scene.edits


def test_a_phone_never_scrolls_sideways(visit):
    show(visit.page, PHONE, "light")
    widths = visit.page.evaluate("() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
    assert widths[0] <= widths[1] <= PHONE["width"]


def views(resolver, namespaces=()):
    """The names of all views, with their namespaces."""
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from views(each, (*namespaces, *filter(None, [each.namespace])))
        else:
            yield ":".join((*namespaces, each.name or each.lookup_str))


def test_every_page_of_the_demo_has_a_scene():
    urls = "project.urls"
    paths = [urlsplit(scene.path).path for scene in SCENES if scene.path.startswith("/")]
    played = {resolve(path.replace("{", "").replace("}", ""), urls).view_name for path in paths}
    rest = set(views(get_resolver(urls))) - played
    patterns = [pattern for some in NO_PAGES.values() for pattern in some]
    excused = {name for name in rest if any(fnmatchcase(name, pattern) for pattern in patterns)}
    without = {name for name in rest if name not in excused or name.startswith("admin:live_")}
    assert not without, f"tests/browser/scenes.py has no scene of {sorted(without)}, and NO_PAGES no reason"
    assert not [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in rest)]
