"""What the scenes are played on: two sites, their visitors, dashboards with something in them."""

import functools
import urllib.request

from .conftest import PATIENCE, line, panel, wait_live

SUPERUSER = """
from django.contrib.auth.models import User
User.objects.create_superuser("root", password="demo")
print(User.objects.get(username="demo").pk)
"""

MOVING = "plugin/testdata/random-20Hz-stream"
PANELS = (
    panel("lines", MOVING, fields=(), place=(0, 0, 6, 4), title="Lines"),
    panel("series", "stream/scenes/m", fields=(), place=(6, 0, 6, 4), title="Many lines"),
    panel("number", MOVING, kind="stat", fields=(), place=(0, 4, 3, 2), title="Number"),
    panel("messages", MOVING, kind="raw", fields=(), place=(3, 4, 6, 3), title="Messages"),
    panel("nothing", "stream/scenes/nothing", place=(9, 4, 3, 2), title="Nothing yet"),
    panel("refused", "nowhere/at/all", kind="stat", place=(0, 6, 3, 2), title="Refused"),
)
SERIES = [line("m", job, tags=f",job={job}", seconds_ago=ago) for job in range(14) for ago in (20, 10, 0)]


@functools.cache
def size(url):
    """How many bytes a script has, unpacked."""
    with urllib.request.urlopen(url, timeout=30) as response:
        return len(response.read())


class Visit:
    """A page that was opened, and what the browser told of it since."""

    def __init__(self, page):
        self.page = page
        self.console = []
        self.failed = []
        self.scripts = set()
        self.sockets = []
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        page.on("websocket", lambda socket: self.sockets.append(socket.url))
        page.on("requestfailed", lambda request: self.failed.append(f"{request.url}: {request.failure}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _said(self, kind, text):
        if kind in ("error", "warning"):
            self.console.append(f"{kind}: {text}")

    def _asked(self, request):
        if request.resource_type == "script":
            self.scripts.add(request.url)

    def _answered(self, response):
        if response.status >= 400:
            self.failed.append(f"{response.url}: {response.status}")


class Stage:
    """Opens scenes; one context a visitor, as a browser has it, so that what is cached stays cached."""

    def __init__(self, browser, site, other, demo):
        self.browser = browser
        self.site = site
        self.other = other
        self.demo = demo
        self.contexts = {}
        self.guests = []
        quiet = [panel("quiet", "stream/scenes/quiet")]
        self.places = {"user": site.manage("shell", "--no-imports", "-c", SUPERUSER).strip(), "other": other.url}
        self.places |= {"panels": self.make_dashboard(PANELS), "empty": self.make_dashboard([])}
        self.places |= {name: self.make_dashboard(quiet) for name in ("shared", "contested", "lost")}
        site.push("scenes", "\n".join(SERIES))

    def make_dashboard(self, panels):
        """The uid of a new dashboard."""
        status, dashboard = self.demo.request("POST", "/api/dashboards/", {"title": "Scenes", "panels": list(panels)})
        assert status == 201, dashboard
        return dashboard["uid"]

    def change_dashboard(self, name, method, **data):
        """Save or delete a dashboard behind the page's back."""
        path = f"/api/dashboards/{self.places[name]}/"
        if method == "PATCH":
            data["version"] = self.demo.request("GET", path)[1]["version"]
        status, answer = self.demo.request(method, path, data, {"X-Live-Session": "other"})
        assert status in (200, 204), answer

    def context(self, user):
        """The browser of that user; of nobody for ""."""
        if user not in self.contexts:
            # Colours change at once, so that what is looked at is not between two of them.
            context = self.browser.new_context(base_url=self.site.url, reduced_motion="reduce")
            context.set_default_timeout(PATIENCE)
            if user:
                cookies = self.site.login(user).cookies
                context.add_cookies([{"name": one.name, "value": one.value, "url": self.site.url} for one in cookies])
            self.contexts[user] = context
        return self.contexts[user]

    def open(self, scene):
        """Play a scene; returns the visit."""
        visit = Visit(self.context(scene.user).new_page())
        if scene.not_ours:
            # Django's admin has no icon, and browsers log that they did not find one.
            visit.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        try:
            visit.page.goto(scene.path.format(**self.places))
            scene.act(visit.page, self)
        except BaseException:
            self.clear(visit)
            raise
        return visit

    def invite(self, user, path):
        """Somebody else looks at a page until the scene is over."""
        page = self.context(user).new_page()
        self.guests.append(page)
        page.goto(path.format(**self.places))
        wait_live(page)

    def clear(self, visit):
        """The scene is over."""
        visit.page.context.set_offline(False)
        for page in (visit.page, *self.guests):
            page.close()
        self.guests.clear()

    def close(self):
        """All scenes are over."""
        for context in self.contexts.values():
            context.close()
