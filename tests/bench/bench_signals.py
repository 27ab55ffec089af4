"""How often the signals that are never proof are wrong, and what they see: approximate KL and explained variance.

    PYTHONPATH=.:operator:trainer .venv/bin/python tests/bench/bench_signals.py [--runs 500] [--workers 2] [--write]

Each by itself, with the defaults but enabled, judged by the operator's code at each update. Synthetic trainings first:
60 updates of 500 steps, healthy, and with a fault from the 40th on. Then the recorded runs of the half of `corpus` to
build on; the other half is not looked at. Prints Markdown; `--write` puts it into the docs.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from tests.bench.methods.recorded import CORPUS, listed

from accord.api.v1alpha1.checkpointpolicy import Detection
from accord.domain.checkpoint.detection.history import History
from accord.domain.checkpoint.detection.series import Moment, Name, Report, Segment
from accord.domain.checkpoint.detection.signals import SIGNALS, Signal

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/detection.md"
MARKS = ("<!-- signals: begin -->\n", "<!-- signals: end -->\n")
JUDGED = [signal for signal in SIGNALS if not signal.is_proof]
COLUMNS: Mapping[Name, str] = {"approx_kl": "kl", "explained_variance": "explained_variance"}
"""Of the corpus."""
UPDATES, FAULT, STEPS = 60, 40, 500
Rng = np.random.Generator
Point = tuple[int, float]
"""Step and value."""


@dataclass
class Count:
    """Of runs of one sort."""

    runs: int = 0
    early: int = 0
    """Suspect at some time: without a fault, or before it."""
    seen: int = 0
    """Suspect after the fault."""
    looks: int = 0
    suspect: int = 0
    """Of the looks."""
    lags: list[int] = field(default_factory=list)
    """In updates."""

    def __add__(self, other: Count) -> Count:
        return Count(
            self.runs + other.runs,
            self.early + other.early,
            self.seen + other.seen,
            self.looks + other.looks,
            self.suspect + other.suspect,
            self.lags + other.lags,
        )


def judged(signal: Signal, points: Sequence[Point], fault: int | None) -> Count:
    """One run, looked at after each update. `fault` is a step."""
    rule = signal.rule(Detection()).model_copy(update={"enabled": True})
    history = History(signal.alone(Detection()).model_copy(update={signal.field: rule}), {})
    found, last = Count(1), 0
    for step, value in points:
        report: Report = "NotFinite"
        if math.isfinite(value):
            report, last = Segment(last, step, 1, value, value * value), step
        history.add(Moment.of(step, None, {signal.series: report}))
        found.looks += 1
        if history.judge().outcome != "Suspect":
            continue
        found.suspect += 1
        if fault is None or step <= fault:
            found.early = 1
        elif not found.seen:
            found.seen = 1
            found.lags.append(sum(fault < each <= step for each, _ in points))
    return found


def divergences(rng: Rng, fault: bool) -> np.ndarray:
    """0.002 to 0.03 with noise of a third to four fifths, flat, or falling or rising threefold; times 10 to 100."""
    level = np.exp(rng.uniform(np.log(0.002), np.log(0.03))) * 3 ** (rng.uniform(-1, 1) * np.linspace(0, 1, UPDATES))
    noise = rng.uniform(0.3, 0.8)
    values = level * rng.lognormal(-noise * noise / 2, noise, UPDATES)
    if fault:
        values[FAULT:] *= rng.uniform(10, 100)
    return values


def explained(rng: Rng, fault: bool) -> np.ndarray:
    """From 0 up to 0.3 to 0.98, with noise that has a tail below; in one update of fifty it is anything down to -3."""
    learnt = 1 - np.exp(-np.arange(UPDATES) / rng.uniform(3, 15))
    values = rng.uniform(0.3, 0.98) * learnt - rng.exponential(rng.uniform(0.02, 0.15), UPDATES)
    if fault:
        values[FAULT:] -= rng.uniform(0.8, 1.5)
    odd = rng.random(UPDATES) < 1 / 50
    return np.where(odd, np.minimum(values, rng.uniform(-3, 0.5, UPDATES)), values)


FAMILIES: Mapping[Name, Callable[[Rng, bool], np.ndarray]] = {
    "approx_kl": divergences,
    "explained_variance": explained,
}


def synthetic(signal: Signal, fault: bool, seed: int) -> Count:
    """One run."""
    values = FAMILIES[signal.series](np.random.default_rng([seed, fault]), fault)
    points = [(STEPS * (number + 1), float(value)) for number, value in enumerate(values)]
    return judged(signal, points, FAULT * STEPS if fault else None)


def recorded(line: Mapping[str, str]) -> tuple[str, list[Count]]:
    """One run of the corpus: its label, and what each signal makes of it."""
    with gzip.open(CORPUS / line["file"], "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    fault = int(line["fault_step"]) if line["fault_step"] else None
    counts = []
    for signal in JUDGED:
        column = COLUMNS[signal.series]
        points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        counts.append(judged(signal, points, fault))
    return line["label"], counts


def total(counts: Iterable[Count]) -> Count:
    """All of them."""
    return sum(counts, Count())


def measure(runs: int, pool: ProcessPoolExecutor) -> str:
    """All figures, as Markdown."""
    by_label: dict[str, list[list[Count]]] = {}
    for label, counts in pool.map(recorded, listed("build"), chunksize=4):
        by_label.setdefault(label, []).append(counts)
    lines = [
        "| signal | trainings | runs | suspect at some time (before a fault) | of all updates | after the fault "
        "| median lag |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for index, signal in enumerate(JUDGED):
        for name, fault in (("synthetic, healthy", False), ("synthetic, with a fault", True)):
            lines.append(
                _line(signal, name, total(pool.map(partial(synthetic, signal, fault), range(runs), chunksize=50)))
            )
        for label in ("healthy", "harmed", "harmless"):
            found = total(counts[index] for counts in by_label[label])
            lines.append(_line(signal, f"recorded, {label}", found))
    return "\n".join(lines) + "\n"


def _line(signal: Signal, name: str, found: Count) -> str:
    healthy = name.endswith("healthy")
    lag = f"{statistics.median(found.lags):g} updates" if found.lags else "–"
    return (
        f"| `{signal.name}` | {name} | {found.runs} | {found.early} | {found.suspect / found.looks:.2%} "
        f"| {'–' if healthy else found.seen} | {'–' if healthy else lag} |"
    )


def write(markdown: str) -> None:
    """Between the marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = (text.index(mark) for mark in MARKS)
    PAGE.write_text(text[: begin + len(MARKS[0])] + markdown + text[end:], encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="synthetic ones: healthy, and with a fault")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="put the figures into the docs")
    parsed = parser.parse_args()
    with ProcessPoolExecutor(parsed.workers) as pool:
        markdown = measure(parsed.runs, pool)
    print(markdown)
    if parsed.write:
        write(markdown)


if __name__ == "__main__":
    main()
