"""How many recorded runs could be called in time at all, by whoever waits until half of what was learnt is gone.

    PYTHONPATH=.:operator:trainer .venv/bin/python tests/bench/bench_lag_bound.py

In time is within 20 episodes or 3 updates, whichever is later, of the fault, or of when the return began to fall. It is
a bound of the labels alone: no rule is run, and only the half to build on is read. A rule may be sooner than the label,
where chance helps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.bench.methods import recorded
from tests.bench.methods.recorded import Alarm, Run

EPISODES, UPDATES = 20, 3


def in_time(lag: tuple[int, int]) -> bool:
    """`lag` in episodes and updates."""
    episodes, updates = lag
    return episodes <= EPISODES or updates <= UPDATES


def bounds(runs: Iterable[Run]) -> Mapping[str, int]:
    """Counts of harmed runs: all; those that can be called in time of the fault, and of the fall; and of the others,
    those that begin to fall only when it is too late already.
    """
    found = dict.fromkeys(("harmed", "of the fault", "of the fall", "fall too late"), 0)
    for run in runs:
        assert run.begun is not None
        fell = run.begun if run.fell is None else run.fell
        gone = Alarm(fell if run.halved is None else run.halved, fell)
        found["harmed"] += 1
        found["of the fault"] += in_time(run.lag(gone, run.begun))
        found["of the fall"] += in_time(run.lag(gone, fell))
        found["fall too late"] += not in_time(run.lag(Alarm(fell, fell), run.begun))
    return found


def main() -> None:
    """Print the counts."""
    lines = [line for line in recorded.listed("build") if line["label"] in recorded.HARM]
    found = bounds(map(recorded.load, lines))
    harmed = found["harmed"]
    print(f"{harmed} harmed runs of the half to build on")
    for name in ("of the fault", "of the fall"):
        print(f"half is lost in time {name}: {found[name]} ({found[name] / harmed:.0%})")
    print(f"begin to fall too late for it: {found['fall too late']}")


if __name__ == "__main__":
    main()
