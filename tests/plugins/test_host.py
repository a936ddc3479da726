"""The plugin `host` tells what the machine does, and says what is missing where it cannot."""

import sys
from types import SimpleNamespace

import psutil
import pytest

import live
from live.plugins.host import HostPlugin, Readings
from tests.plugins.senders import collect, columns, request

METRICS = "plugin/host/metrics"


class Machine:
    """What `Readings` asks psutil for, with numbers of the test's."""

    def __init__(self):
        self.cpu = {"user": 100.0, "system": 50.0, "idle": 800.0, "iowait": 50.0, "guest": 40.0}
        self.net = SimpleNamespace(bytes_recv=1000, bytes_sent=500)
        self.disk_error = None

    def cpu_times(self):
        return SimpleNamespace(_asdict=lambda: dict(self.cpu))

    def net_io_counters(self):
        return self.net

    def virtual_memory(self):
        return SimpleNamespace(percent=33.3)

    def getloadavg(self):
        return 0.5, 0.4, 0.3

    def disk_usage(self, path):
        if self.disk_error:
            raise self.disk_error
        return SimpleNamespace(percent=61.0)


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def readings(machine):
    seconds = iter(range(10, 100, 2))
    return Readings(machine, lambda: next(seconds))


def test_shares_and_rates_are_over_the_time_between(machine, readings):
    machine.cpu |= {"user": 101.0, "system": 51.0, "idle": 805.0, "iowait": 51.0, "guest": 41.0}
    machine.net = SimpleNamespace(bytes_recv=3000, bytes_sent=600)
    assert readings.read() == {
        "cpu_percent": 25.0,  # 2 of 8 seconds; the guest's are in the user's
        "memory_percent": 33.3,
        "load1": 0.5,
        "net_recv_rate": 1000.0,
        "net_sent_rate": 50.0,
        "disk_used_percent": 61.0,
    }
    machine.net = SimpleNamespace(bytes_recv=10, bytes_sent=800)
    again = readings.read()
    assert again["cpu_percent"] == 0.0  # no time passed for the cores
    assert (again["net_recv_rate"], again["net_sent_rate"]) == (0.0, 100.0)  # a counter was reset


def test_what_the_machine_does_not_tell_is_null(machine, readings):
    machine.net = None
    machine.disk_error = PermissionError()
    told = readings.read()
    assert (told["net_recv_rate"], told["net_sent_rate"], told["disk_used_percent"]) == (None, None, None)
    machine.net = SimpleNamespace(bytes_recv=1, bytes_sent=1)
    assert readings.read()["net_recv_rate"] is None  # nothing to compare with yet


async def test_one_frame_a_second_of_the_real_machine():
    asked = []

    async def beat(seconds):
        asked.append(seconds)
        for now in (1, 2, 3, 4):
            yield now

    plugin = HostPlugin(beat)
    frames = await collect(plugin, request(METRICS), 3)
    assert asked == [1.0]
    assert [columns(frame)["Time"] for frame in frames] == [[1], [2], [3]]
    assert len({frame.schema_json() for frame in frames}) == 1
    (offer,) = plugin.offers(None)
    assert (offer.path, offer.minute_rate) == ("metrics", 60)
    assert offer.schema.schema_json() == frames[0].schema_json()
    values = columns(frames[0])
    assert 0 <= values["cpu_percent"][0] <= 100
    assert values["memory_percent"][0] == pytest.approx(psutil.virtual_memory().percent, abs=20)
    assert values["disk_used_percent"][0] == pytest.approx(psutil.disk_usage("/").percent, abs=5)
    assert {field.labels["host"] for field in frames[0].fields[1:]} == {plugin._host}


async def test_everybody_may_watch_and_nobody_publish():
    plugin = HostPlugin()
    assert (await plugin.subscribe_stream(request(METRICS))).status is live.StreamStatus.OK
    assert (await plugin.publish_stream(request(METRICS))).status is live.StreamStatus.PERMISSION_DENIED


async def test_another_path_is_not_found():
    asked = request("plugin/host/cpu")
    assert (await HostPlugin().subscribe_stream(asked)).status is live.StreamStatus.NOT_FOUND
    with pytest.raises(live.NotFound, match="metrics"):
        await collect(HostPlugin(), asked, 1)


async def test_without_psutil_there_is_no_stream_and_the_answer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    plugin = HostPlugin()
    answer = await plugin.subscribe_stream(request(METRICS))
    assert answer.status is live.StreamStatus.NOT_FOUND
    assert 'pip install "channels-live[host]"' in answer.message
    assert plugin.offers(None) == ()
    with pytest.raises(live.NotFound, match="psutil"):
        await collect(plugin, request(METRICS), 1)
