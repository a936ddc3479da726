"""Every page of the demo, and one of a project with `live` in it, in the states that a visitor meets.

A scene is a page that has been opened and brought to what is to be looked at. Names and roles find things, as a visitor
does who cannot see: what a page is made of may change.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import expect

from tests.embedding_site.site import frame, path

from .conftest import reload_until, start_editing, wait_live
from .stage import MOVING

CHAT = "grafana/broadcast/scenes"
EMBEDDED = "stream/scenes/embedded"
REFUSED = re.compile("no such channel|unknown channel")
EMBEDDED_BODY = f"""
<p>The value is {{% live_value channel="{EMBEDDED}" field="a" %}} now, and there is
{{% live_value channel="nowhere/at/all" %}}.</p>
{{% live_panel channel="{EMBEDDED}" title="Lines" unit="percent" %}}
{{% live_panel channel="{EMBEDDED}" title="Number" type="stat" fields="a" %}}
{{% live_panel channel="{EMBEDDED}" title="Messages" type="raw" %}}
{{% live_panel channel="stream/scenes/nothing" title="Nothing yet" %}}
{{% live_panel channel="nowhere/at/all" title="Refused" %}}"""


@dataclass(frozen=True)
class Scene:
    """One page: where it is, who looks at it and what happens before it is looked at."""

    name: str
    path: str
    act: Callable
    user: str = ""
    sockets: int | None = 1
    """How many WebSockets it opens; None: one after the other, until it is connected."""
    edits: bool = False
    """Whether it brings what only those need who edit."""
    status: int = 200
    console: tuple[str, ...] = ()
    """What the browser may say in the console, as it says by itself what went wrong."""
    not_ours: tuple[str, ...] = ()
    """Selectors of what axe leaves out, as another project made it."""


def seen(page, text):
    """Wait until the text can be seen somewhere."""
    expect(page.get_by_text(text).filter(visible=True).first).to_be_visible()


def nothing(page, stage):
    """The page is as it opens."""


def connect(page, stage):
    """The page is connected."""
    wait_live(page)


def refuse(page, stage):
    """Say a wrong password."""
    page.get_by_label("User name").fill("demo")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def ask_for_title(page, stage):
    """Open the dialog of a new dashboard."""
    page.get_by_role("button", name="New dashboard").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def watch(page, stage):
    """All kinds of panels have what they show, and go on."""
    wait_live(page)
    expect(page.get_by_role("img", name=re.compile("^Lines, .*latest at"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Many lines, .*latest at"))).to_be_visible()
    seen(page, "Waiting for data")
    seen(page, REFUSED)
    seen(page, '"data"')


def look_who_is_there(page, stage):
    """Open the list of the others: a user and a visitor."""
    wait_live(page)
    stage.invite("", "/d/{shared}")
    stage.invite("root", "/d/{shared}")
    page.get_by_role("button", name="Also looking: root, 1 visitor").click()
    expect(page.get_by_role("list", name="Also looking at this dashboard")).to_be_visible()


def edit(page, stage):
    """Begin to edit."""
    watch(page, stage)
    start_editing(page)


def edit_nothing(page, stage):
    """Edit a dashboard without panels."""
    wait_live(page)
    start_editing(page)
    expect(page.get_by_role("heading", name="No panels yet")).to_be_visible()


def change_panel(page, stage):
    """Open a panel's editor, and say something wrong in it."""
    edit(page, stage)
    page.get_by_role("button", name="Change Many lines").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("checkbox").first).to_be_visible()
    dialog.get_by_role("combobox", name="Channel").fill("no channel")
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog.get_by_role("alert")).to_be_visible()


def give_up(page, stage):
    """Be asked whether the changes are to be lost."""
    edit(page, stage)
    page.get_by_role("textbox", name="Title of the dashboard").fill("Mine")
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def collide(page, stage):
    """Somebody else saves while there are changes."""
    wait_live(page)
    start_editing(page)
    page.get_by_role("textbox", name="Title of the dashboard").fill("Mine")
    stage.change_dashboard("contested", "PATCH", title="Theirs")
    expect(page.get_by_role("dialog", name="This dashboard was changed")).to_be_visible()


def lose(page, stage):
    """Somebody else deletes the dashboard."""
    wait_live(page)
    stage.change_dashboard("lost", "DELETE")
    expect(page.get_by_role("alert").filter(has_text="deleted")).to_be_visible()


def disconnect(page, stage):
    """The connection is lost."""
    watch(page, stage)
    page.context.set_offline(True)
    expect(page.get_by_role("button", name=re.compile("^Reconnecting"))).to_be_visible()


def choose_channel(page, stage):
    """A channel's chart moves."""
    wait_live(page)
    expect(page.get_by_role("img", name=re.compile("latest at"))).to_be_visible()
    seen(page, '"data"')


def publish(page, stage):
    """A message that is no frame has come, and the next one is not JSON."""
    wait_live(page)
    page.get_by_text("Publish a message").click()
    message = page.get_by_role("textbox", name="Message")
    button = page.get_by_role("button", name="Publish", exact=True)
    message.fill('{"text": "Hello"}')
    button.click()
    expect(page.get_by_text('"Hello"').first).to_be_visible()
    message.fill("{")
    button.click()
    expect(page.get_by_role("alert").filter(has_text=re.compile("."))).to_be_visible()


def list_clients(page, stage):
    """There are clients and channels."""
    stage.invite("demo", "/d/{shared}")
    reload_until(page, page.get_by_role("link", name="User", exact=True).first.is_visible)


def embed(page, stage):
    """All kinds of panels have what they show."""
    # More than fit below the chart on a phone.
    stage.other.publish(EMBEDDED, frame(1, 2, 3, **{f"field {number}": [3, 2, number] for number in range(11)}))
    expect(page.get_by_role("img", name=re.compile("^Lines, latest at"))).to_be_visible()
    seen(page, "Waiting for data")
    seen(page, REFUSED)
    # axe takes the ground of a page that names no colour for white, in dark mode too.
    page.evaluate("() => { document.documentElement.style.backgroundColor = 'canvas'; }")


DISCONNECT = "/admin/live/overview/disconnect/?user={user}"
# Django gives the links in the breadcrumbs of all its pages nothing but another white.
DJANGO_S = (".breadcrumbs",)

SCENES = [
    Scene("sign in", "/accounts/login/", nothing, sockets=0),
    Scene("sign in refused", "/accounts/login/", refuse, sockets=0),
    Scene("list", "/", nothing, sockets=0),
    Scene("list signed in", "/", nothing, "demo", sockets=0),
    Scene("list new dashboard", "/", ask_for_title, "demo", sockets=0),
    Scene("dashboard", "/d/{panels}", watch),
    Scene("dashboard presence", "/d/{shared}", look_who_is_there, "demo"),
    Scene("dashboard edited", "/d/{panels}", edit, "demo", edits=True),
    Scene("dashboard edited empty", "/d/{empty}", edit_nothing, "demo", edits=True),
    Scene("dashboard panel", "/d/{panels}", change_panel, "demo", edits=True),
    Scene("dashboard confirm", "/d/{panels}", give_up, "demo", edits=True),
    Scene("dashboard conflict", "/d/{contested}", collide, "demo", edits=True),
    Scene("dashboard deleted", "/d/{lost}", lose),
    Scene("dashboard disconnected", "/d/{panels}", disconnect, sockets=None, console=("ERR_INTERNET_DISCONNECTED",)),
    Scene("dashboard unknown", "/d/unknown", nothing, sockets=0, status=404, console=("status of 404",)),
    Scene("explore", "/explore", connect),
    Scene("explore chart", f"/explore#{MOVING}", choose_channel),
    Scene("explore publish", f"/explore#{CHAT}", publish, "demo"),
    Scene("admin overview", "/admin/live/overview/", list_clients, "root", sockets=0, not_ours=DJANGO_S),
    Scene("admin disconnect", DISCONNECT, nothing, "root", sockets=0, not_ours=DJANGO_S),
    Scene("embedded", "{other}" + path(EMBEDDED_BODY), embed),
]
