"""The log file that several processes share: every line is there, and it does not grow for ever."""

import logging
import subprocess
import sys

import pytest

from project.sources.logfile import SharedFileHandler

WRITER = """
import logging, sys
from project.sources.logfile import SharedFileHandler
logger = logging.getLogger("x")
logger.addHandler(SharedFileHandler(sys.argv[1], int(sys.argv[3])))
for number in range(500):
    logger.warning("%s %d", sys.argv[2], number)
"""


@pytest.fixture
def handler(tmp_path):
    handler = SharedFileHandler(tmp_path / "x.log", max_bytes=100)
    yield handler
    handler.close()


def record(text):
    return logging.LogRecord("x", logging.INFO, "", 0, text, (), None)


def test_a_long_file_is_renamed(handler, tmp_path):
    lines = [f"line {number:04}" for number in range(30)]
    for line in lines:
        handler.emit(record(line))
    kept = [(tmp_path / name).read_text().splitlines() for name in ("x.log.1", "x.log")]
    # A line has 10 bytes with its end: the eleventh makes it longer than 100.
    assert kept == [lines[11:22], lines[22:]]


def test_a_failure_is_no_error_of_who_logs(handler, tmp_path, capsys):
    (tmp_path / "x.log.lock").mkdir()
    handler.emit(record("x" * 200))
    assert "IsADirectoryError" in capsys.readouterr().err


def test_many_processes_lose_no_line(tmp_path):
    path = tmp_path / "x.log"
    # The limit is passed once at the most, so all lines are still there.
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name, "8000"]) for name in "abc"]
    assert [writer.wait(50) for writer in writers] == [0, 0, 0]
    lines = [line for file in (tmp_path / "x.log.1", path) if file.exists() for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number}" for name in "abc" for number in range(500))
