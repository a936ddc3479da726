"""Batches of line protocol: no entry is cut in two, numbers are those of the file, a pipe's lines go out in time."""

import io
import os

import pytest

from live.commands.lines import MAX_LINE, MAX_STRING, LineTooLong, batches, read_lines, read_pipe


def cut(text, size):
    return [(batch.body.decode(), batch.first, batch.entries) for batch in batches(read_lines(io.BytesIO(text)), size)]


def test_so_many_lines_at_a_time():
    assert cut(b"a x=1\nb x=1\nc x=1", 2) == [("a x=1\nb x=1\n", 1, 2), ("c x=1", 3, 1)]
    assert cut(b"a x=1\n", 1) == [("a x=1\n", 1, 1)]
    assert cut(b"", 1) == []


def test_blank_lines_and_comments_are_counted_as_lines_only():
    assert cut(b"# one\n\n a x=1\n  \nb x=1\r\n", 3) == [("# one\n\n a x=1\n", 1, 1), ("  \nb x=1\r\n", 4, 1)]


def test_what_telegraf_puts_before_its_test_metrics_is_left_out():
    assert cut(b'> a x=1\n> b s="1\n> 2"\n', 1) == [("a x=1\n", 1, 1), ('b s="1\n> 2"\n', 2, 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a s="1\n2\n3" 5\nb x=1\n', [('a s="1\n2\n3" 5\n', 1, 1), ("b x=1\n", 4, 1)]),
        # A blank line and what looks like a comment are part of the string.
        ('a s="1\n\n#\n",t="x"\nb x=1\n', [('a s="1\n\n#\n",t="x"\n', 1, 1), ("b x=1\n", 5, 1)]),
        ('a s="1\\"\n2"\nb x=1\n', [('a s="1\\"\n2"\n', 1, 1), ("b x=1\n", 3, 1)]),
        # Quotes in the measurement and in tags are characters like others.
        ('a"b x=1\nc,t=" x=1\n', [('a"b x=1\n', 1, 1), ('c,t=" x=1\n', 2, 1)]),
        ('a\\ "b x=1\nc x=1\n', [('a\\ "b x=1\n', 1, 1), ("c x=1\n", 2, 1)]),
        ('a s="1" 5\nb x=1\n', [('a s="1" 5\n', 1, 1), ("b x=1\n", 2, 1)]),
        ("nonsense\n\n", [("nonsense\n", 1, 1), ("\n", 2, 0)]),
    ],
)
def test_strings_stay_whole(text, expected):
    assert cut(text.encode(), 1) == expected


def test_a_string_that_is_never_closed_does_not_take_all():
    first, *rest = cut(b'a s="\n' + b"b x=1\n" * (MAX_STRING + 10), 1)

    assert first[0].count("\n") == MAX_STRING + 1
    assert len(rest) == 10


def test_long_lines_make_small_batches():
    assert [batch[2] for batch in cut(b"a x=1" + b" " * (MAX_LINE - 10) + b"\nb x=1\nc x=1\n", 1000)] == [2, 1]


def test_what_is_no_text_is_refused():
    with pytest.raises(LineTooLong, match="2"):
        list(read_lines(io.BytesIO(b"a\n" + b"x" * (MAX_LINE + 1))))


def test_a_pipe_that_pauses_gives_time_to_push():
    reader, writer = os.pipe()
    with open(reader, "rb") as source, open(writer, "wb", buffering=0) as sink:
        found = batches(read_pipe(source, 0.01), 1000)
        sink.write(b"a x=1\n")
        assert next(found) == (b"a x=1\n", 1, 1)
        sink.write(b'b s="\n')
        sink.write(b'"\nc x=1')
        sink.close()
        assert b"".join(batch.body for batch in found) == b'b s="\n"\nc x=1'


def test_a_pipe_that_fails_is_told():
    class Broken(io.RawIOBase):
        def readline(self, size=-1):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(read_pipe(Broken(), 1))
