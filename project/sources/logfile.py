"""A log handler for a file that several processes write, and that never grows beyond its limit by much."""

import fcntl
import os
from logging.handlers import WatchedFileHandler


class SharedFileHandler(WatchedFileHandler):
    """Appends to `filename`; where that made it longer than `max_bytes`, it is renamed to `<filename>.1`.

    Each record is one write at the file's end, so that the lines of processes never mix, and each process notices
    before its next record that the file was renamed.
    """

    def __init__(self, filename, max_bytes=256 * 1024):
        super().__init__(filename, encoding="utf-8", delay=True)
        self.max_bytes = max_bytes

    def emit(self, record):
        """Write `record`; as everywhere in logging, a failure is told on stderr and raises nothing."""
        super().emit(record)
        try:
            if self.stream is not None and self.stream.tell() > self.max_bytes:
                self._rename()
        except OSError:
            self.handleError(record)

    def _rename(self):
        with open(f"{self.baseFilename}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have done it while this one waited.
            if os.path.exists(self.baseFilename) and os.path.getsize(self.baseFilename) > self.max_bytes:
                os.replace(self.baseFilename, f"{self.baseFilename}.1")
