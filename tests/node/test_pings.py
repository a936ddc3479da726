"""The wheel that pings all clients."""

import asyncio

import pytest

from live.node import pings as pings_module
from live.node.pings import SLOTS, Pings
from tests.peers import until


class Client:
    def __init__(self):
        self.log = []

    def ping(self):
        self.log.append("ping")

    def check_pong(self):
        self.log.append("pong?")


@pytest.fixture
def wheel(monkeypatch):
    """A wheel that a test turns by hand."""
    pings = Pings(interval=25, timeout=10)
    monkeypatch.setattr(pings, "_wait", lambda: None)
    return pings


def turn(pings, ticks):
    for _ in range(ticks):
        pings._turn()


async def test_the_first_ping_comes_in_the_second_half_of_the_interval_and_then_always(wheel):
    clients = [Client() for _ in range(300)]
    for client in clients:
        wheel.add(client)
    turn(wheel, SLOTS // 2 - 1)
    assert not any("ping" in client.log for client in clients)
    turn(wheel, SLOTS // 2)
    assert all(client.log.count("ping") == 1 for client in clients)
    turn(wheel, SLOTS)
    assert all(client.log.count("ping") == 2 for client in clients)


async def test_nobody_is_asked_for_a_pong_before_its_time(wheel, monkeypatch):
    monkeypatch.setattr(pings_module.random, "randrange", lambda low, high: low)
    client = Client()
    wheel.add(client)
    turn(wheel, SLOTS // 2)
    client.log.clear()
    # 10 of 25 seconds are 40 of 100 ticks.
    turn(wheel, 40)
    assert client.log == []
    turn(wheel, 1)
    assert client.log == ["pong?"]


async def test_clients_that_came_together_are_not_pinged_together(wheel):
    clients = [Client() for _ in range(1000)]
    for client in clients:
        wheel.add(client)
    sizes = [len(slot) for slot in wheel._slots]
    assert max(sizes) < 100


async def test_who_is_gone_is_not_pinged_and_an_empty_wheel_stands():
    pings = Pings(interval=0.5, timeout=0.1)
    stays, goes = Client(), Client()
    pings.add(stays)
    pings.add(goes)
    pings.remove(goes)
    pings.remove(goes)
    await until(lambda: "ping" in stays.log)
    assert goes.log == []
    pings.remove(stays)
    assert len(pings) == 0
    assert pings._timer is None
    assert not any(pings._slots)


async def test_a_process_that_was_held_up_does_not_make_up_for_the_turns_it_missed(monkeypatch):
    loop, dues = asyncio.get_running_loop(), []
    client, pings = Client(), Pings(interval=25, timeout=10)
    real = loop.time
    with monkeypatch.context() as held_up:
        held_up.setattr(loop, "call_at", lambda due, call: dues.append(due))
        pings.add(client)
        held_up.setattr(loop, "time", lambda: real() + 60)
        turn(pings, 3)
    assert dues[1] - dues[0] > 59
    assert dues[3] - dues[1] >= 2 * 25 / SLOTS - 0.001


async def test_no_interval_no_pings():
    pings = Pings(interval=0, timeout=10)
    pings.add(Client())
    assert len(pings) == 0
    await asyncio.sleep(0)


def pinged(monkeypatch, seconds):
    """A wheel that a test turns, whose pongs are due after so many seconds, and its client, that was just pinged."""
    monkeypatch.setattr(pings_module.random, "randrange", lambda low, high: low)
    wheel = Pings(interval=25, timeout=seconds)
    monkeypatch.setattr(wheel, "_wait", lambda: None)
    client = Client()
    wheel.add(client)
    turn(wheel, SLOTS // 2)
    assert client.log[-1] == "ping"
    client.log.clear()
    return wheel, client


@pytest.mark.parametrize("seconds", [24.74, 24.75, 24.76, 24.9, 24.999])
async def test_a_timeout_of_nearly_the_interval_ends_right_before_the_next_ping(monkeypatch, seconds):
    """A tick later, the pong that is asked for would be that of the next ping."""
    wheel, client = pinged(monkeypatch, seconds)
    turn(wheel, SLOTS - 1)
    assert client.log == []
    turn(wheel, 1)
    assert client.log == ["pong?", "ping"]


@pytest.mark.parametrize("seconds", [0.01, 0.25, 0.26, 10, 24.5])
async def test_nobody_has_less_than_the_whole_time_nor_two_ticks_more(monkeypatch, seconds):
    wheel, client = pinged(monkeypatch, seconds)
    ticks = 0
    while "pong?" not in client.log:
        turn(wheel, 1)
        ticks += 1
    assert seconds < ticks * 0.25 <= seconds + 0.5
