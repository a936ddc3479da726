"""Following a file as `tail -F` does: the lines that are added, whoever renames or truncates it. No Django.

What is held is bounded: a read takes at most `MAX_READ` bytes, of a line without end at most `MAX_LINE` are kept.
"""

import os
import stat
import threading

MAX_READ = 256 * 1024
MAX_LINE = 4096
"""Bytes of one line; the rest of a longer one is left out, and "…" says so."""
MARK = 64
"""Bytes before the place read up to by which a file is known again: one that was truncated and has grown differs."""


class Follower:
    """The lines added to the file at `path`, which need not be there yet.

    The first `read` begins with the last `lines` lines that are there already. Reads go one at a time, in any thread;
    `close` may come from another meanwhile, and never waits.
    """

    def __init__(self, path, lines=0):
        self.path = path
        self._last = lines  # None: from the beginning
        self._file = None
        self._at = 0
        self._mark = b""
        self._partial = b""
        self._cut = False  # the line being read is too long, what comes of it is left out
        self._busy = threading.Lock()
        self._closed = False

    def read(self):
        """(the complete lines added since, whether there may be more at once); nothing while there is no file.

        A line is text: bytes that are no UTF-8 are replaced. Raises OSError where the file cannot be read, and
        ValueError where it is no regular file.
        """
        with self._busy:
            found = ([], False) if self._closed else self._read()
        if self._closed:
            self.close()  # it came while this was busy
        return found

    def close(self):
        """Let go of the file; where a read is under way, that does it when it is done."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._busy.release()

    def _read(self):
        if self._file is None and not self._open():
            return [], False
        lines = []
        if self._was_truncated():
            lines += self._flush()
            self._at, self._mark = 0, b""
        if self._take(lines):
            return lines, True
        if not self._was_replaced():
            return lines, False
        # What was written between the look above and the renaming.
        if not self._take(lines):
            lines += self._flush()  # nobody completes that line any more
            self._drop()
        return lines, True

    def _open(self):
        """Opens the file if it is there: at its last lines the first time, at its beginning later."""
        try:
            # Not waiting for the other end, if somebody put a pipe there.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._last = None
            return False
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ValueError(f"{self.path} is no regular file")
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self._at = 0 if self._last is None else self._start_of(self._last)
        self._last = None
        self._mark = os.pread(descriptor, min(MARK, self._at), max(0, self._at - MARK))
        return True

    def _start_of(self, lines):
        """Where the last so many complete lines begin, or as many of them as `MAX_READ` bytes hold."""
        size = os.fstat(self._file.fileno()).st_size
        start = max(0, size - MAX_READ)
        tail = os.pread(self._file.fileno(), MAX_READ, start)
        end = tail.rfind(b"\n") + 1
        position = end
        for _ in range(lines):
            if position == 0:
                break
            position = tail.rfind(b"\n", 0, position - 1) + 1
        if position == 0 and start > 0:
            position = tail.find(b"\n") + 1  # not with the rest of a line
        return start + position

    def _was_truncated(self):
        """Whether what was read up to is not there any more."""
        return os.pread(self._file.fileno(), len(self._mark), self._at - len(self._mark)) != self._mark

    def _was_replaced(self):
        """Whether another file has the name by now; one that is only gone may still be written to."""
        try:
            named = os.stat(self.path)
        except FileNotFoundError:
            return False
        return not os.path.samestat(named, os.fstat(self._file.fileno()))

    def _take(self, lines):
        """Reads on, adds complete lines to `lines`, and returns whether there may be more."""
        chunk = os.pread(self._file.fileno(), MAX_READ, self._at)
        self._at += len(chunk)
        self._mark = (self._mark + chunk)[-MARK:]
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            self._hold(part)
            lines.append(self._line())
        self._hold(rest)
        return len(chunk) == MAX_READ

    def _hold(self, part):
        room = MAX_LINE - len(self._partial)
        self._partial += part[:room]
        self._cut = self._cut or len(part) > room

    def _line(self):
        """The line held, which is complete now."""
        text = self._partial.removesuffix(b"\r").decode(errors="replace") + ("…" if self._cut else "")
        self._partial, self._cut = b"", False
        return text

    def _flush(self):
        return [self._line()] if self._partial else []

    def _drop(self):
        if self._file is not None:
            self._file.close()
        self._file, self._partial, self._cut = None, b"", False
