"""A trainer as Prometheus sees it, written down scrape by scrape."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.domain.checkpoint.subject import Subject
from accord.domain.samples import Answer, Series

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVERY = timedelta(seconds=15)


def policy(**spec: Any) -> CheckpointPolicy:
    return CheckpointPolicy.model_validate(
        {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"trainingRunRef": {"name": "r"}, **spec}}
    )


def subject(since: datetime | None = None, attempt: int | None = 1, **spec: Any) -> Subject:
    return Subject(policy(**spec), attempt, since)


@dataclass
class Trainer:
    """150 steps and 5 episodes between two scrapes, an update of 32 minibatches at each third."""

    pod: str = "r-1-abcde"
    step: int = 0
    at: datetime = START
    sums: bool = True
    reward: float = 20.0
    loss: float = 1.0
    approx_kl: float = 0.01
    explained_variance: float = 0.8
    labels: dict[str, str] = field(default_factory=dict)
    reports: tuple[str, ...] = ("loss", "reward")
    _values: dict[str, float] = field(default_factory=dict)
    _points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _chance: random.Random = field(default_factory=lambda: random.Random(1))

    def scrape(self, times: int = 1) -> Trainer:
        """Go on, and be looked at."""
        for _ in range(times):
            self.step += 150
            self.at += EVERY
            for _ in range(5):
                self._add("reward", self.reward * self._chance.uniform(0.8, 1.2))
            if self.step % 450 == 0:
                self._values["ppo_updates_total"] = self._values.get("ppo_updates_total", 0) + 1
                for _ in range(32):
                    self._add("loss", self.loss * self._chance.uniform(0.9, 1.1))
                # As others that a trainer may report: only where they are asked for.
                if "approx_kl" in self.reports:
                    self._add("approx_kl", self.approx_kl * self._chance.uniform(0.8, 1.2))
                if "explained_variance" in self.reports:
                    self._add("explained_variance", self.explained_variance + self._chance.uniform(-0.1, 0.1))
            self._values["ppo_training_step"] = self.step
            if self.step >= 450:
                self._values["ppo_checkpoint_step"] = self.step - self.step % 450
                self._values["checkpoint_saves_total"] = self.step // 450
            self._show()
        return self

    def restart(self, step: int) -> Trainer:
        """The process starts anew from a checkpoint; the sums of a trainer without state begin at 0."""
        self.step = step
        self._values = {}
        return self

    def quiet(self, times: int) -> Trainer:
        """It goes on, but is not scraped."""
        shown, self._points = self._points, {}
        self.scrape(times)
        self._points = shown
        return self

    def series(self) -> tuple[Series, ...]:
        labels = {"namespace": "ns", "pod": self.pod, **self.labels}
        return tuple(Series({"__name__": name, **labels}, tuple(points)) for name, points in self._points.items())

    def answer(self) -> Answer:
        return Answer(series=self.series())

    def _add(self, name: str, value: float) -> None:
        if name not in self.reports:
            return
        self._values[f"ppo_{name}"] = value
        for part, grown in (("sum", value), ("count", 1), ("sumsq", value * value)):
            key = f"ppo_{name}_{part}"
            self._values[key] = self._values.get(key, 0) + grown

    def _show(self) -> None:
        for name, value in self._values.items():
            if self.sums or not name.endswith(("_sum", "_count", "_sumsq")):
                self._points.setdefault(name, []).append((self.at.timestamp(), value))
