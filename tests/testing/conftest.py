"""The plugin's fixtures, which the package's entry point brings elsewhere, and rooms to be in."""

import pytest

import live
from live.handlers.registry import unregister
from live.testing.plugin import live_node, live_settings  # noqa: F401
from tests.client.rooms import ROOMS


@pytest.fixture
def rooms():
    for name, handler in ROOMS.items():
        live.register(name, None, handler)
    yield
    for name in ROOMS:
        unregister(name)
