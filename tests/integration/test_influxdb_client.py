"""InfluxDB's own Python client writes to the demo with nothing but URL, token, org and bucket set."""

import asyncio
import math
import warnings
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    # Its dependencies warn while they are imported, about themselves.
    warnings.simplefilter("ignore")
    from influxdb_client import InfluxDBClient, Point, WritePrecision
    from influxdb_client.client.write_api import SYNCHRONOUS
    from influxdb_client.rest import ApiException

from live.frames import parse_lines


@contextmanager
def writer(site, **options):
    """The client's write API."""
    url = f"{site.url}/api/live/influx"
    with InfluxDBClient(url=url, token=options.pop("token", site.token), org="home", **options) as client:
        yield client.write_api(write_options=SYNCHRONOUS)


@pytest.mark.parametrize("gzip", [False, True])
async def test_a_point_arrives(site, gzip):
    bucket = f"influx-client-{gzip}"

    def write():
        with writer(site, enable_gzip=gzip) as api:
            point = Point("weather").tag("city", "Sao Paulo").field("temperature", 21.5).field("sky", 'a "bit" of blue')
            api.write(bucket=bucket, record=point.field("visitors", 3).time(1616403089, WritePrecision.S))
            api.write(
                bucket=bucket,
                record=["weather,city=Oslo temperature=1.5 1", {"measurement": "x", "fields": {"y": True}}],
            )

    async with site.connect() as peer:
        await peer.subscribe(f"stream/{bucket}/weather")
        await peer.subscribe(f"stream/{bucket}/x")
        await asyncio.to_thread(write)
        frames = [(await peer.publication())["data"] for _ in range(3)]
    assert frames[0]["data"]["values"] == [["city=Sao Paulo"], [1616403089000], ['a "bit" of blue'], [21.5], [3]]
    assert frames[1]["data"]["values"][2] == [1.5]
    assert frames[2]["data"]["values"][2] == [True]


def test_the_client_understands_what_is_wrong(site):
    with writer(site) as api, pytest.raises(ApiException) as caught:
        api.write(bucket="influx-client", record="no line protocol")
    assert caught.value.status == 400
    assert '"code":"invalid"' in caught.value.body
    with writer(site, token="0" * 40) as api, pytest.raises(ApiException) as caught:
        api.write(bucket="influx-client", record="m x=1")
    assert caught.value.status == 401


def test_the_client_finds_the_server_well(site):
    with InfluxDBClient(url=f"{site.url}/api/live/influx", token=site.token, org="home") as client:
        assert client.ping() is True
        assert client.version() == "1.8.10"
        with pytest.warns(DeprecationWarning, match="deprecated"):
            health = client.health()
        assert health.status == "pass"


# What the client leaves as it is makes another line, or none, than the one it was given: line ends outside of strings,
# a backslash before what it escapes itself, the reserved beginnings of names.
_plain = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r\t\\", exclude_categories=["Cc", "Cs"]), min_size=1
)
_names = _plain.filter(lambda text: text == text.strip() and not text.startswith(("#", "_")) and '"' not in text)
_paths = st.from_regex(r"[A-Za-z0-9_=./-]{1,40}", fullmatch=True).filter(lambda text: not text.startswith(("_", "#")))
_values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
)
# InfluxDB keeps the ends of the range for itself.
_times = st.one_of(st.none(), st.integers(-(2**63) + 2, 2**63 - 2))


@settings(deadline=None, max_examples=200)
@given(
    _paths.filter(lambda path: len(path) < 100 and "//" not in path),
    st.dictionaries(_names, _names, max_size=4),
    st.dictionaries(_names, _values, min_size=1, max_size=5),
    _times,
)
def test_what_a_point_writes_is_what_arrives(measurement, tags, fields, time):
    point = Point(measurement)
    for key, value in tags.items():
        point.tag(key, value)
    for key, value in fields.items():
        point.field(key, value)
    if time is not None:
        point.time(time, WritePrecision.NS)

    (line,) = parse_lines(point.to_line_protocol().encode())

    assert (line.measurement, line.tags, line.time) == (measurement, tags, time)
    assert line.fields.keys() == fields.keys()
    for key, value in fields.items():
        read = line.fields[key]
        assert type(read) is type(value)
        assert read == value or (isinstance(value, float) and math.isclose(read, value, rel_tol=1e-15))
