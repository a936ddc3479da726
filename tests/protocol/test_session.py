"""Which command may come when: client-protocol §1.3, §1.4."""

import pytest

from live.exceptions import Disconnect, DisconnectCode
from live.protocol import Connect, Malformed, Session, Subscribe


def test_connect_comes_first_and_once():
    session = Session()
    with pytest.raises(Disconnect, match="connect first"):
        session.check(Subscribe(1, "a/b/c"))
    assert session.check(Connect(1)) == Connect(1)
    session.connect()
    assert session.connected
    assert session.check(Subscribe(2, "a/b/c"))
    with pytest.raises(Disconnect, match="3501 connected already"):
        session.check(Connect(3))


def test_a_violation_ends_the_connection_with_its_reason():
    with pytest.raises(Disconnect) as caught:
        Session().check(Malformed("binary message", DisconnectCode.INAPPROPRIATE_PROTOCOL))
    assert caught.value.code == 3506


def test_one_pong_for_one_ping():
    session = Session()
    with pytest.raises(Disconnect, match="unexpected pong"):
        session.pong()
    session.ping()
    assert session.awaiting_pong
    session.pong()
    assert not session.awaiting_pong
    with pytest.raises(Disconnect, match="unexpected pong"):
        session.pong()


def test_nothing_may_come_after_the_end():
    session = Session()
    session.connect()
    session.close()
    assert session.closed
    with pytest.raises(Disconnect):
        session.check(Subscribe(1, "a/b/c"))
