"""The README, followed: what `startproject` makes, with the README's blocks put where it says, under daphne."""

import os
import subprocess
import sys

import pytest
from django.core.management import call_command

from tests.docs.markdown import code_blocks
from tests.docs.pages import ROOT
from tests.docs.programs import check_shell
from tests.docs.python import check_settings
from tests.docs.reader import Reader
from tests.site import Site

# A project is made first; how long that takes on a busy machine is not what is tested.
pytestmark = pytest.mark.timeout(180)

BLOCKS = list(code_blocks((ROOT / "README.md").read_text()))
YOURS = "    # ... your apps and Django's ..."
COFFEE = {"text": "The coffee is ready"}

PROJECT = {
    "reports/__init__.py": "",
    "reports/models.py": """\
from django.db import models


class Report(models.Model):
    slug = models.SlugField()
""",
    "chat/__init__.py": "",
    "chat/apps.py": """\
from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self):
        import chat.channels
""",
    "chat/models.py": """\
from django.conf import settings
from django.db import models


class Member(models.Model):
    room = models.CharField(max_length=40)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
""",
}
"""What the README takes for granted."""

VIEWS = """\
from django.http import HttpResponse
from django.shortcuts import render

import live
from reports.models import Report


def page(request):
    return render(request, "report.html", {{"report": Report.objects.get()}})


def save(request):
    Report.objects.get().save()
    return HttpResponse()


def update(request):
    report = Report.objects.get()
    Report.objects.update(slug=report.slug)
{update}
    return HttpResponse()


def publish(request):
{publish}
    return HttpResponse()


async def apublish(request):
{apublish}
    return HttpResponse()
"""

PREPARE = """\
import django
django.setup()
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
call_command("check", fail_level="WARNING", verbosity=0)
call_command("makemigrations", "reports", "chat", verbosity=0)
call_command("migrate", verbosity=0)
from chat.models import Member
from reports.models import Report
ann = get_user_model().objects.create_user("ann", is_staff=True)
(push,) = [each for each in Permission.objects.all() if str(each) == PUSH]
ann.user_permissions.add(push)
Member.objects.create(room="kitchen", user=ann)
Report.objects.create(slug="sales")
session = SessionStore()
session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(ann.pk), settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = ann.get_session_auth_hash()
session.create()
print(session.session_key)
call_command("drf_create_token", "ann")
"""


def block(text, language="python"):
    """The one block with that text."""
    (found,) = (each for each in BLOCKS if each.language == language and text in each.text)
    return found


def indented(found):
    return "".join(f"    {line}\n" for line in found.text.splitlines())


class ReadersSite(Site):
    """The project of somebody who followed the README."""

    def __init__(self, folder):
        super().__init__(folder)
        self.folder = folder
        self.env |= {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}

    def run(self, *command):
        """What a command printed that must succeed."""
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def follow(self):
        """Makes the project; leaves Ann's cookie and token."""
        call_command("startproject", "mysite", self.folder, verbosity=0)
        for name, text in PROJECT.items():
            self.write(name, text)
        settings = block("# settings.py").text
        assert YOURS in settings
        mine = '    *INSTALLED_APPS, "reports.apps.ReportsConfig", "chat.apps.ChatConfig",'
        made = (self.folder / "mysite/settings.py").read_text()
        self.write("mysite/settings.py", made + settings.replace(YOURS, mine))
        self.write("mysite/asgi.py", block("# asgi.py").text)
        paths = [f'    path("{name}", views.{name}),' for name in ("page", "save", "update", "publish", "apublish")]
        urls = block("# urls.py").text.replace("    # ...", "\n".join(paths))
        self.write("mysite/urls.py", "from mysite import views\n" + urls)
        calls = {"update": "dashboard_changed.send", "publish": "live.publish(", "apublish": "await live.apublish("}
        views = VIEWS.format(**{name: indented(block(text)) for name, text in calls.items()})
        self.write("mysite/views.py", views)
        self.write("reports/apps.py", block("# apps.py").text)
        self.write("reports/templates/report.html", block("{% live_script %}", "html").text)
        self.write("chat/channels.py", block("ChatHandler").text + block('register_plugin("clock")').text)
        # As the admin calls it.
        permission = block("drf_create_token", "sh").text.split('"')[1]
        printed = self.run(sys.executable, "-c", f"PUSH = {permission!r}\n{PREPARE}")
        cookie, token = printed.splitlines()[-2:]
        self.cookie, self._token = f"sessionid={cookie}", token.split()[2]

    def command(self):
        """As the README has it, on a port that is free."""
        return [word.replace("project.asgi", "mysite.asgi") for word in super().command()]


@pytest.fixture(scope="module")
def mysite(tmp_path_factory):
    site = ReadersSite(tmp_path_factory.mktemp("mysite"))
    site.follow()
    site.start()
    yield site
    site.stop()
    assert "Traceback" not in site.log


async def test_a_push_reaches_the_page(mysite, tmp_path):
    status, page = mysite.request("GET", "/page")
    assert status == 200
    assert b'<live-panel channel="stream/demo/weather"' in page
    assert b'watchDashboard("sales"' in page
    async with mysite.connect(cookie=mysite.cookie) as ann:
        await ann.subscribe("stream/demo/weather")
        check_shell(block("--data-binary", "sh"), Reader(mysite, tmp_path, {"TOKEN": mysite.token}))
        assert "21.5" in str(await ann.publication())


async def test_a_save_reaches_the_page(mysite):
    async with mysite.connect(cookie=mysite.cookie) as ann:
        await ann.subscribe("grafana/dashboard/uid/sales")
        for path in ("/save", "/update"):
            assert mysite.request("GET", path)[0] == 200
            assert (await ann.publication())["data"]["action"] == "saved"


async def test_a_chat_and_a_clock(mysite):
    async with mysite.connect(cookie=mysite.cookie) as ann:
        assert "error" not in await ann.subscribe("chat/kitchen/messages")
        for path in ("/publish", "/apublish"):
            assert mysite.request("GET", path)[0] == 200
            assert (await ann.publication())["data"] == COFFEE
        for room, may in (("kitchen", True), ("office", False)):
            reply = await ann.ask({"publish": {"channel": f"chat/{room}/messages", "data": 1}})
            assert ("error" not in reply) == may
        await ann.subscribe("plugin/clock/anything")
        while set((await ann.publication())["data"]) != {"time"}:
            pass


async def test_visitors_are_kept_out(mysite):
    async with mysite.connect(hello=False) as visitor:
        await visitor.send({"connect": {"name": "test"}})
        _, push = await visitor.closed()
        assert push["reason"] == "no credentials"


def test_the_settings_of_many_processes():
    shown = {}
    exec(block("CHANNEL_LAYERS").text, shown)
    check_settings({"CHANNEL_LAYERS": shown["CHANNEL_LAYERS"]})


def test_every_python_block_is_used():
    here = ("# settings.py", "# asgi.py", "# urls.py", "# apps.py", "dashboard_changed.send", "ChatHandler")
    here += ("live.publish(", "await live.apublish(", "register_plugin", "CHANNEL_LAYERS")
    assert [each for each in BLOCKS if each.language == "python"] == sorted(
        map(block, here), key=lambda each: each.line
    )
