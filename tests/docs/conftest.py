"""The plugin's fixtures, which the package's entry point brings elsewhere; a site that the pages' commands meet."""

import pytest

from live.testing import LiveCommunicator
from live.testing.plugin import live_node, live_settings  # noqa: F401
from tests.docs.data import METRICS_TOKEN
from tests.visitors import DemoSite


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """What is waited for comes, however long the machine stands still."""
    monkeypatch.setitem(LiveCommunicator.__init__.__kwdefaults__, "timeout", 40.0)


@pytest.fixture(scope="package")
def site(tmp_path_factory):
    """The demo, whose user is of the staff here: the pages show what the staff may see as well."""
    site = DemoSite(tmp_path_factory.mktemp("site"), METRICS_TOKEN=METRICS_TOKEN, DRAIN_SECONDS=0.1)
    site.prepare()
    site.manage("shell", "-c", "from django.contrib.auth.models import User; User.objects.update(is_staff=True)")
    site.start()
    yield site
    site.close()
