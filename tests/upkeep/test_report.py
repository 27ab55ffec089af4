"""`accord report` after the whole demo: every line passes; and after each of five faults, which lines do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest
from demo.screen import Screen
from demo.steps.environment import bring_up
from demo.steps.experiments.downshift import MODE, TAKER
from demo.steps.local import LocalCluster
from demo.story import tell
from demo.watch import Watch
from devcluster.progress import Progress
from tests.upkeep import faults
from tests.upkeep.desk import Desk, Lines

POLICY, RUN, CHECKPOINTS = "TrafficPolicy example", "TrainingRun example", "CheckpointPolicy example"
BROKEN = f"TrainingRun {faults.BROKEN}"
NORMALIZER = tuple(f"normalizer {what}" for what in ("mean", "std", "window"))
TRAINING = ("training steps", "entropy coefficient", "learning rate")
LEARNT = ("loss and reward", "checkpoints", "best checkpoint", "served checkpoint", "rollbacks")
MEASURED = ("uptime", "error rate", "latency, 95th percentile", "cache hit rate")


@dataclass(frozen=True)
class Fault:
    """What is done to the cluster for as long as the block runs, and the lines that do not pass then."""

    what: str
    done: Callable[[Desk], AbstractContextManager[None]]
    wanted: Lines
    code: int
    may: frozenset[tuple[str, str]] = frozenset()
    """Lines that may be anything: of modes that get what another one had, by less than can be told from chance; and of
    the last check, where the operator may have begun too late for one.
    """


def lines(name: str, checks: Iterable[str], result: str) -> dict[tuple[str, str], str]:
    """The same for some lines of one object."""
    return {(name, check): result for check in checks}


OTHERS = frozenset((POLICY, f"share of {mode}") for mode in ("fast", TAKER))
SHARES = {*OTHERS, (POLICY, f"share of {MODE}")}
FAULTS = (
    Fault("a mode without pods", faults.no_pods, {(POLICY, f"share of {MODE}"): "fail"}, 1, OTHERS),
    Fault(
        "a run whose trainer fails",
        faults.failing_run,
        {**lines(BROKEN, (*TRAINING[1:], *NORMALIZER), "unknown"), (BROKEN, TRAINING[0]): "fail"},
        1,
    ),
    Fault(
        "a mode whose model fails",
        faults.failing_model,
        lines(POLICY, ("circuit breakers open", f"share of {MODE}"), "fail"),
        1,
        OTHERS,
    ),
    Fault(
        "no operator",
        faults.no_operator,
        {
            **dict.fromkeys(SHARES, "unknown"),
            **lines(POLICY, ("circuit breakers open", "uptime"), "unknown"),
            **lines(RUN, TRAINING, "unknown"),
            **lines(CHECKPOINTS, LEARNT, "unknown"),
        },
        0,
    ),
    Fault(
        "no Prometheus",
        faults.no_prometheus,
        {**dict.fromkeys(SHARES, "unknown"), **lines(POLICY, MEASURED, "unknown"), **lines(RUN, NORMALIZER, "unknown")},
        0,
        frozenset({(CHECKPOINTS, LEARNT[0])}),
    ),
)
"""The last two cannot be undone without a trace: uptime is of the time since, and Prometheus forgets what it knew."""


@pytest.fixture
def desk() -> Iterator[Desk]:
    """The demo's cluster after its last act, with the load running again."""
    local = LocalCluster("accord-upkeep", "10.204.0.0/14")
    local.down()
    try:
        world = bring_up(local, Progress())
        screen = Screen()
        tell(world, screen, Watch(world, screen), 60)
        world.background.fresh_tally()
        opened = Desk(world)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        local.down()


def test_a_report_of_the_demo_passes_and_names_what_goes_wrong(desk: Desk) -> None:
    print(told(desk))


def told(desk: Desk) -> str:
    """The report without a fault, and with each; the times."""
    began = desk.until("every line passes", {}, 0)
    table = [f"  {'every line passes':<44} {began:6.1f} s"]
    for fault in FAULTS:
        with fault.done(desk):
            took = desk.until(fault.what, fault.wanted, fault.code, fault.may)
            table.append(f"  {fault.what:<44} {took:6.1f} s   {count(fault.wanted)}, exit code {fault.code}")
            print(table[-1])
        if fault not in FAULTS[-2:]:
            desk.until(f"every line passes again after: {fault.what}", {}, 0)
    return "\n".join(["", *table])


def count(lines: Lines) -> str:
    """Such as `2 fail, 1 warn`."""
    results = list(lines.values())
    return ", ".join(f"{results.count(each)} {each}" for each in ("fail", "warn", "unknown") if each in results)
