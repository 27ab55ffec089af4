"""A model that fails behind mode creative, as Prometheus counts it."""

from __future__ import annotations

from typing import Any

from tests.prometheus.rig import Exporter, Request, answer


class Failing(Exporter):
    """A service whose mode creative has failed so often within the window."""

    failures = 0

    def show(self, request: Request) -> None:
        lines = ["# TYPE failures_now gauge", f'failures_now{{mode="creative"}} {self.failures}']
        answer(request, "\n".join(lines) + "\n", kind="text/plain; version=0.0.4")


def breaker(cooldown: str) -> dict[str, Any]:
    """A circuit breaker that asks for these failures, and gives the share to balanced."""
    return {
        "mode": "creative",
        "window": "2s",
        "cooldown": cooldown,
        "shiftTo": [{"mode": "balanced", "weight": 100}],
        "query": 'failures_now{mode="$mode"}',
    }
