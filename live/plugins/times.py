"""How often the runner does what, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """All in seconds, but for `looks`. A node that dies is replaced within `lease` + `round`."""

    lease: float = 6.0
    """How long a lease lasts that is not renewed."""
    margin: float = 1.0
    """How much sooner its owner stops to count on it."""
    round: float = 2.0
    """Between two rounds: leases are renewed, or asked for where another node has them."""
    look: float = 5.0
    """Between two looks at whether anybody watches."""
    looks: int = 3
    """Looks in a row that find nobody, with which a run is stopped."""
    cancel: float = 5.0
    """How long a cancelled run may take to end."""
    sources: float = 60.0
    """Between two comparisons of the data sources' settings, in case a message was lost."""
    stop: float = 0.5
    """How long a node that stops waits for runs to end; twice as long for the store."""


TIMES = Times()
