"""Lines -> frames: what each sentence of grafana-live §3.2 and §3.4 says, and goldens after §3.6 on own data."""

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.frames import FORMATS, InvalidLineProtocol, Kind, frames_from_lines, parse_lines
from live.frames import convert as convert_module

NOW = 1_700_000_000_123_456_789
T0 = 1_616_403_089_000_000_000
T1 = T0 + 1_000_000_000


def convert(body):
    return frames_from_lines(parse_lines(body.encode()), NOW)


def columns(body):
    """The only frame's columns: name -> (kind, values)."""
    (frame,) = convert(body)
    return {field.name: (field.kind.value, field.values) for field in frame.fields}


# §3.2, typing


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.5"], ("float64", [1.5])),
        (["3i"], ("float64", [3.0])),
        (["3u"], ("float64", [3.0])),
        (["18446744073709551615u"], ("float64", [18446744073709551615.0])),
        (["9007199254740993i"], ("float64", [9007199254740992.0])),
        (["-20.9", "-21i", "5u"], ("float64", [-20.9, -21.0, 5.0])),
        (["t", "F"], ("bool", [True, False])),
        (['"up"', '""'], ("string", ["up", ""])),
        (['"NaN"'], ("float64", [None])),
        (['"NaN"', "1i", '"NaN"', "2.5"], ("float64", [None, 1.0, None, 2.5])),
        (["1", '"NaN"'], ("float64", [1.0, None])),
        (['"nan"', '"NaN "'], ("string", ["nan", "NaN "])),
        # The first value decides.
        (["1", '"x"', "t", "2i"], ("float64", [1.0, None, None, 2.0])),
        (["t", "1", '"x"', '"NaN"', "f"], ("bool", [True, None, None, None, False])),
        (['"NaN"', '"x"'], ("float64", [None, None])),
        (['"x"', '"NaN"'], ("string", ["x", None])),
        (['"x"', "1", "1000000", "t", "F"], ("string", ["x", "1", "1e+06", "true", "false"])),
        (
            ['"x"', "0.5i".replace(".5", ""), "-0.0", "100000", "123456.5", "1234567.5", "-2e22", "0.0001", "0.00001"],
            ("string", ["x", "0", "-0", "100000", "123456.5", "1.2345675e+06", "-2e+22", "0.0001", "1e-05"]),
        ),
        (['"x"', "1e-100", "10", "1.5", "12000i"], ("string", ["x", "1e-100", "10", "1.5", "12000"])),
    ],
)
def test_typing(values, expected):
    got = columns("\n".join(f"m x={value} {T0 + row}" for row, value in enumerate(values)))

    assert got["x"] == expected
    assert [type(value) for value in got["x"][1]] == [type(value) for value in expected[1]]


def test_value_columns_are_nullable_and_without_labels():
    (frame,) = convert('m,host=a f=1,b=t,s="x"')

    assert [(field.name, field.nullable, field.labels) for field in frame.fields] == [
        ("labels", False, None),
        ("time", False, None),
        ("b", True, None),
        ("f", True, None),
        ("s", True, None),
    ]


def test_fields_of_a_line_are_in_byte_order():
    assert list(columns("system load5=1,load15=2,load1=3,Uptime=4,é=5")) == [
        "labels",
        "time",
        "Uptime",
        "load1",
        "load15",
        "load5",
        "é",
    ]


# §3.4


def test_one_frame_per_measurement_in_order_of_first_appearance():
    frames = convert("mem x=1\ncpu x=1\nmem x=2\ndisk x=1\ncpu x=2")

    assert [(frame.name, len(frame)) for frame in frames] == [("mem", 2), ("cpu", 2), ("disk", 1)]


def test_labels_are_sorted_joined_and_not_escaped():
    got = columns(r"m,zone=b,host=a\,1,Az=c\=d x=1" + "\nm x=2")

    assert got["labels"] == ("string", ["Az=c=d, host=a,1, zone=b", ""])


def test_rows_are_the_lines_in_their_order():
    got = columns(f"m,h=a x=1 {T1}\nm,h=a x=2 {T0}\nm,h=a x=2 {T0}")

    assert got["time"] == ("time.Time", [T1, T0, T0])
    assert got["x"] == ("float64", [1.0, 2.0, 2.0])


def test_lines_without_a_time_get_the_time_of_the_push():
    assert columns(f"m x=1\nm x=2 {T0}\nm x=3")["time"] == ("time.Time", [NOW, T0, NOW])


def test_late_and_missing_columns_are_padded_with_null():
    assert columns("m a=1\nm b=0\nm b=0,a=2\nm c=t") == {
        "labels": ("string", [""] * 4),
        "time": ("time.Time", [NOW] * 4),
        "a": ("float64", [1.0, None, 2.0, None]),
        "b": ("float64", [None, 0.0, 0.0, None]),
        "c": ("bool", [None, None, None, True]),
    }


def test_a_field_may_be_called_like_the_first_columns():
    (frame,) = convert("m labels=1,time=2")

    assert [field.name for field in frame.fields] == ["labels", "time", "labels", "time"]


def test_no_lines_no_frames():
    assert convert("# nothing\n") == []


def test_the_formats():
    assert list(FORMATS) == ["labels_column", "wide"]


def test_a_push_that_would_pad_to_gigabytes_is_refused(monkeypatch):
    monkeypatch.setattr(convert_module, "MAX_CELLS", 100)
    assert len(convert("\n".join(f"m f{n}=1" for n in range(10)))[0]) == 10

    with pytest.raises(InvalidLineProtocol) as caught:
        convert("ok x=1\n" + "\n".join(f"m f{n}=1" for n in range(11)))

    (error,) = caught.value.errors
    assert (error.line, error.text) == (2, "m")
    assert error.reason == "11 fields over 11 lines of one measurement: push fewer lines at once"


@pytest.mark.parametrize("keys", [("a",), ("b", "a"), ("100%", "%s", "a"), ("a", "%(b)s"), ()])
def test_labels_whatever_the_keys_are(keys):
    tags = "".join(f",{key}=v{number}" for number, key in enumerate(keys))
    got = columns(f"m{tags} x=1\nm,other=%d x=2\nm{tags} x=3")

    expected = ", ".join(f"{key}=v{number}" for number, key in sorted(enumerate(keys), key=lambda item: item[1]))
    assert got["labels"][1] == [expected, "other=%d", expected]


# §3.3


def wide(body):
    """Each frame of the wide format: its name and its columns as (name, kind, labels, values)."""
    return [
        (frame.name, [(field.name, field.kind.value, field.labels, field.values) for field in frame.fields])
        for frame in frames_from_lines(parse_lines(body.encode()), NOW, "wide")
    ]


def test_wide_has_a_frame_per_measurement_and_time_in_order_of_first_appearance():
    body = f"mem x=1 {T1}\ncpu x=1 {T0}\nmem x=2 {T0}\ncpu x=2 {T1}\nmem x=3 {T1}\ncpu x=4 {T0}"

    assert [(name, fields[0][3]) for name, fields in wide(body)] == [
        ("mem", [T1]),
        ("cpu", [T0]),
        ("mem", [T0]),
        ("cpu", [T1]),
    ]


def test_wide_frames_have_one_row_and_a_time_column_without_labels():
    frames = frames_from_lines(parse_lines(f"m,h=a x=1 {T0}\nm,h=b x=2 {T0}".encode()), NOW, "wide")

    assert [len(frame) for frame in frames] == [1]
    time, *others = frames[0].fields
    assert (time.name, time.kind, time.nullable, time.labels) == ("time", Kind.TIME, False, None)
    assert [(field.nullable, field.labels) for field in others] == [(True, {"h": "a"}), (True, {"h": "b"})]


def test_wide_columns_are_each_lines_sorted_fields_in_the_order_of_the_lines():
    ((_, fields),) = wide(f"m,h=b load5=1,load15=2,load1=3 {T0}\nm,h=a z=1,a=2 {T0}")

    assert [field[0] for field in fields] == ["time", "load1", "load15", "load5", "a", "z"]


def test_wide_labels_are_there_also_where_there_are_no_tags():
    (frame,) = frames_from_lines(parse_lines(b"m x=1 5000000"), NOW, "wide")

    assert frame.full_json() == (
        b'{"schema":{"name":"m","fields":[{"name":"time","type":"time","typeInfo":{"frame":"time.Time"}},'
        b'{"name":"x","type":"number","typeInfo":{"frame":"float64","nullable":true},"labels":{}}]},'
        b'"data":{"values":[[5],[1]]}}'
    )


def test_wide_does_not_merge_lines_that_say_the_same():
    ((_, fields),) = wide(f"m,h=a x=1 {T0}\nm,h=a x=2 {T0}")

    assert [(field[0], field[3]) for field in fields] == [("time", [T0]), ("x", [1.0]), ("x", [2.0])]


def test_wide_keeps_types_apart():
    ((_, fields),) = wide(f'm x=-20.9 {T0}\nm x=-21i {T0}\nm x="a" {T0}\nm x=t {T0}\nm x="NaN" {T0}\nm x=5u {T0}')

    assert [(field[1], field[3]) for field in fields[1:]] == [
        ("float64", [-20.9]),
        ("float64", [-21.0]),
        ("string", ["a"]),
        ("bool", [True]),
        ("float64", [None]),
        ("float64", [5.0]),
    ]


def test_wide_lines_without_a_time_have_that_of_the_push():
    assert [fields[0][3] for _, fields in wide(f"m x=1\nm x=2 {T0}\nm x=3")] == [[NOW], [T0]]


def test_wide_of_one_machine_with_many_cpus():
    names = ["guest", "idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user", "wait"]
    fields = ",".join(f"{name}=1" for name in names)
    body = "\n".join(f"cpu,cpu=cpu{n} {fields} {T0}" for n in range(13)) + f"\ncpu,cpu=cpu0 {fields} {T1}"

    assert [len(columns) for _, columns in wide(body)] == [131, 11]


def test_wide_golden_of_the_worked_example():
    (frame,) = frames_from_lines(parse_lines(b"cpu,host=a usage=1.5,idle=98 1616403089000000000"), NOW, "wide")

    assert frame.data_json() == b'{"data":{"values":[[1616403089000],[98],[1.5]]}}'
    assert frame.schema_json().count(b'"labels":{"host":"a"}') == 2


def test_a_wide_push_of_too_many_columns_is_refused(monkeypatch):
    monkeypatch.setattr(convert_module, "MAX_WIDE_COLUMNS", 10)
    assert wide("\n".join(f"m x={n} {n}" for n in range(5)))

    with pytest.raises(InvalidLineProtocol) as caught:
        wide("\n".join(f"m x={n} {n}" for n in range(6)))

    assert (caught.value.errors[0].line, caught.value.errors[0].text) == (6, "m")


# Goldens


def test_golden_of_the_worked_example():
    (frame,) = convert("cpu,host=a usage=1.5,idle=98 1616403089000000000")

    assert frame.full_json() == (
        b'{"schema":{"name":"cpu","fields":['
        b'{"name":"labels","type":"string","typeInfo":{"frame":"string"}},'
        b'{"name":"time","type":"time","typeInfo":{"frame":"time.Time"}},'
        b'{"name":"idle","type":"number","typeInfo":{"frame":"float64","nullable":true}},'
        b'{"name":"usage","type":"number","typeInfo":{"frame":"float64","nullable":true}}]},'
        b'"data":{"values":[["host=a"],[1616403089000],[98],[1.5]]}}'
    )


def test_golden_of_nan_and_changing_types():
    (frame,) = convert(
        f'oven,door=1 heat=0,glow="NaN",mode="bake" {T0}\n'
        f'oven,door=2 heat="NaN",glow=0,mode="grill" {T0}\n'
        f'oven,door=1 heat="NaN",glow=0,mode="off" {T1}\n'
        f'oven,door=2 heat=0,glow="NaN",mode=1 {T1}\n'
    )

    assert frame.full_json() == (
        b'{"schema":{"name":"oven","fields":['
        b'{"name":"labels","type":"string","typeInfo":{"frame":"string"}},'
        b'{"name":"time","type":"time","typeInfo":{"frame":"time.Time"}},'
        b'{"name":"glow","type":"number","typeInfo":{"frame":"float64","nullable":true}},'
        b'{"name":"heat","type":"number","typeInfo":{"frame":"float64","nullable":true}},'
        b'{"name":"mode","type":"string","typeInfo":{"frame":"string","nullable":true}}]},'
        b'"data":{"values":[["door=1","door=2","door=1","door=2"],'
        b"[1616403089000,1616403089000,1616403090000,1616403090000],"
        b'[null,0,0,null],[0,null,null,0],["bake","grill","off","1"]]}}'
    )


def test_golden_of_a_sparse_field_with_nanosecond_times():
    (frame,) = convert(
        "pump,mode=idle a=6410.5 1000000170\npump,mode=run b=0 1000000175\npump,mode=run b=0 1000000175\n"
        "pump,mode=stop b=0 1000000175\npump,mode=idle a=2410.25 1000000178\n"
    )

    assert orjson.loads(frame.data_json())["data"] == {
        "values": [
            ["mode=idle", "mode=run", "mode=run", "mode=stop", "mode=idle"],
            [1000] * 5,
            [6410.5, None, None, None, 2410.25],
            [None, 0, 0, 0, None],
        ],
        "nanos": [None, [170, 175, 175, 175, 178], None, None],
    }


def test_golden_of_one_machine_with_many_cpus():
    fields = ["guest", "idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user", "wait"]
    shuffled = random.Random(1)
    body = "\n".join(
        f"cpu,host=box,cpu=cpu{n} "
        + ",".join(f"{name}={n}.5" for name in shuffled.sample(fields, len(fields)))
        + f" {T0}"
        for n in range(13)
    )

    got = columns(body)

    assert list(got) == ["labels", "time", *fields]
    assert got["labels"][1] == [f"cpu=cpu{n}, host=box" for n in range(13)]
    assert all(got[name] == ("float64", [n + 0.5 for n in range(13)]) for name in fields)


def test_the_order_of_fields_in_a_line_does_not_matter():
    one, other = convert("m,a=1,b=2 x=1,y=t,z=3i 7"), convert("m,b=2,a=1 z=3i,x=1,y=t 7")

    assert [frame.full_json() for frame in one] == [frame.full_json() for frame in other]


def test_a_dump_of_one_field_a_line():
    body = "".join(f"node_{name} {key}={n}\n" for n, key in enumerate("ab") for name in ("disk", "cpu", "fs"))

    assert [(frame.name, len(frame.fields), len(frame)) for frame in convert(body)] == [
        ("node_disk", 4, 2),
        ("node_cpu", 4, 2),
        ("node_fs", 4, 2),
    ]


_value = st.sampled_from(["1", "2i", "3u", "t", '"s"', '"NaN"', "1e300"])
_row = st.dictionaries(st.sampled_from("abcde"), _value, min_size=1)


@given(st.lists(st.tuples(st.sampled_from("mn"), _row), min_size=1, max_size=12))
def test_every_frame_is_rectangular_and_holds_what_was_written(rows):
    body = "\n".join(f"{name} " + ",".join(f"{key}={value}" for key, value in row.items()) for name, row in rows)

    for frame in convert(body):
        own = [row for name, row in rows if name == frame.name]
        for field in frame.fields[2:]:
            assert len(field.values) == len(own)
            first = next(row[field.name] for row in own if field.name in row)
            assert field.kind is {"t": Kind.BOOL, '"s"': Kind.STRING}.get(first, Kind.FLOAT)
            for row, value in zip(own, field.values, strict=True):
                assert value is None or type(value) is {"float64": float, "bool": bool, "string": str}[field.kind]
                assert value is None or field.name in row
        orjson.loads(frame.full_json())
