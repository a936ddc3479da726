"""Editing a dashboard, alone and together: what one saves the others see, and nobody's work is lost silently."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import PLACES, panel, start_editing, until, wait_live


def stored(demo, dashboard):
    """The dashboard as it is stored now."""
    status, body = demo.request("GET", f"/api/dashboards/{dashboard['uid']}/")
    assert status == 200
    return body


def change(demo, dashboard, **values):
    """Save a change behind the browsers' back, as somebody else; returns the new state."""
    now = stored(demo, dashboard)
    status, body = demo.request(
        "PATCH",
        f"/api/dashboards/{dashboard['uid']}/",
        {**values, "version": now["version"]},
        {"X-Live-Session": "other"},
    )
    assert status == 200, body
    return body


@pytest.fixture
def dashboard(make_dashboard):
    return make_dashboard(
        panel("one", "stream/quiet/m", place=(0, 0, 6, 3)),
        panel("two", "stream/quiet/m", place=(6, 0, 6, 3)),
        panel("three", "stream/quiet/m", kind="stat", place=(0, 3, 4, 2)),
    )


@pytest.fixture
def editor(open_page, dashboard):
    """A page in edit mode."""
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    start_editing(page)
    return page


def save(page):
    page.get_by_role("button", name=re.compile("^Save")).click()


def test_a_saved_edit_appears_elsewhere_without_reload(open_page, editor, dashboard):
    viewer = open_page(f"/d/{dashboard['uid']}")
    wait_live(viewer)
    viewer.evaluate("window.__marker = true")
    kept = viewer.evaluate_handle("document.querySelector('[data-panel=two] live-panel').shadowRoot.firstElementChild")

    editor.get_by_role("textbox", name="Title of the dashboard").fill("Renamed by somebody")
    editor.get_by_role("button", name="Remove one").click()
    save(editor)
    expect(editor.get_by_text("Saved", exact=True)).to_be_visible()
    expect(viewer.locator("h1")).to_have_text("Renamed by somebody")
    expect(viewer.locator(".panel")).to_have_count(2)

    assert viewer.evaluate("window.__marker") is True
    assert viewer.evaluate("(view) => view.isConnected", kept), "a panel that did not change was rebuilt"
    expect(viewer.locator("#notices")).to_have_text(re.compile("Updated by demo"))
    assert viewer.evaluate(PLACES) == editor.evaluate(PLACES) == {"two": [6, 0, 6, 3], "three": [0, 0, 4, 2]}


def test_own_saves_are_not_announced_to_oneself(editor, dashboard):
    editor.get_by_role("textbox", name="Title of the dashboard").fill("Mine")
    save(editor)
    expect(editor.locator("#saved-info")).to_have_text(re.compile("^Version 2"))
    start_editing(editor)
    editor.get_by_role("textbox", name="Title of the dashboard").fill("Mine again")
    save(editor)
    expect(editor.locator("#saved-info")).to_have_text(re.compile("^Version 3"))
    expect(editor.locator("#conflict-dialog")).not_to_be_visible()
    expect(editor.locator("#notices")).not_to_contain_text("Updated by")


def test_own_save_is_not_announced_while_its_answer_is_on_the_way(editor, demo, dashboard):
    """Even when the event does not say which tab saved: the page waits for the answer before it judges."""
    received = []
    held = []

    def events():
        return [text for frame in received for text in frame.split("\n") if '"action":"saved"' in text]

    editor.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(frame)))
    editor.reload()
    wait_live(editor)
    editor.route("**/api/dashboards/*/", lambda route: held.append(route), times=1)
    start_editing(editor)
    editor.get_by_role("textbox", name="Title of the dashboard").fill("Slow")
    save(editor)
    until(editor, lambda: held)
    headers = {name: value for name, value in held[0].request.headers.items() if name != "x-live-session"}
    answer = held[0].fetch(headers=headers)
    assert stored(demo, dashboard)["title"] == "Slow"
    change(demo, dashboard, title="Slower")
    # Both events have come and, as the page answers, have been handled.
    until(editor, lambda: len(events()) == 2)
    editor.evaluate("() => true")
    expect(editor.locator("#conflict-dialog")).not_to_be_visible()
    held[0].fulfill(response=answer)
    # The own save is silent; what somebody saved meanwhile is shown.
    expect(editor.locator("h1")).to_have_text("Slower")
    expect(editor.locator("#saved-info")).to_have_text(re.compile("^Version 3"))
    assert len(events()) == 2
    assert "sessionId" not in events()[0]
    expect(editor.locator("#notices")).to_have_text(re.compile("^Saved.*Updated by demo.$", re.DOTALL))


def test_a_second_tab_of_the_same_user_is_told(open_page, editor, dashboard):
    other = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(other)
    editor.get_by_role("textbox", name="Title of the dashboard").fill("From the first tab")
    save(editor)
    expect(other.locator("h1")).to_have_text("From the first tab")


def test_an_editor_without_changes_follows_in_place(editor, demo, dashboard):
    change(demo, dashboard, title="Theirs")
    expect(editor.get_by_role("textbox", name="Title of the dashboard")).to_have_value("Theirs")
    expect(editor.locator("#conflict-dialog")).not_to_be_visible()


@pytest.fixture
def conflict(editor, demo, dashboard):
    """An editor with unsaved changes who is told of somebody's save; returns the page."""
    editor.get_by_role("textbox", name="Title of the dashboard").fill("Mine")
    editor.get_by_role("button", name="Remove three").click()
    change(demo, dashboard, title="Theirs")
    expect(editor.locator("#conflict-dialog")).to_be_visible()
    expect(editor.locator("#conflict-text")).to_have_text("demo saved version 2 while you were editing version 1.")
    return editor


def test_take_theirs(conflict, demo, dashboard):
    conflict.get_by_role("button", name="Take theirs").click()
    expect(conflict.locator("h1")).to_have_text("Theirs")
    expect(conflict.locator(".panel")).to_have_count(3)
    assert stored(demo, dashboard)["version"] == 2


def test_keep_mine(conflict, demo, dashboard):
    conflict.get_by_role("button", name="Keep mine").click()
    expect(conflict.get_by_role("textbox", name="Title of the dashboard")).to_have_value("Mine")
    assert stored(demo, dashboard)["title"] == "Theirs"
    save(conflict)
    expect(conflict.locator("#saved-info")).to_have_text(re.compile("^Version 3"))
    now = stored(demo, dashboard)
    assert (now["title"], len(now["panels"]), now["version"]) == ("Mine", 2, 3)


def test_save_mine_as_a_copy(conflict, demo, dashboard):
    conflict.get_by_role("button", name="Save mine as a copy").click()
    conflict.wait_for_url(lambda url: not url.endswith(dashboard["uid"]))
    expect(conflict.locator("h1")).to_have_text("Mine (copy)")
    expect(conflict.locator(".panel")).to_have_count(2)
    assert (stored(demo, dashboard)["title"], stored(demo, dashboard)["version"]) == ("Theirs", 2)


def test_another_save_while_the_question_is_open_moves_it_on(conflict, demo, dashboard):
    change(demo, dashboard, title="Theirs, later")
    expect(conflict.locator("#conflict-text")).to_have_text(re.compile("saved version 3"))
    conflict.get_by_role("button", name="Take theirs").click()
    expect(conflict.locator("h1")).to_have_text("Theirs, later")


@pytest.mark.parametrize("answer", ["mine", "theirs", "copy"])
def test_a_save_on_an_old_version_asks_first(conflict, demo, dashboard, problems, answer):
    problems.allow("status of 409")
    conflict.keyboard.press("Enter")  # somebody was typing
    expect(conflict.locator("#conflict-dialog")).to_be_visible()
    conflict.keyboard.press("Escape")  # decides nothing: the base is still the old version
    expect(conflict.locator("#conflict-dialog")).not_to_be_visible()
    save(conflict)
    expect(conflict.locator("#conflict-dialog")).to_be_visible()
    assert stored(demo, dashboard)["title"] == "Theirs"

    conflict.locator(f"#conflict-dialog button[value={answer}]").click()
    if answer == "mine":
        expect(conflict.locator("#saved-info")).to_have_text(re.compile("^Version 3"))
        assert stored(demo, dashboard)["title"] == "Mine"
    elif answer == "theirs":
        expect(conflict.locator("h1")).to_have_text("Theirs")
        assert stored(demo, dashboard)["version"] == 2
    else:
        expect(conflict.locator("h1")).to_have_text("Mine (copy)")
        assert stored(demo, dashboard)["title"] == "Theirs"


def test_a_deleted_dashboard_is_said_and_can_be_kept(editor, open_page, demo, dashboard):
    viewer = open_page(f"/d/{dashboard['uid']}")
    wait_live(viewer)
    editor.get_by_role("textbox", name="Title of the dashboard").fill("Rescued")
    status, _ = demo.request("DELETE", f"/api/dashboards/{dashboard['uid']}/")
    assert status == 204
    expect(viewer.locator("#banner")).to_have_text("demo deleted this dashboard. What you see is its last state.")
    expect(editor.locator("#banner")).to_contain_text("demo deleted this dashboard.")
    expect(editor.get_by_role("button", name=re.compile("^Save changes"))).to_be_disabled()
    editor.get_by_role("button", name="Save as a copy").click()
    expect(editor.locator("h1")).to_have_text("Rescued (copy)")


def test_unsaved_changes_are_guarded_on_leaving(editor, dashboard):
    asked = []

    def stay(dialog):
        asked.append(dialog.type)
        dialog.dismiss()

    editor.on("dialog", stay)
    editor.get_by_role("textbox", name="Title of the dashboard").press_sequentially(" and more")
    with editor.expect_event("dialog"):
        editor.get_by_role("link", name="Explore").click(no_wait_after=True)
    expect(editor.get_by_role("textbox", name="Title of the dashboard")).to_be_visible()
    assert asked == ["beforeunload"]
    editor.get_by_role("button", name="Discard").click()
    editor.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(editor.locator("h1")).to_have_text("Test dashboard")
    editor.get_by_role("link", name="Explore").click()
    editor.wait_for_url("**/explore")
    assert asked == ["beforeunload"]


def test_a_visitor_cannot_edit(open_page, dashboard, problems):
    problems.allow("status of 403")
    page = open_page(f"/d/{dashboard['uid']}")
    expect(page.locator(".panel")).to_have_count(3)
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)
    expect(page.get_by_role("link", name="Sign in to edit")).to_be_visible()
    status = page.evaluate(
        """async (uid) => {
          const headers = { 'Content-Type': 'application/json', 'X-CSRFToken': document.cookie.split('=')[1] };
          const body = JSON.stringify({ title: 'x', version: 1 });
          return (await fetch(`/api/dashboards/${uid}/`, { method: 'PATCH', headers, body })).status;
        }""",
        dashboard["uid"],
    )
    assert status == 403


def test_panels_are_moved_and_resized_with_the_mouse(editor, demo, dashboard):
    head = editor.locator("[data-panel=one] .panel-title").bounding_box()
    target = editor.locator("[data-panel=two]").bounding_box()
    editor.mouse.move(head["x"] + 5, head["y"] + 5)
    editor.mouse.down()
    editor.mouse.move(target["x"] + 20, target["y"] + 5, steps=8)
    editor.mouse.move(target["x"] + 30, target["y"] + 5, steps=3)
    editor.mouse.up()
    editor.wait_for_function(f"() => ({PLACES})().one[0] === 6")
    save(editor)
    expect(editor.locator("#saved-info")).to_have_text(re.compile("^Version 2"))
    places = {each["id"]: list(each["grid"].values()) for each in stored(demo, dashboard)["panels"]}
    assert places == editor.evaluate(PLACES)
    assert places["one"][:2] == [6, 0]


def test_everything_works_with_the_keyboard(open_page, demo, dashboard, site):
    site.push("keys", "m a=1,b=2")
    page = open_page(f"/d/{dashboard['uid']}", login=True)
    wait_live(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Edit")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Title of the dashboard")).to_be_focused()

    focus = "document.activeElement.textContent.trim() || document.activeElement.getAttribute('aria-label')"

    def tab_to(name):
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate(focus) == name:
                return
        raise AssertionError(f"Tab does not reach {name}")

    tab_to("Add panel")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Title", exact=True)).to_be_focused()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("not a channel")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="A channel is")).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.type("stream/keys/m")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="By keyboard")).to_be_visible()
    expect(page.get_by_role("button", name="Change By keyboard")).to_be_focused()
    page.keyboard.press("Shift+Tab")  # the grip
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_role("button", name=re.compile("Move By keyboard"))).to_be_focused()
    expect(page.locator("#saved-info")).to_have_text(re.compile("By keyboard: column 1, row 5, width 6, height 5"))
    page.get_by_role("textbox", name="Title of the dashboard").focus()
    tab_to("Save changes")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Edit")).to_be_focused()
    added = stored(demo, dashboard)["panels"][-1]
    assert (added["title"], added["channel"]) == ("By keyboard", "stream/keys/m")
    assert added["grid"] == {"x": 1, "y": 5, "w": 6, "h": 5}


def test_a_panel_is_changed_in_its_dialog(editor, demo, dashboard, site):
    site.push("fields", "m a=1,b=2")
    editor.get_by_role("button", name="Change two").click()
    channel = editor.get_by_role("combobox", name="Channel")
    channel.fill("stream/fields/m")
    channel.press("Tab")
    editor.get_by_role("checkbox", name="b", exact=True).check()
    editor.get_by_role("checkbox", name="a", exact=True).uncheck()
    editor.get_by_label("Show as").select_option("stat")
    editor.get_by_label("Unit").select_option("percent")
    editor.get_by_role("spinbutton", name="Column").fill("0")
    editor.get_by_role("spinbutton", name="Row").fill("0")
    editor.get_by_role("button", name="Apply").click()
    expect(editor.locator("[data-panel=two] .stat .number")).to_have_text("2.0")
    save(editor)
    expect(editor.locator("#saved-info")).to_have_text(re.compile("^Version 2"))
    panels = {each["id"]: each for each in stored(demo, dashboard)["panels"]}
    assert (panels["two"]["fields"], panels["two"]["type"], panels["two"]["unit"]) == (["b"], "stat", "percent")
    assert panels["two"]["grid"] == {"x": 0, "y": 0, "w": 6, "h": 3}
    taken = set()
    for each in panels.values():
        place = each["grid"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, "panels overlap"
        taken |= cells


def test_a_new_dashboard_starts_in_edit_mode(open_page):
    page = open_page("/", login=True)
    page.get_by_role("button", name="New dashboard").click()
    page.get_by_label("Title").fill("Fresh")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/d/*")
    expect(page.get_by_role("textbox", name="Title of the dashboard")).to_have_value("Fresh")
    expect(page.get_by_text("No panels yet")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Dashboards")).to_be_visible()
    expect(page.get_by_text("Fresh")).to_have_count(0)
