"""How often the detector is wrong, and how soon it is right: synthetic trainings by the thousand, and recorded ones.

    PYTHONPATH=.:operator .venv/bin/python tests/bench/bench_detection.py [--runs 1000] [--workers 2] [--write]

Each run is 10,000 steps, a staircase with a fault 14,000. Where there is a value a step, Prometheus sees the running
sums every 50 steps, every 25 where a fault is planted; where values are held between samples, there is a row every ten
steps, as in a CSV. Each look is judged by the code of the operator. Healthy runs first: the share that is rolled back
at all. Then runs with a fault: the share that is rolled back after it, and after how many steps; on a staircase,
updates. Beside `Adaptive` stands the seed's rule, `Ratio`. The recorded runs are in `tests/bench/recorded`. Prints
Markdown; `--write` puts it, and a picture, into the docs.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import math
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from tests.bench.detection_families import FAMILIES, FAULTS, LONGER, STEPS, Run
from tests.bench.detection_plot import picture

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicySpec
from accord.domain.checkpoint.detection.replay import Pace, Replayed, replay
from accord.domain.checkpoint.detection.rows import Row, lives
from accord.domain.checkpoint.detection.series import Life, Moment, Report, Segment

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "recorded"
PAGE = ROOT / "docs/explanation/detection.md"
PICTURE = ROOT / "docs/images/detection.svg"
MARKS = ("<!-- figures: begin -->\n", "<!-- figures: end -->\n")
METHODS = ("Adaptive", "Ratio")
_STRIDE = 10
_PACE = Pace(every=10, steps_a_second=10.0, saved=range(500, LONGER + 1, 500))


@dataclass
class Count:
    """Of runs of one sort."""

    runs: int = 0
    wrong: int = 0
    """Rolled back without a fault, or before it."""
    caught: int = 0
    lags: list[float] = field(default_factory=list)
    restored: int = 0
    """To a checkpoint from before the fault."""

    def __add__(self, other: Count) -> Count:
        return Count(
            self.runs + other.runs,
            self.wrong + other.wrong,
            self.caught + other.caught,
            self.lags + other.lags,
            self.restored + other.restored,
        )


def spec(method: str) -> CheckpointPolicySpec:
    """The defaults, with this method."""
    return CheckpointPolicySpec.model_validate({"trainingRunRef": {"name": "r"}, "detection": {"method": method}})


def judged(seen: Sequence[Life], method: str) -> Replayed:
    """What would have come of it."""
    return replay(spec(method), seen, _PACE)


def seen(run: Run, method: str) -> list[Life]:
    """What is seen of a run."""
    if run.samples == "steps":
        return [_scraped(run, 50 if run.fault is None else 25)]
    columns = [
        None if values is None else [None if value == -math.inf else value for value in values.tolist()]
        for values in (run.loss, run.reward)
    ]
    steps = max(len(column) for column in columns if column is not None)
    stride = _STRIDE if run.reward is not None or run.fault is not None else 50
    losses, rewards = ([None] * steps if column is None else column for column in columns)
    rows = [Row(step + 1, losses[step], rewards[step]) for step in range(0, steps, stride)]
    return lives(rows, each=method == "Ratio")


def _scraped(run: Run, every: int) -> Life:
    """Running sums every so many steps."""
    found: list[list[Report]] = []
    for values in (run.loss, run.reward):
        if values is None:
            found.append([None] * (STEPS // every))
            continue
        parts = values.reshape(-1, every)
        sums, squares = parts.sum(axis=1).tolist(), (parts * parts).sum(axis=1).tolist()
        found.append(
            [
                Segment(number * every, (number + 1) * every, every, total, squares[number], every)
                if math.isfinite(total)
                else "NotFinite"
                for number, total in enumerate(sums)
            ]
        )
    steps = range(every, STEPS + 1, every)
    moments = [Moment(step, loss, reward) for step, loss, reward in zip(steps, *found, strict=True)]
    return Life({"loss": "steps", "reward": "steps"}, moments)


def count(result: Replayed, fault: int | None, unit: int = 1) -> Count:
    """One run. Lags are in `unit` steps."""
    if fault is None:
        return Count(1, wrong=bool(result.rollbacks))
    after = [each for each in result.rollbacks if each.step >= fault]
    found = Count(1, wrong=len(after) < len(result.rollbacks), caught=bool(after))
    if after:
        found.lags.append((after[0].step - fault) / unit)
        found.restored = int(after[0].target is not None and after[0].target <= fault)
    return found


def synthetic(method: str, family: str, fault: str | None, seed: int) -> Count:
    """One run of a family, with a fault or without."""
    # A healthy run and one with a fault are never the same one.
    chance = np.random.default_rng([seed, list(FAULTS).index(fault) + 1 if fault else 0])
    make = FAMILIES[family]
    if fault is None:
        run = make(chance)
    else:
        run = FAULTS[fault](make(chance, LONGER) if "staircase" in family else make(chance), chance)
    return count(
        judged(seen(run, method), method), run.fault, run.update if run.reward is None and fault != "NaN" else 1
    )


def recorded(method: str, path: Path) -> tuple[str, Count]:
    """One recorded run, and the sort it is of."""
    with gzip.open(path, "rt") as file:
        rows = [Row(int(each["step"]), _value(each["loss"]), _value(each["reward"])) for each in csv.DictReader(file)]
    told = lives(rows, each=method == "Ratio")
    environment, kind, *at = path.name.split(".")[0].split("-")
    if kind == "healthy":
        return f"{environment}, healthy", count(judged(told, method), None)
    fault = int(at[0])
    harmed = _mean(rows, fault, fault + 500) < _mean(rows, fault - 1000, fault) / 2
    sort = f"{environment}, weights disturbed" + ("" if harmed else ", which did not halve its returns")
    return sort, count(judged(told, method), fault)


def _value(text: str) -> float | None:
    return float(text) if text else None


def _mean(rows: Iterable[Row], after: int, until: int) -> float:
    """Of the episodes that ended then; where none did, one was long."""
    found = [row.reward for row in rows if row.reward is not None and after < row.step <= until]
    return statistics.fmean(found) if found else math.inf


def measure(runs: int, pool: ProcessPoolExecutor) -> tuple[str, dict[tuple[str, str], dict[str, Count]]]:
    """All figures, as Markdown; and those of the synthetic runs, for the picture."""
    sorts: dict[str, dict[str, Count]] = {}
    for method in METHODS:
        for sort, one in pool.map(partial(recorded, method), sorted(RECORDED.glob("*.csv.gz"))):
            sorts.setdefault(sort, {})[method] = sorts.get(sort, {}).get(method, Count()) + one
    table: dict[tuple[str, str], dict[str, Count]] = {}
    for fault, family, method in itertools.product((None, *FAULTS), FAMILIES, METHODS):
        work: Callable[[int], Count] = partial(synthetic, method, family, fault)
        found = sum(pool.map(work, range(runs), chunksize=10), Count())
        table.setdefault((family, fault or "healthy"), {})[method] = found
        print(f"{family}, {fault or 'healthy'}, {method}: {_short(found)}", flush=True)
    return _markdown(table, sorts), table


def _short(found: Count) -> str:
    lag = f", lag {statistics.median(found.lags):.4g}" if found.lags else ""
    return f"{found.runs} runs, {found.wrong} wrong, {found.caught} caught{lag}"


def _markdown(table: dict[tuple[str, str], dict[str, Count]], sorts: dict[str, dict[str, Count]]) -> str:
    lines = ["| healthy trainings | runs | rolled back by `Adaptive` | by `Ratio` |", "| --- | --- | --- | --- |"]
    for (family, fault), by in table.items():
        if fault == "healthy":
            adaptive, ratio = by["Adaptive"], by["Ratio"]
            lines.append(f"| {family} | {adaptive.runs} | {_share(adaptive.wrong, adaptive)} | {_wrong(ratio)} |")
    for sort, by in sorted(sorts.items()):
        if "healthy" in sort:
            lines.append(f"| recorded: {sort} | {by['Adaptive'].runs} | {by['Adaptive'].wrong} | {by['Ratio'].wrong} |")
    lines += [
        "",
        "| with a fault | runs | caught | median lag | target from before | `Ratio`: caught; before the fault |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (family, fault), by in table.items():
        if fault != "healthy":
            lines.append(_fault_line(f"{family}: {fault}", "staircase" in family and fault != "NaN", by))
    for sort, by in sorted(sorts.items()):
        if "healthy" not in sort:
            lines.append(_fault_line(f"recorded: {sort}", False, by))
    return "\n".join(lines) + "\n"


def _fault_line(name: str, by_update: bool, by: dict[str, Count]) -> str:
    found, ratio = by["Adaptive"], by["Ratio"]
    lag = "–"
    if found.lags:
        middle = statistics.median(found.lags)
        lag = f"{middle:.1f} updates" if by_update else f"{middle:.0f} steps"
    return (
        f"| {name} | {found.runs} | {_share(found.caught, found)} | {lag} | {_share(found.restored, found)} "
        f"| {_share(ratio.caught, ratio)}; {_share(ratio.wrong, ratio)} |"
    )


def _share(part: int, found: Count) -> str:
    return f"{100 * part / found.runs:.3g} %"


def _wrong(found: Count) -> str:
    return _share(found.wrong, found)


def write(markdown: str) -> None:
    """Between the marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = (text.index(mark) for mark in MARKS)
    PAGE.write_text(text[: begin + len(MARKS[0])] + markdown + text[end:], encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="of each family: healthy ones, and with each fault")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="put the figures and the picture into the docs")
    parsed = parser.parse_args()
    with ProcessPoolExecutor(parsed.workers) as pool:
        markdown, table = measure(parsed.runs, pool)
    print("\n" + markdown)
    if parsed.write:
        write(markdown)
        adaptive = {family: by["Adaptive"] for (family, fault), by in table.items() if fault == "jump"}
        lags = {family: (found.lags, found.runs) for family, found in adaptive.items()}
        wrong = {family: (by["Adaptive"], by["Ratio"]) for (family, fault), by in table.items() if fault == "healthy"}
        shares = {family: tuple(each.wrong / each.runs for each in pair) for family, pair in wrong.items()}
        PICTURE.write_text(picture(shares, lags), encoding="utf-8")


if __name__ == "__main__":
    main()
