"""The pytest plugin: comes with the package, by its entry point. Imports nothing of Django before a fixture is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from live.testing.isolation import IsolatedNode


@pytest.fixture
def live_settings() -> dict[str, Any]:
    """Keys of ``LIVE`` that `live_node` lays over the project's; define a fixture of this name to give some."""
    return {}


@pytest.fixture
def live_node(request: pytest.FixtureRequest, live_settings: dict[str, Any]) -> Iterator[IsolatedNode]:
    """A node for this test alone, with an empty store in memory; see `live.testing.IsolatedNode`."""
    from live.testing.isolation import IsolatedNode

    # Until the node has stopped it may be reading the database, which a test's end could not empty meanwhile.
    if "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
    with IsolatedNode(**live_settings) as node:
        yield node
