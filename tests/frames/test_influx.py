"""Line protocol: what each sentence of grafana-live §3.1 says, exact errors, and that no bytes raise anything else."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from live.exceptions import InvalidChannel, LiveError
from live.frames import PRECISIONS, InvalidLineProtocol, parse_good_lines, parse_lines
from live.frames import influx as influx_module
from live.frames.influx import MAX_ERRORS, MAX_MEASUREMENTS, MAX_TEXT


def one(text):
    (line,) = parse_lines(text.encode())
    return line


def errors_of(body):
    with pytest.raises(InvalidLineProtocol) as caught:
        parse_lines(body if isinstance(body, bytes) else body.encode())
    return caught.value.errors


# Splitting


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a x=1\nb x=2", [(1, "a"), (2, "b")]),
        ("a x=1\r\nb x=2\r\n", [(1, "a"), (2, "b")]),
        ("\n\na x=1\n\n  \n\tb x=2\n\n", [(3, "a"), (6, "b")]),
        ("# c\na x=1\n  \t# c\n#b x=2\n", [(2, "a")]),
        (" \t\v\fa x=1 \t\v\f\nb x=2 7 \t\v\f\r\n", [(1, "a"), (2, "b")]),
        ('a x="1\n2\n\n3"\nb x=2', [(1, "a"), (5, "b")]),
        ('a x="1\n# no comment\n"\nb x=2', [(1, "a"), (4, "b")]),
        ('# a "quote\na x="y"\nb x=2', [(2, "a"), (3, "b")]),
        ('a,t="q x=1\nb,t="q x=2', [(1, "a"), (2, "b")]),
        ('a q"k=1\nb q"k=2', [(1, "a"), (2, "b")]),
        ("", []),
        ("\n\r\n \n# only\n", []),
    ],
)
def test_entries_and_the_lines_where_they_start(body, expected):
    assert [(line.number, line.measurement) for line in parse_lines(body.encode())] == expected


def test_a_newline_in_a_string_belongs_to_it():
    assert one('a x="1\r\n2\n",y=3 7').fields == {"x": "1\r\n2\n", "y": 3}


def test_more_lines_than_memory_is_for(monkeypatch):
    monkeypatch.setattr(influx_module, "MAX_LINES", 3)
    assert len(parse_lines(b"m x=1\nm x=1\nm x=1\nm x=1")) == 4

    for parse in (parse_lines, parse_good_lines):
        with pytest.raises(InvalidLineProtocol, match="line 4: more than 3 lines: push fewer at once"):
            parse(b"m x=1\n\n\n\nm x=1")


# Precision and good lines


@pytest.mark.parametrize(("unit", "scale"), [("ns", 1), ("us", 10**3), ("ms", 10**6), ("s", 10**9)])
def test_times_are_nanoseconds_whatever_they_were(unit, scale):
    assert PRECISIONS[unit] == scale
    assert [line.time for line in parse_lines(b"m x=1 7\nm x=1 -7\nm x=1", precision=unit)] == [
        7 * scale,
        -7 * scale,
        None,
    ]


@pytest.mark.parametrize("time", [9223372037, -9223372037, 2**63 - 2])
def test_a_time_that_does_not_fit(time):
    with pytest.raises(InvalidLineProtocol, match="line 2: timestamp out of range: in nanoseconds it exceeds 64 bits"):
        parse_lines(f"m x=1 1\nm x=1 {time}".encode(), precision="s")
    assert parse_lines(b"m x=1 9223372036", precision="s")[0].time == 9223372036 * 10**9


def test_good_lines_are_kept_and_wrong_ones_counted():
    lines, rejected, errors = parse_good_lines(b'a x=1\nbad\nmy\\ m x=1\nb x="y\nc x=1\n\xff x=1\n')

    assert [line.measurement for line in lines] == ["a", "c"]
    assert rejected == 4
    assert [error.line for error in errors] == [2, 3, 4, 6]


def test_no_good_line_is_an_error_and_no_line_is_none():
    with pytest.raises(InvalidLineProtocol) as caught:
        parse_good_lines(b"bad\n" * 20)
    assert len(caught.value.errors) == MAX_ERRORS
    assert parse_good_lines(b"# nothing\n\n") == ([], 0, [])


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5e3", -1500.0),
        ("1E-5", 0.00001),
        ("5e-324", 5e-324),
        ("-2.2e-310", -2.2e-310),
        ("1e-400", 0.0),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("9223372036854775807i", 2**63 - 1),
        ("-9223372036854775808i", -(2**63)),
        ("18446744073709551615u", 2**64 - 1),
        ('""', ""),
        ('"a b,c=d"', "a b,c=d"),
        ('"say \\"hi\\""', 'say "hi"'),
        ('"C:\\\\dir"', "C:\\dir"),
        ('"ends in \\\\"', "ends in \\"),
        ('"\\n is no escape"', "\\n is no escape"),
        ('"ünï \U0001f600"', "ünï \U0001f600"),
        ("t", True),
        ("T", True),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("f", False),
        ("F", False),
        ("false", False),
        ("False", False),
        ("FALSE", False),
    ],
)
def test_values(text, value):
    read = one(f"m x={text} 7").fields["x"]

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "nan",
        "Inf",
        "-inf",
        "+1",
        "0x10",
        "1_000",
        ".",
        "-",
        "e5",
        "1e",
        "1.5i",
        "i",
        "tRUE",
        "yes",
        "'a'",
    ],
)
def test_what_is_no_value(text):
    (error,) = errors_of(f"m ok=1,x={text}")

    assert error.reason == "field x: expected a number, an integer with i or u, a boolean or a quoted string"


@pytest.mark.parametrize(
    "text", ["9223372036854775808i", "-9223372036854775809i", "18446744073709551616u", "-1u", "1e309"]
)
def test_values_out_of_range(text):
    (error,) = errors_of(f"m ok=1,a\\ b={text}")

    assert error.reason == "field a b: value out of range"


def test_a_tiny_number_beside_a_wrong_one_does_not_take_the_blame():
    (error,) = errors_of("m tiny=1e-320,x=what")

    assert error.reason.startswith("field x: ")


# Names


@pytest.mark.parametrize(
    ("text", "tags", "fields"),
    [
        ("m,host=a,zone=b x=1", {"host": "a", "zone": "b"}, {"x": 1}),
        (r"m,ho\ st=a\,b,z\=one=\=\  x=1", {"ho st": "a,b", "z=one": "= "}, {"x": 1}),
        (r"m a\ b=1,c\,d=2,e\=f=3", {}, {"a b": 1, "c,d": 2, "e=f": 3}),
        (r"m,a\"b=c\"d e\"f=1", {'a"b': 'c"d'}, {'e"f': 1}),
        ('m,a="b" "c"=1', {"a": '"b"'}, {'"c"': 1}),
        (r"m,path=C:\dir x\y=1", {"path": r"C:\dir"}, {r"x\y": 1}),
        ("m,ключ=значение поле=1", {"ключ": "значение"}, {"поле": 1}),
        ("m,a=1,b=2,a=3 x=1", {"a": "3", "b": "2"}, {"x": 1}),
        (r'm,a\"=1,a"=2 x=1', {'a"': "2"}, {"x": 1}),
        ("m x=1,y=2,x=3", {}, {"x": 3, "y": 2}),
        ('m,a=1,a=2 x="1,x=2",x="a\nb" 7', {"a": "2"}, {"x": "a\nb"}),
        (r"m a\ b=1,a\ b=2", {}, {"a b": 2}),
        ("m x=1e-320,y=1,x=5", {}, {"x": 5, "y": 1}),
        ("m x=5,y=1,x=1e-320", {}, {"x": 1e-320, "y": 1}),
        ('m x="a=b=c"', {}, {"x": "a=b=c"}),
        ("m=n,a=b x=1", {"a": "b"}, {"x": 1}),
    ],
)
def test_tags_and_fields(text, tags, fields):
    line = one(text)

    assert (line.tags, line.fields) == (tags, fields)


def test_a_wrong_value_is_an_error_even_where_a_later_one_would_win():
    assert errors_of("m x=bad,x=1")
    assert errors_of("m,a=1,a=2 x=bad,x=1")
    assert errors_of("m,a=,a=1 x=1")
    assert errors_of("m,a=1,a=,a=2 x=1")


# Timestamps


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("m x=1", None),
        ("m x=1 0", 0),
        ("m x=1 -5", -5),
        ("m x=1 1616403089000000001", 1616403089000000001),
        ("m x=1   1616403089000000001  ", 1616403089000000001),
        ("m x=1 9223372036854775806", 2**63 - 2),
    ],
)
def test_timestamps(text, time):
    assert one(text).time == time


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "-9223372036854775809", "1.5", "+5", "0x1", "1 2", "#", "5i", "-"]
)
def test_what_is_no_timestamp(text):
    (error,) = errors_of(f"m x=1 {text}")

    assert error.reason == "expected a timestamp: one 64-bit integer of nanoseconds"


# Errors


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m", "expected a measurement, then a blank and a field"),
        (",a=b x=1", "expected a measurement, then a blank and a field"),
        ("m\tx=1", "expected a measurement, then a blank and a field"),
        ("m,a x=1", "expected a tag key and ="),
        ("m,=b x=1", "expected a tag key and ="),
        ("m, x=1", "expected a tag key and ="),
        ("m,a= x=1", "expected a tag value, then a comma and a tag or a blank and a field"),
        ("m,a=b", "expected a tag value, then a comma and a tag or a blank and a field"),
        ("m,a=b=c x=1", "expected a tag value, then a comma and a tag or a blank and a field"),
        ("m x", "expected a field key and ="),
        ("m =1", "expected a field key and ="),
        ("m x=1,", "expected a field key and ="),
        ("m x=1, y=2", "expected a field key and ="),
        ("m x=1,x=2,", "expected a field key and ="),
        ("m x=", "expected a field value"),
        ("m x= 1", "expected a field value"),
        (r"m x\\=1", "expected a field key that does not end in a backslash"),
        (r'm x\\="=1"', "expected a field key that does not end in a backslash"),
        ("m\0 x=1", "holds a NUL byte"),
        (f"m,a={'b' * 65536} x=1", "measurement and tags exceed 65535 bytes"),
        ('m x y="a"', "expected a field key and ="),
        ('m x=1 "a"', "expected a timestamp: one 64-bit integer of nanoseconds"),
    ],
)
def test_reasons(text, reason):
    (error,) = errors_of(text)

    assert error.reason == reason


@pytest.mark.parametrize(
    "text",
    ['m x="a', 'm x="a\\"', 'm x=\\"a"', 'm x=\\"a\\"', 'm x="a"b', 'm x="a""b"', 'm x="a"\\"b""', 'm x=a"b"', 'm x="'],
)
def test_quotes_that_do_not_stand_where_quotes_may(text):
    (error,) = errors_of(text)

    assert (
        error.reason
        == 'expected a string in quotes to be the whole value and to end (a quote inside it is written \\")'
    )


def test_every_wrong_line_is_named_with_its_number_and_text():
    errors = errors_of('ok x=1\nbroken\n\n# note\nok x="a\nb"\nm x=nope 7\r\nok x=1\n')

    assert [(error.line, error.text) for error in errors] == [(2, "broken"), (7, "m x=nope 7")]


def test_a_forgotten_quote_does_not_take_the_lines_after_it_along():
    errors = errors_of('m x="forgotten\nok x=1\nok x="fine"\n')

    assert [(error.line, error.text) for error in errors] == [(1, 'm x="forgotten')]


def test_at_most_ten_errors_and_120_characters_of_each():
    errors = errors_of("\n".join("ü" * 500 for _ in range(50)))

    assert len(errors) == MAX_ERRORS == 10
    assert {len(error.text) for error in errors} == {MAX_TEXT} == {120}


def test_the_message_says_the_first_error_and_how_many_more():
    with pytest.raises(InvalidLineProtocol, match=r"^invalid line protocol: line 2: expected a mea.*\(and 1 more\)$"):
        parse_lines(b"ok x=1\nbad\nbad")


def test_the_error_is_one_of_ours_and_a_value_error():
    assert issubclass(InvalidLineProtocol, LiveError)
    assert issubclass(InvalidLineProtocol, ValueError)


def test_what_is_not_utf8_is_named_by_line_and_offset():
    error, _ = errors_of(b"ok x=1\nm,a=\xff\xfe x=1\nbad")

    assert error.line == 2
    assert error.reason == "not UTF-8: byte 0xff at offset 4 of the line"
    assert error.text == "m,a=\ufffd\ufffd x=1"


# Measurements as channels


@pytest.mark.parametrize("measurement", ["cpu", "a/b.c-d_e=f", "x" * 151])
def test_measurements_that_are_channel_paths(measurement):
    (line,) = parse_lines(f"{measurement} x=1".encode(), stream_id="s")

    assert line.measurement == measurement


@pytest.mark.parametrize(
    ("measurement", "rule"),
    [
        (r"my\ cpu", "measurement 'my cpu' is no channel path: invalid channel: path holds ' ': only letters, digits"),
        (r"a\,b", "measurement 'a,b' is no channel path: invalid channel: path holds ','"),
        ("темп", r"measurement '\u0442\u0435\u043c\u043f' is no channel path: invalid channel: path holds '\u0442'"),
        ("a%b", "measurement 'a%b' is no channel path"),
        ('"cpu"', "measurement '\"cpu\"' is no channel path"),
        (r"\#cpu", "measurement '\\\\#cpu' is no channel path"),
        ("x" * 152, "name is 161 bytes long, at most 160 are allowed"),
    ],
)
def test_measurements_that_are_no_channel_paths(measurement, rule):
    with pytest.raises(InvalidLineProtocol) as caught:
        parse_lines(f"ok x=1\n{measurement} x=1".encode(), stream_id="s")

    (error,) = caught.value.errors
    assert error.line == 2
    assert rule in error.reason


def test_a_bad_stream_id_is_nobody_elses_fault():
    with pytest.raises(InvalidChannel, match="namespace holds"):
        parse_lines(b"", stream_id="a b")


def test_there_is_a_limit_of_measurements():
    body = "\n".join(f"m{n} x=1" for n in range(MAX_MEASUREMENTS)).encode()
    assert len(parse_lines(body)) == MAX_MEASUREMENTS

    (error,) = errors_of(body + b"\nm0 x=2\none_more x=1")
    assert (error.line, error.reason) == (5002, "more than 5000 different measurements in one push")


def test_there_is_a_limit_of_tags():
    body = "m," + ",".join(f"tag{n}=1" for n in range(255))
    assert len(one(body + r",last=a\,b\,c x=1").tags) == 256

    # The extension compares each with each, before it looks at the length: this would take minutes.
    (error,) = errors_of("m," + ",".join(f"tag{n}=1" for n in range(100_000)) + " x=1")
    assert error.reason == "expected at most 256 tags"


# Properties

# What cannot be escaped is left out: newlines, blanks that are no spaces, the backslash itself.
_chars = st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\n\v\f\r\\")
_names = st.text(_chars, min_size=1, max_size=12)
_values = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
)
_points = st.tuples(
    st.from_regex(r"[A-Za-z0-9_\-/=.]{1,20}", fullmatch=True),
    st.dictionaries(_names, _names, max_size=4),
    st.dictionaries(_names, _values, min_size=1, max_size=5),
    st.none() | st.integers(-(2**63) + 2, 2**63 - 2),
)


def _escape(text):
    for char in ',= "':
        text = text.replace(char, "\\" + char)
    return text


def _write_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write(point):
    measurement, tags, fields, time = point
    head = ",".join([measurement, *[f"{_escape(key)}={_escape(value)}" for key, value in tags.items()]])
    body = ",".join(f"{_escape(key)}={_write_value(value)}" for key, value in fields.items())
    return f"{head} {body}" + ("" if time is None else f" {time}")


@given(st.lists(_points, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n", '\n# note "\n']))
def test_what_a_careful_writer_writes_is_what_is_read(points, newline):
    lines = parse_lines(newline.join(map(_write, points)).encode())

    assert [(line.measurement, line.tags, line.fields, line.time) for line in lines] == points
    for line, (_, _, fields, _) in zip(lines, points, strict=True):
        assert {key: type(value) for key, value in line.fields.items()} == {
            key: type(value) for key, value in fields.items()
        }


def _never_worse_than_an_error(body):
    try:
        good = parse_good_lines(body)
    except InvalidLineProtocol:
        pass
    else:
        assert good.rejected >= len(good.errors)
        if not good.rejected:
            assert good.lines == parse_lines(body)
    lines, errors = [], []
    try:
        lines = parse_lines(body)
    except InvalidLineProtocol as error:
        errors = error.errors
        # Whatever shows it to its sender must be able to.
        str(error).encode()

    assert len(errors) <= MAX_ERRORS
    for error in errors:
        assert 1 <= error.line <= body.count(b"\n") + 1
        assert error.reason
        assert len(error.text) <= MAX_TEXT
    for line in lines:
        assert line.fields
        assert not any(isinstance(value, float) and not math.isfinite(value) for value in line.fields.values())


@given(st.binary(max_size=200))
@example(b"#\x80")
def test_hostile_bytes(body):
    _never_worse_than_an_error(body)


@given(st.text('m,=x "\\\n\r\t1i.e-#ü\0tu', max_size=80))
@example('m x="' * 200)
@example('m x=1,y="\n' * 200)
@example('",k\\"=" x=",y="\n' * 200)
@example("m" + "\\ " * 500)
@example("m x=" + "1" * 5000)
def test_hostile_text(text):
    _never_worse_than_an_error(text.encode())
