"""The runs of the corpus: what they reported, and what became of them."""

from __future__ import annotations

import csv
import gzip
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

CORPUS = Path(__file__).parents[1] / "corpus"
Half = Literal["build", "judge"]
HARM = ("harmed", "collapsed")
"""Labels of runs whose return went down and stayed there: by a fault, or by themselves."""


class Alarm(NamedTuple):
    """A method says that something is wrong."""

    step: int
    onset: int
    """Step from before which a checkpoint is taken to be good."""


class Sample(NamedTuple):
    """A finite value that was reported."""

    step: int
    value: float


class Row(NamedTuple):
    """An update (loss), or an episode that ended (reward)."""

    step: int
    loss: float | None
    reward: float | None


@dataclass(frozen=True)
class Run:
    """One of the corpus."""

    file: str
    environment: str
    half: Half
    label: str
    """healthy, harmed, collapsed, or harmless: a fault that did no lasting harm."""
    begun: int | None
    """Step at which the fault was put in; of a run that fell over by itself, the one at which it began to fall."""
    rows: Sequence[Row]
    fell: int | None = None
    """Step at which the return began to fall for good, and"""
    halved: int | None = None
    """the one at which half of what was learnt was gone; None: at once."""
    trainer: str = ""

    @property
    def is_harmed(self) -> bool:
        """Whether it is to be caught."""
        return self.label in HARM

    @cached_property
    def returns(self) -> list[Sample]:
        """Of episodes."""
        return [Sample(row.step, row.reward) for row in self.rows if row.reward is not None and _finite(row.reward)]

    @cached_property
    def losses(self) -> list[Sample]:
        """Of updates."""
        return [Sample(row.step, row.loss) for row in self.rows if row.loss is not None and _finite(row.loss)]

    @cached_property
    def not_finite(self) -> Alarm | None:
        """The first NaN or Inf of a series after a finite value; what gave the last finite one was good."""
        good: dict[str, int] = {}
        for row in self.rows:
            for name, value in (("loss", row.loss), ("reward", row.reward)):
                if value is None:
                    continue
                if _finite(value):
                    good[name] = row.step
                elif name in good:
                    return Alarm(row.step, good[name])
        return None

    def lag(self, alarm: Alarm, begun: int) -> tuple[int, int]:
        """Episodes and updates from a step until then."""
        return (
            _between([sample.step for sample in self.returns], begun, alarm.step),
            _between([row.step for row in self.rows if row.loss is not None], begun, alarm.step),
        )


def _between(steps: Sequence[int], after: int, until: int) -> int:
    return bisect_right(steps, until) - bisect_right(steps, after)


def _finite(value: float) -> bool:
    return math.isfinite(value)


def listed(half: Half, corpus: Path = CORPUS) -> list[dict[str, str]]:
    """The lines of the index about the runs of a half, without opening any run."""
    with (corpus / "index.csv").open(newline="") as file:
        return [line for line in csv.DictReader(file) if line["half"] == half]


def load(line: dict[str, str], corpus: Path = CORPUS) -> Run:
    """The run that a line of the index is about."""
    with gzip.open(corpus / line["file"], "rt", newline="") as file:
        rows = [Row(int(row["step"]), _value(row["loss"]), _value(row["reward"])) for row in csv.DictReader(file)]
    fell, halved = (line.get(key) for key in ("harm_step", "half_lost_step"))
    begun = fell if line["label"] == "collapsed" and fell else line["fault_step"]
    return Run(
        file=line["file"],
        environment=line["file"].partition("/")[0],
        half="judge" if line["half"] == "judge" else "build",
        label=line["label"],
        begun=int(begun) if begun else None,
        rows=rows,
        fell=int(fell) if fell else None,
        halved=int(halved) if halved else None,
        trainer=line.get("trainer", ""),
    )


def _value(text: str) -> float | None:
    return float(text) if text else None
