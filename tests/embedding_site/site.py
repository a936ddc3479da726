"""The project of this folder, run by daphne, with what its tests send and open."""

import json
import sys
import time
from urllib.parse import quote

from tests.site import Site


class OtherSite(Site):
    """A project with `live` and nothing of the demo."""

    def __init__(self, var, **live):
        super().__init__(var, **live)
        self.env["DJANGO_SETTINGS_MODULE"] = "tests.embedding_site.settings"

    def make_database(self):
        self.manage("migrate", "--verbosity=0")

    def command(self):
        endpoint = f"tcp:port={self.port}:interface=127.0.0.1"
        return [sys.executable, "-m", "daphne", "-e", endpoint, "tests.embedding_site.asgi:application"]

    def publish(self, channel, data):
        """Publish as the project's own code would."""
        status, answer = self.request("POST", "/publish", json.dumps({"channel": channel, "data": data}))
        assert status == 200, answer


def path(body):
    """The page with this template as its body."""
    return f"/page?body={quote(body)}"


def frame(*values, seconds=2, **others):
    """A full frame with a row a second up to now, with the field `a` and, given as lists, others."""
    now = int(time.time() * 1000)
    times = [now - 1000 * (len(values) - place) for place in range(len(values))]
    fields = [{"name": "time", "type": "time"}, *({"name": name, "type": "number"} for name in ("a", *others))]
    return {"schema": {"name": "m", "fields": fields}, "data": {"values": [times, list(values), *others.values()]}}
