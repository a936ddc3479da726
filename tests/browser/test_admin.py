"""Live in the admin with a real browser: what is shown, on a screen and a phone, and how somebody is disconnected."""

import contextlib
import re

import pytest
from playwright.sync_api import expect

from tests.visitors import DemoSite

from .conftest import PATIENCE, SLOW, reload_until, wait_live

PASSWORD = "secret"
LIST = "/admin/live/overview/"

USERS = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("root", password={PASSWORD!r})
User.objects.create_user("<i>ann</i>", password={PASSWORD!r})
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """A site with an operator and a user; the visitors that watch it are pages of the same browser."""
    site = DemoSite(tmp_path_factory.mktemp("office"), **SLOW)
    try:
        site.prepare()
        site.manage("shell", "--no-imports", "-c", USERS)
        site.start()
        yield site
    finally:
        site.close()


@pytest.fixture
def visit(browser, office, problems):
    """Opens a page as that user, or as nobody: `visit("/", "root", width=390)`."""
    contexts = []

    def visit(path, user="", *, width=1280, **options):
        context = browser.new_context(base_url=office.url, viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        # The admin has no icon, and browsers log that they did not find one.
        context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        if user:
            cookies = office.login(user, PASSWORD).cookies
            context.add_cookies([{"name": each.name, "value": each.value, "url": office.url} for each in cookies])
        page = context.new_page()
        problems.watch(page)
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        with contextlib.suppress(Exception):
            context.close()


def rows(page):
    """The clients in the list."""
    return page.locator("#live-clients tbody tr").filter(has=page.locator("th code"))


def listed(page, count):
    """Waits until the list has so many clients; those of the test before may be leaving still."""
    reload_until(page, lambda: rows(page).count() == count)


def test_an_operator_finds_the_page_and_disconnects_a_user(visit):
    ann, nobody = visit("/d/machine", "<i>ann</i>"), visit("/d/machine")
    wait_live(ann)
    wait_live(nobody)

    page = visit("/admin/", "root")
    page.get_by_role("link", name="Nodes and clients").first.click()
    expect(page.locator("#live-nodes tbody tr")).to_have_count(1)
    listed(page, 2)
    expect(rows(page).filter(has_text="<i>ann</i>")).to_have_count(1)
    expect(page.locator("#live-channels")).to_contain_text("grafana/dashboard/uid/machine")

    page.get_by_label("User, or id").fill("ANN")
    page.get_by_role("button", name="Search").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("link", name="User", exact=True).click()
    expect(page.locator("legend")).to_contain_text("Disconnect every client of <i>ann</i>")
    page.get_by_label("They stay away").check()
    page.get_by_role("button", name="Disconnect").click()

    expect(page.locator(".messagelist .success")).to_have_text("Every node was told to disconnect <i>ann</i>.")
    expect(ann.locator("#connection")).not_to_have_attribute("data-state", "live")
    wait_live(nobody)


def test_a_client_that_may_come_back_does(visit):
    visitor = visit("/d/machine")
    wait_live(visitor)
    page = visit(LIST, "root")
    listed(page, 1)
    before = rows(page).locator("th code").get_attribute("title")
    page.get_by_role("link", name="Client", exact=True).click()
    with visitor.expect_event("websocket"):
        page.get_by_role("button", name="Disconnect").click()
    wait_live(visitor)
    expect(page.locator(".messagelist .success")).to_be_visible()

    def titles():
        return [one.get_attribute("title") for one in rows(page).locator("th code").all()]

    reload_until(page, lambda: len(titles()) == 1 and titles() != [before])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_without_javascript(visit, scheme):
    visitors = [visit("/d/machine", user) for user in ("<i>ann</i>", "")]
    for each in visitors:
        wait_live(each)
    page = visit(LIST, "root", width=390, color_scheme=scheme, java_script_enabled=False)
    listed(page, 2)
    for box in [page.locator(f"#live-{name} table").bounding_box() for name in ("nodes", "clients", "channels")]:
        assert box["x"] + box["width"] <= 390
    page.get_by_role("link", name="User", exact=True).click()
    page.get_by_role("link", name="Cancel").click()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("link", name="User", exact=True).click()
    with visitors[0].expect_event("websocket"):
        page.get_by_role("button", name="Disconnect").click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    wait_live(visitors[0])


def test_it_follows_the_admin_s_dark_scheme(visit):
    colours = []
    for scheme in ("light", "dark"):
        page = visit(LIST, "root", color_scheme=scheme)
        for place in ("body", "#live-nodes td", "#live-clients p"):
            style = "(e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
            colours.append(page.locator(place).first.evaluate(style))
    light, dark = colours[:3], colours[3:]
    assert light[0][1] == "rgb(255, 255, 255)"
    assert dark[0][1] == "rgb(18, 18, 18)"
    assert all(before[0] != after[0] for before, after in zip(light, dark, strict=True))


def test_the_metrics_are_for_staff(visit):
    visitor = visit("/d/machine", "<i>ann</i>")
    wait_live(visitor)
    page = visit("/metrics", "root")
    expect(page.locator("body")).to_contain_text("# TYPE live_clients gauge")
    one = re.compile(r"^live_clients 1\.0$", re.MULTILINE)
    reload_until(page, lambda: one.search(page.locator("body").inner_text()))
    for user, problem in (("<i>ann</i>", "metrics are for staff"), ("", "metrics need a login")):
        context = visit("/", user).context
        response = context.request.get("/metrics")
        assert (response.status, problem in response.text()) == (403 if user else 401, True)
