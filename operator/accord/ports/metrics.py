"""Questions to a metrics system."""

from __future__ import annotations

from typing import Protocol

from accord.domain.samples import Answer, Shape


class Metrics(Protocol):
    """A named metrics endpoint."""

    async def query(self, endpoint: str, promql: str, shape: Shape = "vector", author: str | None = None) -> Answer:
        """Evaluate `promql` now at the endpoint of that name. With shape `matrix` it must be a range selector, and the
        raw samples come as series. `author` is the namespace whose people wrote the question; None where it is
        Accord's own. Never raises for anything that the other side does.
        """
