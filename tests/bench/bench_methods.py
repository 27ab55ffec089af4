"""The detector beside known methods, on the recorded runs of `tests/bench/corpus`.

    PYTHONPATH=.:operator:trainer .venv/bin/python tests/bench/bench_methods.py [--half build] [--choose] [--write]

`--choose` tries all settings of each method on the half to build on, and freezes the best in `methods/chosen.json`:
the one that catches most with at most 1 % of all runs called wrong without a reason, or the one that is wrong least.
Without it the frozen settings are judged. `--half judge` takes the half that nobody built on, and leaves a line in
`corpus/LOOKS.md` before anything is shown. Prints Markdown; `--write` puts it, and the plot, into the docs.
Page-Hinkley and ADWIN are `river`'s: `.venv/bin/pip install --require-hashes -r requirements/bench.txt`, which
`make bench` does.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tests.bench.methods import looks, recorded
from tests.bench.methods.picture import picture
from tests.bench.methods.report import short, tables
from tests.bench.methods.score import Outcome, best, judged, score
from tests.bench.methods.settings import METHODS, Setting, first_alarms, freeze, frozen

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/detection.md"
PICTURE = ROOT / "docs/images/methods.svg"
MARKS = ("<!-- methods: begin -->\n", "<!-- methods: end -->\n")
OWN = "`Adaptive`, Medium"

Todo = Sequence[Sequence[Setting]]
"""For each method, the settings to be tried."""


def outcomes(todo: Todo, corpus: Path, line: dict[str, str]) -> list[list[Outcome]]:
    """Of one run: for each method, by setting."""
    run = recorded.load(line, corpus)
    return [
        [judged(run, alarm) for alarm in first_alarms(method, run, settings)]
        for method, settings in zip(METHODS, todo, strict=True)
    ]


def measure(half: recorded.Half, todo: Todo, corpus: Path, workers: int | None) -> list[list[list[Outcome]]]:
    """For each method and setting, the outcomes of all runs."""
    lines = recorded.listed(half, corpus)
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(partial(outcomes, todo, corpus), lines, chunksize=2))
    return [
        [[run[number][index] for run in found] for index in range(len(settings))]
        for number, settings in enumerate(todo)
    ]


def choose(corpus: Path, workers: int | None) -> dict[str, Setting]:
    """The best setting of each method on the half to build on."""
    todo = [method.settings() if method.grid else [] for method in METHODS]
    chosen: dict[str, Setting] = {}
    for method, settings, by_setting in zip(METHODS, todo, measure("build", todo, corpus, workers), strict=True):
        if method.grid:
            scores = [score(each) for each in by_setting]
            place = best(scores)
            chosen[method.name] = settings[place]
            print(short(f"{method.name}, {len(settings)} settings, {dict(settings[place])}", scores[place]), flush=True)
    return chosen


def write(markdown: str) -> None:
    """Between the marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    begin, end = (text.index(mark) for mark in MARKS)
    PAGE.write_text(text[: begin + len(MARKS[0])] + markdown + text[end:], encoding="utf-8")


def main() -> None:
    """Choose, or judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("build", "judge"), default="build")
    parser.add_argument("--choose", action="store_true", help="choose settings first, always on the half to build on")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--corpus", type=Path, default=recorded.CORPUS, metavar="DIR")
    parser.add_argument("--write", action="store_true", help="put the tables and the plot into the docs")
    parsed = parser.parse_args()
    if find_spec("river") is None:
        raise SystemExit("river is missing: .venv/bin/pip install --require-hashes -r requirements/bench.txt")
    began = time.monotonic()
    if parsed.choose:
        freeze(choose(parsed.corpus, parsed.workers))
        print(f"chosen in {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
    settings = frozen()
    measured = measure(parsed.half, [[settings[method.name]] for method in METHODS], parsed.corpus, parsed.workers)
    found = {method.name: each[0] for method, each in zip(METHODS, measured, strict=True)}
    scores = {name: score(each) for name, each in found.items()}
    if parsed.half == "judge":
        looks.note("tests/bench/bench_methods.py --half judge", short(OWN, scores[OWN]), parsed.corpus / looks.LOG.name)
    markdown = tables(parsed.half, scores, settings, found[OWN])
    print(markdown)
    print(f"measured in {time.monotonic() - began:.0f} s")
    if parsed.write:
        write(markdown)
        PICTURE.write_text(picture(scores), encoding="utf-8")


if __name__ == "__main__":
    main()
