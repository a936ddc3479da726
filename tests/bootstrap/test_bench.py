"""The benchmark's arithmetic and its page; the measuring itself is `make bench`."""

import contextlib
import os
import signal
import subprocess
import sys

import psutil
import pytest

from bench import __main__ as bench
from bench.measure import LIVE, STOCK, Result
from tests.cluster.process import uncovered_environment


def result(server, subscribers, cpu_us):
    return Result(
        server=server,
        subscribers=subscribers,
        publications=160,
        deliveries=160 * subscribers - 4,
        deliveries_per_second=20.0 * subscribers,
        p50_ms=1.25,
        p99_ms=2.5,
        cpu_us=cpu_us,
        idle_share=0.01,
        memory_kib=31.6,
    )


@pytest.fixture
def results():
    return [result(server, number, cpu) for number in bench.SUBSCRIBERS for server, cpu in ((LIVE, 10), (STOCK, 95))]


def test_the_table_has_a_row_for_each_run(results):
    lines = bench.deliveries_table(results).splitlines()
    assert len(lines) == 2 + len(results)
    assert lines[-1] == "| 1,000 | stock | 20,000 | 1.25 | 2.50 | 95.0 | 1.0 | 32 | 4 |"
    assert {line.count("|") for line in lines} == {10}


def test_the_ratio_is_that_of_the_cpu_time_of_a_delivery(results):
    assert bench.ratios(results) == dict.fromkeys(bench.SUBSCRIBERS, 9.5)


def test_the_page_keeps_what_is_around_the_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "PAGE", tmp_path / "docs" / "performance.md")
    bench.write("part", "first")
    bench.write("other", "stays")
    bench.PAGE.write_text(bench.PAGE.read_text() + "\nWhat it means.\n")
    bench.write("part", "second \\1")
    page = bench.PAGE.read_text()
    assert page.startswith("# Performance\n")
    assert page.endswith("\nWhat it means.\n")
    assert "second \\1" in page
    assert "first" not in page
    assert "stays" in page


def test_the_conditions_name_what_the_numbers_depend_on():
    words = bench.conditions()
    for name in ("cores", "Python", "daphne", "orjson"):
        assert name in words


def start(what, folder):
    """`make bench WHAT=<what>` with little to do, in a process group of its own."""
    environment = {**uncovered_environment(), "WHAT": what, "SCALE": "0.01", "TMPDIR": str(folder)}
    # What the tests' own settings and a Redis of this machine say is not meant.
    for name in ("DJANGO_SETTINGS_MODULE", "LIVE_REDIS_URL", "LIVE_REDIS_SENTINELS", "WRITE"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "bench"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=bench.ROOT, env=environment, start_new_session=True, **pipes)


def left_of(group):
    """The processes of the group that are still there."""
    return [process.info for process in psutil.process_iter(["pid", "cmdline", "status"]) if in_group(process, group)]


def in_group(process, group):
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(process.pid) == group
    return False


@pytest.mark.timeout(300)
def test_the_clusters_part_measures_everything_and_leaves_nothing(tmp_path):
    process = start("cluster", tmp_path)
    try:
        output, errors = process.communicate(timeout=280)
        # Goals may be missed: this machine is doing something else.
        assert process.returncode in (0, 1), errors
        rows = [line for line in output.splitlines() if line.startswith("|")]
        assert len(rows) == 2 + 16, errors
        for words in ("of that, missing | 0 |", "Redis commands a publication", "`live.publish_many`", " 0 lost"):
            assert any(words in row for row in rows), output
        assert sum("clients of one node return" in row for row in rows) == 2
        assert left_of(process.pid) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.timeout(480)
def test_the_limits_part_measures_everything_on_both_servers(tmp_path):
    process = start("limits", tmp_path)
    try:
        output, errors = process.communicate(timeout=460)
        # Goals are missed with so few clients; what has to arrive arrives all the same.
        assert process.returncode in (0, 1), errors
        tables = output.split("| limits on ")[1:]
        assert [table.split(" ")[0] for table in tables] == ["daphne", "uvicorn"], errors
        for table in tables:
            assert sum(line.startswith("|") for line in table.splitlines()) == 1 + 31, table
            assert table.count("lost by the others | 0 | none | met |") == 2, table
            # Who reads nothing is closed with the code that says so, where its queue is full.
            assert "1 with 3008, 0 with 3012" in table, table
            assert table.count(" µs, 0 lost |") == 2, table
        assert left_of(process.pid) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.timeout(240)
def test_a_stopped_benchmark_ends_everything_it_started(tmp_path):
    process = start("cluster", tmp_path)
    try:
        # From then on two nodes run beside Redis.
        assert "two nodes …\n" in process.stderr
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert left_of(process.pid) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
