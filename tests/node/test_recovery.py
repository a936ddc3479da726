"""The verdict on what a client that comes back missed."""

import pytest

from live.node.recovery import MAX_BYTES, MAX_PUBLICATIONS, Recovery, fitting, judge
from live.store import Position, Publication


def run(first, last, size=1):
    return [Publication(b"x" * size, offset, "e") for offset in range(first, last + 1)]


TOP = Position(9, "e")


@pytest.mark.parametrize(
    ("since", "found", "recovered"),
    [
        pytest.param(Position(5, "e"), run(6, 9), True, id="all that was missed"),
        pytest.param(Position(5, ""), run(6, 9), True, id="no epoch is any epoch"),
        pytest.param(Position(9, "e"), [], True, id="nothing missed"),
        pytest.param(Position(5, "other"), [], False, id="another life of the stream"),
        pytest.param(Position(5, "e"), run(7, 9), False, id="the first is gone"),
        pytest.param(Position(5, "e"), [], False, id="all are gone"),
        pytest.param(Position(12, "e"), [], False, id="ahead of the store, which lost something"),
        pytest.param(Position(5, "e"), run(6, 8), False, id="not up to the top"),
        pytest.param(Position(0, "e"), run(1, 9, MAX_BYTES // 8), False, id="too large for a reply"),
    ],
)
def test_a_client_is_recovered_when_nothing_is_missing(since, found, recovered):
    assert judge(since, found, TOP) == Recovery(recovered, found if recovered else [])


def test_more_than_fit_into_a_reply_are_not_recovered():
    found = run(1, MAX_PUBLICATIONS + 1)
    top = Position(MAX_PUBLICATIONS + 1, "e")
    assert not judge(Position(0, "e"), found, top).recovered
    assert judge(Position(1, "e"), found[1:], top).recovered


def test_more_than_a_client_may_have_waiting_is_not_recovered():
    assert not judge(Position(5, "e"), run(6, 9, 100), TOP, max_bytes=399).recovered
    assert judge(Position(5, "e"), run(6, 9, 100), TOP, max_bytes=400).recovered


def test_a_page_holds_what_fits_and_one_at_least():
    assert fitting(run(1, 3, MAX_BYTES // 2)) == run(1, 2, MAX_BYTES // 2)
    assert fitting(run(1, 2, MAX_BYTES + 1)) == run(1, 1, MAX_BYTES + 1)
    assert fitting([]) == []
