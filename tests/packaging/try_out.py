"""Run in a blank project by the Python of a fresh environment: what is there of `live`, as one JSON object on stdout.

The tests copy it into the project's folder, so that nothing of the repository is on the path.
"""

import asyncio
import importlib
import importlib.util
import json
import pkgutil
from importlib import resources

from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.contrib.staticfiles import finders
from django.template.loader import get_template
from django.test import Client
from mysite.asgi import application

import live

PACKAGE = resources.files("live")


def modules():
    """Modules that cannot be imported, and what they miss."""
    missing = {}
    for module in pkgutil.walk_packages(live.__path__, "live.", onerror=lambda name: None):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing[module.name] = error.name
    return missing


def files(folder, suffix):
    """Paths below a folder of the installed package, as they are named there."""
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += [f"{item.name}/{path}" for path in files(item, suffix)]
        elif item.name.endswith(suffix):
            found.append(item.name)
    return sorted(found)


def pages():
    """Pages and the statuses they are answered with; the admin's to a superuser."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("ann"))
    urls = ("/admin/live/overview/", "/api/live/list", "/api/live/nodes")
    return {url: client.get(url, headers={"host": "localhost"}).status_code for url in urls}


async def connect():
    """The reply to the first command over the WebSocket."""
    scope = {
        "type": "websocket",
        "path": "/api/live/ws",
        "raw_path": b"/api/live/ws",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "subprotocols": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    socket = ApplicationCommunicator(application, scope)
    await socket.send_input({"type": "websocket.connect"})
    accepted = await socket.receive_output(timeout=40)
    await socket.send_input({"type": "websocket.receive", "text": '{"id":1,"connect":{}}'})
    reply = await socket.receive_output(timeout=40)
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(timeout=40)
    return accepted["type"], json.loads(reply.get("text") or reply["bytes"])


static = files(PACKAGE / "static", "")
templates = files(PACKAGE / "templates", ".html")
print(
    json.dumps(
        {
            "where": str(PACKAGE),
            "foreign": [name for name in ("project", "tests", "bench", "docs") if importlib.util.find_spec(name)],
            "undocumented": [name for name in live.__all__ if not getattr(live, name).__doc__],
            "missing": modules(),
            "typed": (PACKAGE / "py.typed").is_file(),
            "lua": files(PACKAGE / "store", ".lua"),
            "static": static,
            "not found": [name for name in static if not finders.find(name)],
            "templates": [name for name in templates if get_template(name)],
            "pages": pages(),
            "connect": asyncio.run(connect()),
        }
    )
)
