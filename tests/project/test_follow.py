"""Following a file: every line once and whole, whatever is done to the file."""

import os
import threading

import pytest

from project.sources import follow
from project.sources.follow import MAX_LINE, MAX_READ, Follower


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.log"


@pytest.fixture
def open_follower(path):
    opened = []

    def make(lines=0):
        opened.append(Follower(path, lines))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def add(path, text, mode="ab"):
    with path.open(mode) as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def drain(follower):
    """All lines there are by now."""
    lines, more = follower.read()
    while more:
        further, more = follower.read()
        lines += further
    return lines


def test_a_file_that_is_missing_is_waited_for_and_read_from_its_beginning(path, open_follower):
    follower = open_follower(lines=2)
    assert drain(follower) == []
    add(path, "1\n2\n3\n4\n")
    assert drain(follower) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("lines", "expected"), [(0, []), (1, ["4"]), (2, ["3", "4"]), (4, ["1", "2", "3", "4"]), (9, ["1", "2", "3", "4"])]
)
def test_it_begins_with_the_last_lines(path, open_follower, lines, expected):
    add(path, "1\n2\n3\n4\npart")
    follower = open_follower(lines)
    assert drain(follower) == expected
    add(path, "ial\n5\n")
    assert drain(follower) == ["partial", "5"]


def test_an_empty_file_and_one_without_a_line_end(path, open_follower):
    add(path, "")
    empty = open_follower(3)
    assert drain(empty) == []
    add(path, "x")
    assert drain(open_follower(3)) == drain(empty) == []
    add(path, "\n")
    assert drain(empty) == ["x"]


def test_the_last_lines_of_a_long_file_are_found_without_reading_it(path, open_follower):
    add(path, "".join(f"{number:09}\n" for number in range(100_000)))
    found = drain(open_follower(100_000))
    assert len(found) == MAX_READ // 10
    assert (found[0], found[-1]) == (f"{100_000 - len(found):09}", "000099999")


def test_a_partial_line_is_held_until_it_is_complete(path, open_follower):
    follower = open_follower()
    follower.read()
    for part in ("o", "n", "e\r", "\ntw"):
        assert drain(follower) == []
        add(path, part)
    assert drain(follower) == ["one"]
    add(path, "o\n\n")
    assert drain(follower) == ["two", ""]


def test_renaming_and_creating_loses_nothing(path, open_follower):
    add(path, "1\n")
    follower = open_follower(5)
    assert drain(follower) == ["1"]
    add(path, "2\n3")
    path.rename(path.with_suffix(".1"))
    # Not there for a while, and still written to by who has it open.
    assert drain(follower) == ["2"]
    add(path.with_suffix(".1"), " and a half\n4")
    add(path, "5\n")
    assert drain(follower) == ["3 and a half", "4", "5"]
    add(path, "6\n")
    assert drain(follower) == ["6"]


def test_copying_and_truncating_begins_at_the_beginning(path, open_follower):
    add(path, "1\n2\nhal")
    follower = open_follower(5)
    assert drain(follower) == ["1", "2"]
    os.truncate(path, 0)
    add(path, "3\n")
    assert drain(follower) == ["hal", "3"]
    os.truncate(path, 0)
    assert drain(follower) == []
    add(path, "4\n")
    assert drain(follower) == ["4"]


def test_a_truncated_file_that_has_grown_again_is_known(path, open_follower):
    add(path, "old one\nold two\n")
    follower = open_follower()
    follower.read()
    add(path, "new 1\nnew 2\nnew 3 and longer than before\n", "wb")
    assert drain(follower) == ["new 1", "new 2", "new 3 and longer than before"]


def test_bytes_that_are_no_utf8_are_replaced(path, open_follower):
    follower = open_follower()
    follower.read()
    add(path, b"caf\xe9 \xff\nna\xc3")
    assert drain(follower) == ["caf\ufffd \ufffd"]
    add(path, b"\xafve\n")
    assert drain(follower) == ["na\u00efve"]  # a letter cut between two reads is whole


def test_a_line_without_end_is_cut_and_holds_no_memory(path, open_follower):
    follower = open_follower()
    follower.read()
    for _ in range(3):
        add(path, "x" * (MAX_READ + 1))
        assert drain(follower) == []
        assert len(follower._partial) == MAX_LINE
    add(path, "\nnext\n" + "y" * MAX_LINE + "\n")
    assert drain(follower) == ["x" * MAX_LINE + "…", "next", "y" * MAX_LINE]


def test_a_read_is_bounded_and_says_that_there_is_more(path, open_follower):
    follower = open_follower()
    follower.read()
    text = "".join(f"{number:07}\n" for number in range(2 * MAX_READ // 8 + 5))
    add(path, text)
    lines, more = follower.read()
    assert more
    assert len(lines) == MAX_READ // 8
    assert lines + drain(follower) == text.split()


def test_what_is_no_file_is_refused(path, open_follower):
    os.mkfifo(path)
    with pytest.raises(ValueError, match="no regular file"):
        open_follower().read()
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match="no regular file"):
        open_follower().read()


def test_closing_never_waits_for_a_read(path, open_follower, monkeypatch):
    add(path, "1\n")
    follower = open_follower(1)
    reading, go_on = threading.Event(), threading.Event()
    pread = os.pread

    def slow(*arguments):
        reading.set()
        assert go_on.wait(20)
        return pread(*arguments)

    monkeypatch.setattr(follow.os, "pread", slow)
    thread = threading.Thread(target=follower.read)
    thread.start()
    assert reading.wait(20)
    follower.close()  # returns although the disk does not answer
    assert not follower._file.closed
    file = follower._file
    go_on.set()
    thread.join(20)
    assert file.closed
    assert follower.read() == ([], False)
