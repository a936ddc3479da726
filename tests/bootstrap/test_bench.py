"""The benchmark's arithmetic and its page; the measuring itself is `make bench`."""

import pytest

from bench import __main__ as bench
from bench.measure import LIVE, STOCK, Result


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
    lines = bench.table(results).splitlines()
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
