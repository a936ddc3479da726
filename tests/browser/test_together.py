"""Several people on one dashboard: who else is looking, and the warning of those who edit at the same time."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import RECONNECT, panel, start_editing, until, wait_live

PEOPLE = {"ann": ("Ann", "Lee"), "bob": ("Bob", "")}
MAKE_PEOPLE = """
from django.contrib.auth.models import User
demo = User.objects.get(username="demo")
for name, (first, last) in {people}.items():
    user = User.objects.create_user(name, password="demo", first_name=first, last_name=last)
    user.user_permissions.set(demo.user_permissions.all())
"""
NOTICE = "Another session is editing this dashboard"


@pytest.fixture(scope="module")
def people(site):
    """More users who may do what demo may: Ann Lee, and Bob who has only a first name."""
    site.manage("shell", "--verbosity=0", "-c", MAKE_PEOPLE.format(people=PEOPLE))


@pytest.fixture
def dashboard(make_dashboard):
    return make_dashboard(panel("one", "stream/quiet/m"))


@pytest.fixture
def visit(open_page, people, dashboard):
    """Opens the dashboard as somebody, False: as a visitor; the page and its WebSocket are up when it returns."""

    def visit(user=False, **options):
        page = open_page(f"/d/{dashboard['uid']}", login=user, **options)
        wait_live(page)
        return page

    return visit


def announcements(page):
    """What the page sends to say that somebody edits, as they come."""
    sent = []

    def listen(socket):
        socket.on("framesent", lambda frame: sent.append(frame) if '"editing-started"' in frame else None)

    page.on("websocket", listen)
    page.reload()
    wait_live(page)
    return sent


def said(page, text):
    """The page's notices with this text."""
    return page.locator(".notice").filter(has_text=text)


def faces(page):
    return page.locator("#presence-button .avatar")


def test_who_else_looks_appears_and_goes_away(visit):
    ann = visit("ann")
    expect(ann.locator("#presence")).to_be_hidden()
    demo = visit("demo")
    expect(faces(ann)).to_have_text(["DE"])
    expect(faces(demo)).to_have_text(["AL"])
    expect(demo.get_by_role("button", name="Also looking: Ann Lee")).to_be_visible()
    bob = visit("bob")
    expect(faces(ann)).to_have_text(["BO", "DE"])
    expect(faces(demo)).to_have_text(["AL", "BO"])
    expect(faces(bob)).to_have_text(["AL", "DE"])
    bob.close()
    expect(faces(ann)).to_have_text(["DE"])
    demo.goto("/")
    expect(ann.locator("#presence")).to_be_hidden()


def test_visitors_are_counted_and_nobody_is_shown_to_oneself(visit):
    ann = visit("ann")
    visit()
    expect(faces(ann)).to_have_text(["1 visitor"])
    other = visit()
    expect(faces(ann)).to_have_text(["2 visitors"])
    expect(faces(other)).to_have_text(["AL", "+1"])
    expect(other.get_by_role("button", name="Also looking: Ann Lee, 1 visitor")).to_be_visible()
    other.reload()
    wait_live(other)
    expect(faces(other)).to_have_text(["AL", "+1"])
    expect(faces(ann)).to_have_text(["2 visitors"])


def test_another_tab_of_the_same_user_is_said_to_be_that(visit):
    ann = visit("ann")
    visit("ann")
    expect(ann.get_by_role("button", name="Also looking: Ann Lee (you, in another tab)")).to_be_visible()
    visit("ann")
    bob = visit("bob")
    expect(faces(bob)).to_have_text(["AL"])
    bob.locator("#presence-button").click()
    expect(bob.locator("#presence-list li")).to_have_text("ALAnn Leein 3 tabs")


def test_the_list_of_who_looks_works_with_the_keyboard(visit):
    ann = visit("ann")
    visit("bob")
    button = ann.get_by_role("button", name="Also looking: Bob")
    button.focus()
    ann.keyboard.press("Enter")
    expect(ann.get_by_role("list", name="Also looking at this dashboard")).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    ann.keyboard.press("Escape")
    expect(ann.locator("#presence-list")).to_be_hidden()
    expect(button).to_be_focused()
    ann.keyboard.press("Enter")
    ann.keyboard.press("Tab")
    expect(ann.locator("#presence-list")).to_be_hidden()
    expect(ann.get_by_role("button", name="Edit")).to_be_focused()


def test_the_list_fits_on_a_phone(visit):
    ann = visit("ann", width=360, height=740)
    for user in ("bob", "demo", False, False):
        visit(user)
    expect(faces(ann)).to_have_text(["BO", "DE", "+2"])
    ann.locator("#presence-button").click()
    expect(ann.locator("#presence-list")).to_be_visible()
    box = ann.locator("#presence-list").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    assert ann.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_two_who_edit_are_warned_once_each(visit):
    ann, bob, demo = visit("ann"), visit("bob"), visit("demo")
    sent = announcements(ann)
    start_editing(ann)
    start_editing(bob)
    expect(said(ann, NOTICE)).to_have_text(re.compile(r"\(Bob\)"))
    expect(said(bob, NOTICE)).to_have_text(re.compile(r"\(Ann Lee\)"))
    # Ann said it when she began, and once to Bob, who had not heard that.
    until(ann, lambda: len(sent) >= 2)

    # However often Bob's page says it again: no second warning, also where the first was closed.
    said(ann, NOTICE).get_by_role("button", name="Close").click()
    saying = """async (uid) => {
      const live = await import("/static/live/live.js");
      const event = { uid, action: "editing-started", sessionId: live.sessionId };
      for (let time = 0; time < 5; time += 1) await live.publish(`grafana/dashboard/uid/${uid}`, event);
    }"""
    uid = ann.url.rpartition("/")[2]
    bob.evaluate(saying, uid)
    # What comes behind them in the same channel has arrived: so have they.
    bob.get_by_role("textbox", name="Title of the dashboard").fill("Bob was here")
    bob.get_by_role("button", name=re.compile("^Save")).click()
    expect(ann.get_by_role("textbox", name="Title of the dashboard")).to_have_value("Bob was here")
    expect(said(ann, NOTICE)).to_have_count(0)
    # Whoever only looks is not bothered, and Bob's warning went with his editing.
    expect(demo.locator("h1")).to_have_text("Bob was here")
    expect(said(demo, NOTICE)).to_have_count(0)
    expect(said(bob, NOTICE)).to_have_count(0)
    assert len(sent) == 2


def test_after_an_interruption_all_is_known_and_said_again(own_site, open_page, problems):
    problems.allow("WebSocket connection to", "ERR_CONNECTION_REFUSED")
    site = own_site()
    page, other = (open_page("/d/machine", login=True, where=site) for _ in range(2))
    visitor = open_page("/d/machine", where=site)
    expect(faces(visitor)).to_have_text(["DE"])
    sent = announcements(page)
    expect(faces(page)).to_have_text(["DE", "+1"])
    start_editing(page)
    site.stop()
    visitor.close()
    for each in (page, other):
        expect(each.locator("#connection")).to_have_attribute("data-state", "lost")
    site.start()
    for each in (page, other):
        wait_live(each, RECONNECT)
        expect(faces(each)).to_have_text(["DE"])
    # Nobody was there to be told the first time, and nobody is warned of itself.
    expect(page.locator(".notice")).to_have_count(0)
    start_editing(other)
    expect(said(other, NOTICE)).to_have_count(1)
    expect(said(page, NOTICE)).to_have_count(1)
    # At the start, with the new connection, and to the other tab.
    until(page, lambda: len(sent) >= 3)
    assert len(sent) == 3


def test_a_page_that_opens_in_edit_mode_says_so(visit, dashboard):
    ann = visit("ann")
    start_editing(ann)
    bob = visit("bob")
    bob.goto("/")
    bob.goto(f"/d/{dashboard['uid']}#edit")
    expect(said(bob, NOTICE)).to_have_count(1)
    expect(said(ann, NOTICE)).to_have_count(1)
    bob.get_by_role("button", name="Done").click()
    expect(said(bob, NOTICE)).to_have_count(0)
