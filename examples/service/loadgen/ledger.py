"""The books of a load run: what was asked, who answered, what failed, and how long it took."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 10
"""How many failures, the latest ones, are kept word for word."""


class Latencies:
    """A histogram of latencies in seconds, exact to 1 %, of constant size however long the run."""

    _BASE = math.log(1.02)

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._count = 0
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Counts one latency."""
        self._buckets[round(math.log(max(seconds, 1e-6)) / self._BASE)] += 1
        self._count += 1
        self._longest = max(self._longest, seconds)

    def quantile(self, share: float) -> float:
        """The latency in seconds that `share` (0 to 1) of all stay within; 0 without any."""
        remaining = share * self._count
        for bucket in sorted(self._buckets):
            remaining -= self._buckets[bucket]
            if remaining <= 0:
                return min(math.exp(bucket * self._BASE), self._longest)
        return self._longest

    def summary(self) -> dict[str, float]:
        """Quantiles and maximum in milliseconds."""
        quantiles = {f"p{share}": self.quantile(share / 100) for share in (50, 90, 99)}
        return {name: round(seconds * 1000, 2) for name, seconds in {**quantiles, "max": self._longest}.items()}


@dataclass
class Ledger:
    """Counts of one run. A request is either answered (with the mode that did) or failed (with the kind of failure)."""

    modes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EXAMPLES))
    sessions: int = 0
    sticky_violations: int = 0
    latencies: dict[str, Latencies] = field(default_factory=dict)
    overall: Latencies = field(default_factory=Latencies)

    @property
    def answered(self) -> int:
        """Requests that a mode answered with 200."""
        return self.modes.total()

    @property
    def failed(self) -> int:
        """Requests that got no answer, or another one than 200."""
        return self.failures.total()

    def answer(self, mode: str, seconds: float) -> None:
        """Counts an answer of `mode` after `seconds`."""
        self.modes[mode] += 1
        self.overall.add(seconds)
        self.latencies.setdefault(mode, Latencies()).add(seconds)

    def failure(self, kind: str, detail: str, at: float) -> None:
        """Counts a failure, at Unix time `at`."""
        self.failures[kind] += 1
        self._example(kind, detail, at)

    def strayed(self, expected: str, mode: str, at: float) -> None:
        """Counts an answer that left its session's mode."""
        self.sticky_violations += 1
        self._example("sticky", f"the session's mode is {expected}, {mode} answered", at)

    def _example(self, kind: str, detail: str, at: float) -> None:
        self.examples.append({"at": round(at, 3), "kind": kind, "detail": detail})

    def progress(self, elapsed: float, at: float) -> dict[str, Any]:
        """The running totals, as one line."""
        return {
            "event": "progress",
            "at": round(at, 3),
            "elapsed": round(elapsed, 2),
            "answered": self.answered,
            "failed": self.failed,
            "stickyViolations": self.sticky_violations,
            "modes": dict(sorted(self.modes.items())),
            "failures": dict(self.failures),
            "examples": list(self.examples),
        }

    def report(self, elapsed: float, at: float) -> dict[str, Any]:
        """The whole run. Shares are in percent of all answers, latencies in milliseconds."""
        answered = self.answered
        return {
            **self.progress(elapsed, at),
            "event": "report",
            "shares": {mode: round(100 * count / answered, 3) for mode, count in sorted(self.modes.items())},
            "sessions": self.sessions,
            "rate": round(answered / elapsed, 1) if elapsed > 0 else 0.0,
            "latencyMs": self.overall.summary(),
            "modeLatencyMs": {mode: latencies.summary() for mode, latencies in sorted(self.latencies.items())},
        }
