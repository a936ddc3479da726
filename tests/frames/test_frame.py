"""Frame JSON: what each sentence of grafana-live §4.1 says, and that no value is lost or turned into wrong JSON."""

import json
from math import inf, nan

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.frames import Field, Frame, Kind

T0 = 1_616_403_089_000_000_000


def test_the_worked_example_byte_for_byte():
    frame = Frame(
        name="cpu",
        fields=[
            Field("labels", Kind.STRING, ["host=a"]),
            Field("time", Kind.TIME, [T0]),
            Field("idle", Kind.FLOAT, [98.0], nullable=True),
            Field("usage", Kind.FLOAT, [1.5], nullable=True),
        ],
    )
    schema = (
        b'{"name":"cpu","fields":[{"name":"labels","type":"string","typeInfo":{"frame":"string"}},'
        b'{"name":"time","type":"time","typeInfo":{"frame":"time.Time"}},'
        b'{"name":"idle","type":"number","typeInfo":{"frame":"float64","nullable":true}},'
        b'{"name":"usage","type":"number","typeInfo":{"frame":"float64","nullable":true}}]}'
    )
    data = b'{"values":[["host=a"],[1616403089000],[98],[1.5]]}'

    assert frame.schema_json() == b'{"schema":' + schema + b"}"
    assert frame.data_json() == b'{"data":' + data + b"}"
    assert frame.full_json() == b'{"schema":' + schema + b',"data":' + data + b"}"


@pytest.mark.parametrize(
    ("kind", "value", "js_type", "encoded"),
    [
        (Kind.TIME, T0, "time", 1616403089000),
        (Kind.FLOAT, 2.5, "number", 2.5),
        (Kind.BOOL, True, "boolean", True),
        (Kind.STRING, "up", "string", "up"),
        (Kind.JSON, {"b": [1]}, "other", {"b": [1]}),
    ],
)
def test_each_kind_has_its_type_and_value(kind, value, js_type, encoded):
    message = orjson.loads(Frame([Field("f", kind, [value])]).full_json())

    assert message["schema"] == {"fields": [{"name": "f", "type": js_type, "typeInfo": {"frame": kind.value}}]}
    assert message["data"] == {"values": [[encoded]]}


def test_schema_has_name_ref_id_meta_and_fields_in_this_order():
    frame = Frame(name="n", ref_id="A", meta={"z": 1, "a": {"y": 2, "b": 3}})

    assert frame.schema_json() == (b'{"schema":{"name":"n","refId":"A","meta":{"a":{"b":3,"y":2},"z":1},"fields":[]}}')


def test_what_is_not_given_is_absent():
    assert Frame().full_json() == b'{"schema":{"fields":[]},"data":{"values":[]}}'


def test_field_keys_come_in_order_and_labels_sorted():
    field = Field("v", Kind.FLOAT, [], nullable=True, labels={"zone": "b", "host": "a"}, config={"unit": "s", "max": 1})

    assert list(field.schema()) == ["name", "type", "typeInfo", "labels", "config"]
    assert b'"labels":{"host":"a","zone":"b"},"config":{"max":1,"unit":"s"}' in Frame([field]).schema_json()


def test_empty_labels_are_kept():
    assert b'"labels":{}' in Frame([Field("v", Kind.FLOAT, [], labels={})]).schema_json()


def test_schema_bytes_do_not_depend_on_the_order_of_labels():
    one = Frame([Field("v", Kind.FLOAT, [1.0], labels={"a": "1", "b": "2"})])
    other = Frame([Field("v", Kind.FLOAT, [9.0], labels={"b": "2", "a": "1"})])

    assert one.schema_json() == other.schema_json()


@pytest.mark.parametrize(
    "changed",
    [
        Frame([Field("w", Kind.FLOAT, [1.0])], name="n"),
        Frame([Field("v", Kind.BOOL, [True])], name="n"),
        Frame([Field("v", Kind.FLOAT, [1.0], nullable=True)], name="n"),
        Frame([Field("v", Kind.FLOAT, [1.0], labels={"a": "b"})], name="n"),
        Frame([Field("v", Kind.FLOAT, [1.0], config={"unit": "s"})], name="n"),
        Frame([Field("v", Kind.FLOAT, [1.0]), Field("w", Kind.FLOAT, [1.0])], name="n"),
        Frame([Field("v", Kind.FLOAT, [1.0])], name="m"),
        Frame([Field("v", Kind.FLOAT, [1.0])], name="n", meta={"a": 1}),
    ],
)
def test_any_change_of_what_the_columns_are_changes_the_schema_bytes(changed):
    assert changed.schema_json() != Frame([Field("v", Kind.FLOAT, [1.0])], name="n").schema_json()


def test_columns_have_one_length():
    with pytest.raises(ValueError, match=r"one length, not \[1, 2\]"):
        Frame([Field("a", Kind.FLOAT, [1.0]), Field("b", Kind.FLOAT, [1.0, 2.0])])


def test_length_is_the_number_of_rows():
    assert len(Frame([Field("a", Kind.FLOAT, [1.0, 2.0])])) == 2
    assert len(Frame()) == 0


def test_some_rows_of_a_frame_have_its_schema():
    frame = Frame(
        [Field("v", Kind.FLOAT, [1.0, None, 3.0], nullable=True), Field("s", Kind.STRING, ["a", "b", "c"])], name="n"
    )
    part = frame.rows(1, 5)

    assert part.schema_json() == frame.schema_json()
    assert part.data_json() == b'{"data":{"values":[[null,3],["b","c"]]}}'
    assert len(frame) == 3


def test_nanos_hold_what_milliseconds_cannot():
    frame = Frame(
        [Field("time", Kind.TIME, [1_625_783_151_607_273_170, T0]), Field("v", Kind.FLOAT, [1.0, None], nullable=True)]
    )

    assert frame.data_json() == (
        b'{"data":{"values":[[1625783151607,1616403089000],[1,null]],"nanos":[[273170,0],null]}}'
    )


def test_no_nanos_where_no_time_has_a_remainder():
    assert frame_data([Field("time", Kind.TIME, [T0, None], nullable=True)]) == {"values": [[1616403089000, None]]}


def test_nanos_before_1970_count_up_from_the_millisecond():
    assert frame_data([Field("time", Kind.TIME, [-1])]) == {"values": [[-1]], "nanos": [[999999]]}


def test_entities_tell_what_json_has_no_number_for():
    frame = Frame(
        [
            Field("time", Kind.TIME, [T0 + 1] * 5),
            Field("v", Kind.FLOAT, [nan, 1.0, inf, -inf, nan]),
            Field("w", Kind.FLOAT, [None, 2.0, 3.0, 4.0, 5.0]),
        ]
    )

    assert frame.data_json() == (
        b'{"data":{"values":[[1616403089000,1616403089000,1616403089000,1616403089000,1616403089000],'
        b"[null,1,null,null,null],[null,2,3,4,5]],"
        b'"entities":[null,{"NaN":[0,4],"Inf":[2],"NegInf":[3]},null],'
        b'"nanos":[[1,1,1,1,1],null,null]}}'
    )


def test_only_the_entities_that_occur_are_named():
    assert frame_data([Field("v", Kind.FLOAT, [inf])])["entities"] == [{"Inf": [0]}]


@pytest.mark.parametrize(
    ("values", "encoded"),
    [
        ([], b"[]"),
        ([1.0], b"[1]"),
        ([1.0, 10.0, 100.5], b"[1,10,100.5]"),
        ([0.0, -0.0, 1e15, 5e-324], b"[0,-0,1000000000000000,5e-324]"),
        ([2.05, 20.0], b"[2.05,20]"),
    ],
)
def test_whole_numbers_go_out_without_a_fraction(values, encoded):
    assert Frame([Field("v", Kind.FLOAT, values)]).data_json() == b'{"data":{"values":[' + encoded + b"]}}"


def test_text_that_looks_like_a_whole_number_stays():
    assert frame_data([Field("v", Kind.STRING, ["1.0", "[2.0,3.0]"])]) == {"values": [["1.0", "[2.0,3.0]"]]}


@given(st.lists(st.none() | st.floats(), max_size=20))
def test_every_float_comes_back(values):
    data = frame_data([Field("v", Kind.FLOAT, values, nullable=True)])

    read = data["values"][0]
    for row, (sent, received) in enumerate(zip(values, read, strict=True)):
        if received is None and sent is not None:
            entity = "NaN" if sent != sent else "Inf" if sent > 0 else "NegInf"
            assert row in data["entities"][0][entity]
        else:
            assert received == sent


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_every_time_comes_back(times):
    data = frame_data([Field("time", Kind.TIME, times)])

    nanos = data["nanos"][0] if "nanos" in data else [0] * len(times)
    assert [ms * 1_000_000 + rest for ms, rest in zip(data["values"][0], nanos, strict=True)] == times
    assert all(0 <= rest < 1_000_000 for rest in nanos)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(values, name):
    message = json.loads(Frame([Field(name, Kind.STRING, values)]).full_json())

    assert message["schema"]["fields"][0]["name"] == name
    assert message["data"]["values"] == [values]


def frame_data(fields):
    return orjson.loads(Frame(fields).data_json())["data"]
