"""Sites that the integration tests share."""

import contextlib
import gc

import pytest

from tests.integration.handlers import ROOMS
from tests.redis_server import RedisServer
from tests.site import Site


@pytest.fixture(scope="module")
def settled():
    """What is there before a module's tests is not looked through after each: that would take longer than most do."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left_open(settled):
    """A socket that a test forgot is that test's failure, not that of whichever runs when it is collected."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def make_site(tmp_path_factory):
    """Starts sites with changed ``LIVE`` settings; all are stopped in the end, and none may have had a traceback."""
    sites = []

    def make(**live):
        site = Site(tmp_path_factory.mktemp("site"), **live)
        site.prepare()
        sites.append(site)
        site.start()
        return site

    yield make
    for site in sites:
        site.stop()
        assert "Traceback" not in site.log, site.log


@pytest.fixture(scope="session")
def site(make_site):
    """The demo as it is."""
    return make_site()


@pytest.fixture(scope="session", params=["memory", "redis"])
def room_site(request, tmp_path_factory):
    """A site with rooms that keep the last ten things said and know who is there, over each store."""
    with contextlib.ExitStack() as stack:
        site = Site(tmp_path_factory.mktemp("rooms"), HANDLERS=ROOMS)
        if request.param == "redis":
            site.env["LIVE_REDIS_URL"] = stack.enter_context(RedisServer(tmp_path_factory.mktemp("redis"))).url
        site.prepare()
        stack.callback(site.stop)
        site.start()
        yield site
    assert "Traceback" not in site.log, site.log


@pytest.fixture(scope="session")
def login():
    """Logs a user of a site in; the Cookie header."""

    def get(site, username="demo"):
        code = (
            "from django.contrib.auth import get_user_model, SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY\n"
            "from django.contrib.sessions.backends.db import SessionStore\n"
            f"user = get_user_model().objects.get(username={username!r})\n"
            "session = SessionStore()\n"
            "session[SESSION_KEY] = str(user.pk)\n"
            "session[BACKEND_SESSION_KEY] = 'django.contrib.auth.backends.ModelBackend'\n"
            "session[HASH_SESSION_KEY] = user.get_session_auth_hash()\n"
            "session.create()\n"
            "print(session.session_key)"
        )
        return f"sessionid={site.manage('shell', '--no-imports', '-c', code).strip()}"

    return get
