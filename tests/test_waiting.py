"""Waiting for an answer: what is late because this process stood still is not held against who answered."""

import asyncio
import socket
import time

import pytest

from live.waiting import EXTENSIONS, within

LIMIT = 0.15


async def hold_up(seconds=LIMIT + 0.15):
    """Blocks the loop past the limit, as bad code does."""
    await asyncio.sleep(0)
    time.sleep(seconds)  # noqa: ASYNC251 - that is what it is for


@pytest.fixture
async def line():
    """Who asks (a reader), and who answers (a socket)."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    yield reader, theirs
    theirs.close()
    writer.close()
    await writer.wait_closed()


async def test_an_answer_in_time_is_taken(line):
    reader, other = line
    other.send(b"yes\n")
    async with within(60):
        assert await reader.readline() == b"yes\n"


async def test_no_answer_is_a_timeout(line):
    reader, _ = line
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with within(LIMIT):
            await reader.readline()
    assert time.monotonic() - began >= LIMIT


async def test_an_answer_that_came_while_the_loop_was_held_up_is_taken(line):
    reader, other = line
    other.send(b"yes\n")
    async with within(LIMIT):
        # Not read yet: the loop learns at once that there is an answer and that the time is over.
        time.sleep(LIMIT + 0.15)  # noqa: ASYNC251 - as bad code does
        assert await reader.readline() == b"yes\n"


async def test_a_loop_that_is_always_held_up_waits_a_limited_time(line):
    reader, _ = line
    times = 0

    async def block_again_and_again():
        nonlocal times
        while True:
            times += 1
            await hold_up()

    blocking = asyncio.create_task(block_again_and_again())
    with pytest.raises(TimeoutError):
        async with within(LIMIT):
            await reader.readline()
    blocking.cancel()
    # Two a time, as the timer takes a turn of the loop after it is due, and what ends the waiting takes three.
    assert EXTENSIONS <= times <= 2 * (EXTENSIONS + 1) + 3


async def test_being_cancelled_is_no_timeout(line):
    reader, _ = line

    async def wait():
        async with within(60):
            await reader.readline()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
