"""Records the runs of the plan that are not there yet.

    export PYTHONPATH=trainer
    python -m tests.bench.corpus.record --trainers numpy,sb3,contrib,cleanrl --share 1/2

    python -m tests.bench.corpus.record --again --match cartpole/sb3-weights-2003 --out DIR

Stops whenever it is told to and goes on where it was: a run is there when its file is. Each run has a process of its
own, so that one which fails takes no other along. Writes `recorded.jsonl` beside the runs, with all that is known of
each that its events do not tell.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import multiprocessing
import os
import time
import traceback
from pathlib import Path

from tests.bench.corpus.record import plan
from tests.bench.corpus.record.events import Events
from tests.bench.corpus.record.planned import Fault, Planned, Settings

TRAINERS = {
    "numpy": "numpy_ppo",
    "sb3": "sb3_ppo",
    "contrib": "sb3_ppo",
    "cleanrl": "cleanrl_ppo",
    "rllib": "rllib_ppo",
}
HERE = Path(__file__).parent.parent
PATIENCE = 900
"""Seconds after which a run is given up."""


def record(planned: Planned, out: Path) -> None:
    """One run, written down whole."""
    module = importlib.import_module(f"tests.bench.corpus.record.{TRAINERS[planned.trainer]}")
    # RLlib's do not step at once: some begin an episode while the others make a step.
    events = Events(1 if planned.trainer == "rllib" else planned.settings.environments, planned.fault)
    ended = "whole"
    begun = time.monotonic()
    try:
        module.train(planned, events)
    except (ValueError, RuntimeError, FloatingPointError) as error:
        # Some frameworks refuse to go on with what is not a number. That, too, is how a run ends.
        if events.fault_step is None:
            raise
        ended = str(error).partition("\n")[0][:80]
    seconds = time.monotonic() - begun
    events.write(out / planned.file)
    line = dataclasses.asdict(planned) | {
        "ended": ended,
        "last_step": events.step,
        "fault_step": events.fault_step,
        "steps_per_second": round(events.step / seconds),
    }
    with (out / "recorded.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def recorded(path: Path) -> list[Planned]:
    """The runs that were recorded, as they were planned then: the plan may have changed since."""
    runs = []
    for line in path.read_text().splitlines():
        known = json.loads(line)
        settings, fault = Settings(**known["settings"]), known["fault"] and Fault(**known["fault"])
        names = [each.name for each in dataclasses.fields(Planned) if each.name not in {"settings", "fault"}]
        runs.append(Planned(**{name: known[name] for name in names}, settings=settings, fault=fault))
    return runs


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainers", default=",".join(TRAINERS), metavar="NAMES")
    parser.add_argument("--share", default="1/1", metavar="N/M", help="every Mth run, from the Nth on")
    parser.add_argument("--match", default="", metavar="TEXT", help="only runs whose file has this in its name")
    parser.add_argument("--again", action="store_true", help="the runs of recorded.jsonl instead of the plan")
    parser.add_argument("--until", default="", metavar="HH:MM", help="begin no run after this time of day")
    parser.add_argument("--limit", type=int, default=10**6, metavar="N", help="record so many at most")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR")
    parsed = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    first, _, of = parsed.share.partition("/")
    wanted = parsed.trainers.split(",")
    runs = recorded(HERE / "recorded.jsonl") if parsed.again else plan.runs()
    chosen = [each for each in runs if each.trainer in wanted and parsed.match in each.file]
    for trainer in wanted:
        # Imported here, the frameworks are there at once in the processes of the runs.
        importlib.import_module(f"tests.bench.corpus.record.{TRAINERS[trainer]}")
    if wanted != ["numpy"]:
        # The first optimizer imports it, which would take every run some seconds.
        importlib.import_module("torch._dynamo")
    fork = multiprocessing.get_context("fork")
    left = parsed.limit
    for planned in chosen[int(first) - 1 :: int(of)]:
        if (parsed.out / planned.file).exists():
            continue
        if left == 0 or (parsed.until and time.strftime("%H:%M") >= parsed.until):
            break
        left -= 1
        begun = time.monotonic()
        process = fork.Process(target=_guarded, args=(planned, parsed.out))
        process.start()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
        said = "recorded" if process.exitcode == 0 else f"FAILED ({process.exitcode})"
        print(f"{time.strftime('%H:%M:%S')} {said} {planned.file} in {time.monotonic() - begun:.0f} s", flush=True)


def _guarded(planned: Planned, out: Path) -> None:
    try:
        record(planned, out)
    except Exception:  # noqa: BLE001 - whatever it is, the other runs are still to be recorded
        traceback.print_exc()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
