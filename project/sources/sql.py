"""The plugin `sql`: the result of a query of the site's database, published when it changed.

The data source's settings hold the query; what a client says is no part of it. The channel is `ds/<uid>/rows`. A
publication is the whole result, at most `MAX_ROWS` rows, with the time of the query in front, so that the last one is
all that a newcomer needs.
"""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal

from django.db import connections
from django.db.utils import OperationalError

import live

PLUGIN = "sql"
PATH = "rows"
MAX_ROWS = 1000
MAX_TEXT = 2000
"""Characters of one value."""
QUERY_SECONDS = 5.0
"""A query that takes longer is ended."""

# Of their own, so that slow queries hold up nobody else's work; a query more waits for its turn.
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sql-source")


def read_settings(settings):
    """(the query, seconds between two looks). Raises ValueError, which says what is wrong."""
    if not isinstance(settings, Mapping) or settings.keys() - {"query", "seconds"}:
        raise ValueError('expected an object with "query", and "seconds" if you like')
    query, seconds = settings.get("query"), settings.get("seconds", 5)
    # The connection refuses to write; this is for the message.
    if not isinstance(query, str) or query.lower().split(None, 1)[:1] not in (["select"], ["with"]):
        raise ValueError('"query" must be a text that begins with SELECT or WITH')
    if type(seconds) not in (int, float) or not 1 <= seconds <= 3600:
        raise ValueError('"seconds" must be a number from 1 to 3600')
    return query, float(seconds)


def fetch(query, database="default", limit=QUERY_SECONDS):
    """(the names of the columns, at most `MAX_ROWS` rows, whether there were more). For a thread.

    Over a connection of its own that can only read, and that ends the query after `limit` seconds: TimeoutError then,
    Django's database errors for everything else that is wrong.
    """
    connection = connections[database].copy()
    try:
        with connection.cursor() as cursor:
            late = _restrict(connection, cursor, limit)
            try:
                cursor.execute(query)
                rows = cursor.fetchmany(MAX_ROWS + 1)
            except OperationalError as problem:
                if late():
                    raise TimeoutError(f"the query took longer than {limit:g} s and was ended") from problem
                raise
            names = [column[0] for column in cursor.description]
    finally:
        connection.close()
    return names, rows[:MAX_ROWS], len(rows) > MAX_ROWS


def _restrict(connection, cursor, limit):
    """Makes the connection one for short reads; returns what tells whether the time is over."""
    if connection.vendor != "sqlite":
        raise NotImplementedError(
            f"sql sources read SQLite, not {connection.vendor}: say in project/sources/sql.py how it limits a query"
        )
    cursor.execute("PRAGMA query_only = ON")
    deadline = time.monotonic() + limit

    def late():
        return time.monotonic() > deadline

    # Asked every so many steps of SQLite's machine; what is true ends the query.
    connection.connection.set_progress_handler(late, 10_000)
    return late


def make_column(name, values):
    """A column of what the database gave: its kind is what all values are, text where they differ."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return live.Field(name, live.Kind.BOOL, values, nullable=True)
    if there and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in there):
        values = [None if value is None else float(value) for value in values]
        return live.Field(name, live.Kind.FLOAT, values, nullable=True)
    if there and all(isinstance(value, date) for value in there):
        values = [None if value is None else _nanoseconds(value) for value in values]
        return live.Field(name, live.Kind.TIME, values, nullable=True)
    return live.Field(name, live.Kind.STRING, [None if value is None else _text(value) for value in values], True)


def _nanoseconds(value):
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    # In whole numbers: a float has no room for nanoseconds.
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _text(value):
    return (value.hex() if isinstance(value, bytes | memoryview) else str(value))[:MAX_TEXT]


def make_frame(columns, more, now):
    """The columns as a frame; `now` is when they were read, in nanoseconds since the epoch."""
    count = len(columns[0].values) if columns else 0
    notice = {"severity": "warning", "text": f"only the first {MAX_ROWS} rows are shown"}
    meta = {"notices": [notice]} if more else None
    return live.Frame([live.Field("Time", live.Kind.TIME, [now] * count), *columns], name="sql", meta=meta)


@live.register_plugin(PLUGIN)
class SqlPlugin(live.StreamPlugin):
    """Asks the data source's query again and again, and publishes a result that differs from the one before."""

    def __init__(self, database="default", sleep=asyncio.sleep):
        self.database = database
        self.sleep = sleep

    async def subscribe_stream(self, request):
        """Whoever may query the data source may watch its one path."""
        if request.source is None or request.path != PATH:
            return live.StreamAnswer(live.StreamStatus.NOT_FOUND, message=f"a query has one path: ds/<uid>/{PATH}")
        return live.StreamAnswer()

    async def run_stream(self, request, sender):
        """Publish the first result, then every other one. A query that fails ends the run, which is started again."""
        query, seconds = read_settings(request.settings)
        loop = asyncio.get_running_loop()
        before = None
        while True:
            names, rows, more = await loop.run_in_executor(_threads, fetch, query, self.database)
            if (names, rows) != before:
                columns = [make_column(name, [row[at] for row in rows]) for at, name in enumerate(names)]
                await sender.send(make_frame(columns, more, time.time_ns()))
                before = names, rows
            await self.sleep(seconds)

    def offers(self, source):
        """The rows of a data source; which columns they have is known when they are read."""
        return [live.StreamOffer(PATH)] if source else []
