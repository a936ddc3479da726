"""A real site: a session that runs out or is deleted ends the sockets that were opened with it, nobody else's."""

import asyncio
import contextlib
import sqlite3

import pytest

from tests.permission_handlers import HANDLERS
from tests.visitors import DemoSite

ENDED = {"code": 3011, "reason": "session ended"}


class Office(DemoSite):
    """A site that looks at its sessions all the time."""

    def execute(self, statement, *parameters):
        """Change one row of the database, as another process does."""
        with contextlib.closing(sqlite3.connect(self.var / "db.sqlite3")) as database, database:
            assert database.execute(statement, parameters).rowcount == 1


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """The site."""
    site = Office(tmp_path_factory.mktemp("site"), HANDLERS=HANDLERS, SESSION_CHECK_SECONDS=0.3).open()
    yield site
    site.close()


async def name(peer):
    """Of the user who is subscribed, "" for nobody."""
    return (await peer.subscribe("name/a/b"))["subscribe"]["data"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE django_session SET expire_date = '2020-01-01 00:00:00' WHERE session_key = ?",
        "DELETE FROM django_session WHERE session_key = ?",
    ],
    ids=["ran out", "deleted"],
)
async def test_a_session_that_ends(office, statement):
    session, other = [(await asyncio.to_thread(office.login)).cookie("sessionid") for _ in range(2)]
    cookie = f"sessionid={session}"
    async with contextlib.AsyncExitStack() as sockets:
        cookies = (cookie, cookie, f"sessionid={other}", "")
        one, two, elsewhere, nobody = [
            await sockets.enter_async_context(office.connect(cookie=each)) for each in cookies
        ]
        assert [await name(peer) for peer in (one, two)] == ["demo", "demo"]
        await asyncio.to_thread(office.execute, statement, session)
        for peer in (one, two):
            assert await peer.closed() == (3011, ENDED)
        async with office.connect(cookie=cookie) as back:
            assert await name(back) == ""
        assert [await name(peer) for peer in (elsewhere, nobody)] == ["demo", ""]
