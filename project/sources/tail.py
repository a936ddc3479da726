"""The plugin `tail`: the lines added to a log file, as frames with the columns Time and Line.

The data source's settings name the file, which lies below `TAIL_FOLDER`; what a client says names none. The channel is
`ds/<uid>/lines`. Frames begin with the last lines that are there already, whenever the stream starts.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings as site

import live

from .follow import Follower

PLUGIN = "tail"
PATH = "lines"
SECONDS = 0.5
FRAME_LINES = 100
MAX_LINES = 1000
"""The most lines that a stream begins with."""


def read_settings(settings):
    """(the file's path, how many of its lines come first). Raises ValueError, which says what is wrong."""
    if not isinstance(settings, Mapping) or settings.keys() - {"file", "lines"}:
        raise ValueError('expected an object with "file", and "lines" if you like')
    file, lines = settings.get("file"), settings.get("lines", 10)
    if not isinstance(file, str) or not file or "\0" in file:
        raise ValueError('"file" must be the path of a file')
    if type(lines) is not int or not 0 <= lines <= MAX_LINES:
        raise ValueError(f'"lines" must be a whole number from 0 to {MAX_LINES}')
    folder = Path(site.TAIL_FOLDER).resolve()
    # Resolved, so that neither ".." nor a link leads out of it.
    path = (folder / file).resolve()
    if not path.is_relative_to(folder) or path == folder:
        raise ValueError(f'"file" must be a path below {folder}')
    return path, lines


def make_frame(lines, now):
    """The lines as a frame; `now` is when they were read, in nanoseconds since the epoch."""
    time_field = live.Field("Time", live.Kind.TIME, [now] * len(lines))
    return live.Frame([time_field, live.Field("Line", live.Kind.STRING, lines)], name="tail")


@live.register_plugin(PLUGIN)
class TailPlugin(live.StreamPlugin):
    """Follows the data source's file, through renaming and truncating."""

    def __init__(self, seconds=SECONDS):
        self.seconds = seconds

    async def subscribe_stream(self, request):
        """Whoever may query the data source may watch its one path."""
        if request.source is None or request.path != PATH:
            return live.StreamAnswer(live.StreamStatus.NOT_FOUND, message=f"a log file has one path: ds/<uid>/{PATH}")
        return live.StreamAnswer(data=make_frame([], 0))

    async def run_stream(self, request, sender):
        """Look every half second; a file that is not there yet is waited for."""
        # In threads: a disk may take its time.
        path, first = await asyncio.to_thread(read_settings, request.settings)
        follower = Follower(path, first)
        try:
            while True:
                lines, more = await asyncio.to_thread(follower.read)
                for start in range(0, len(lines), FRAME_LINES):
                    await sender.send(make_frame(lines[start : start + FRAME_LINES], time.time_ns()))
                if not more:
                    await asyncio.sleep(self.seconds)
        finally:
            follower.close()

    def offers(self, source):
        """The lines of a data source; without one there is nothing."""
        return [live.StreamOffer(PATH, schema=make_frame([], 0))] if source else []
