"""The acts of the demo, in their order."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.recording import Recording
from demo.screen import Screen
from demo.steps import experiments
from demo.steps.errors import StepError
from demo.steps.outcome import Outcome, split_text
from demo.steps.world import World
from demo.watch import Watch
from devcluster import programs


@dataclass(frozen=True)
class Act:
    """One experiment with what the audience is told before it. `mark` names it in the picture."""

    heading: str
    run: Callable[[World], Outcome]
    mark: str
    recorded: bool = False
    """Whether the recording is of this act; those acts follow each other."""


def acts(down_seconds: float) -> list[Act]:
    """All of them."""
    return [
        Act("Many users, one split", experiments.split, "10,000 users"),
        Act("Users who keep their cookie", experiments.sticky, "cookies"),
        Act("Prometheus measures the same", experiments.measured_on_target, ""),
        Act("The split changes a hundred times while the load goes on", experiments.weight_changes, "100 changes"),
        Act("Somebody sends requests past the router: an alert", experiments.deviation_alert, "alert"),
        Act("The model behind a mode fails", experiments.model_fails, "model fails"),
        Act("Somebody deletes the Service of a mode", experiments.service_deleted, "Service deleted"),
        Act(
            f"The operator is gone for {down_seconds:.0f} seconds",
            lambda world: experiments.operator_down(world, down_seconds),
            "operator down",
        ),
        Act("A policy learns, and what it has learnt is served", experiments.checkpoints_served, "training", True),
        Act("The policy breaks", experiments.fault_rolled_back, "policy breaks", True),
        Act("The training goes on", experiments.run_finishes, "trained on", True),
    ]


def tell(
    world: World, screen: Screen, watch: Watch, down_seconds: float, recording: Recording | None = None
) -> list[tuple[Outcome, float]]:
    """Plays all acts, and at last the sum of all requests. A failed act does not keep the others from playing."""
    outcomes: list[tuple[Outcome, float]] = []

    def play(act: Act) -> None:
        screen.heading(act.heading)
        if act.mark:
            watch.mark(act.mark)
        began = time.monotonic()
        try:
            outcome = act.run(world)
        except StepError as error:
            outcome = Outcome(act.heading, holds=False, measured="nothing", explanation=str(error))
            _put_back(world)
        outcomes.append((outcome, time.monotonic() - began))
        screen.outcome(*outcomes[-1])

    world.say = screen.say
    world.background.fresh_tally()
    with watch.drawing():
        story = acts(down_seconds)
        recorded = [act for act in story if act.recorded]
        for act in story:
            if recording and act is recorded[0]:
                recording.start()
            play(act)
            if recording and act is recorded[-1]:
                recording.stop()
        play(Act("All requests of the whole demo", whole_story, ""))
    return outcomes


def whole_story(world: World) -> Outcome:
    """What became of the load that ran all the time."""
    failures = world.explain_failures()
    report = world.stop_background() or {"failed": 0, "answered": 0, "elapsed": 0.0, "latencyMs": {}}
    latency = report["latencyMs"]
    return Outcome(
        "not one request of the load that ran all the time failed",
        report["failed"] == 0 and report["answered"] > 0,
        f"{report['answered']:,} requests in {report['elapsed']:.0f} s, {report['failed']} failed, "
        f"p50 {latency.get('p50', 0):.0f} ms, p99 {latency.get('p99', 0):.0f} ms",
        failures,
    )


def summary(outcomes: list[tuple[Outcome, float]]) -> list[str]:
    """The table at the end."""
    lines = [
        f"  {'ok  ' if outcome.holds else 'FAIL'} {outcome.claim}\n       {outcome.measured}" for outcome, _ in outcomes
    ]
    failed = [outcome for outcome, _ in outcomes if not outcome.holds]
    lines.append(f"  {len(outcomes) - len(failed)} of {len(outcomes)} claims hold")
    return lines


def show_status(world: World) -> None:
    """What there is in the end, as a user would ask for it; in colour on a terminal."""
    subprocess.run(status(world), check=False, timeout=60)


def status(world: World, *more: str) -> list[str]:
    """The command `accord status`."""
    where = [f"--namespace={world.namespace}", f"--kubeconfig={world.cluster.kubeconfig}"]
    return [sys.executable, "-m", "accord", "status", *where, *more]


def where_next(world: World) -> list[str]:
    """What a reader can try by hand."""
    program = "kubectl" if shutil.which("kubectl") else programs.path("kubectl")
    kubectl = f"{program} --kubeconfig {world.cluster.kubeconfig} -n {world.namespace}"
    target = split_text(world.policy.file_weights(), world.policy.file_weights(), 0)
    return [
        f"The cluster stays up with the policy at {target}. Look around:",
        f"  {kubectl} get accord",
        f"  {kubectl} describe tp {world.policy.name}",
        f"  {kubectl} edit tp {world.policy.name}   # another split",
        f"  {kubectl} create -f examples/service/manifests/load.yaml   # ten minutes of load",
        "  docs/tutorial/ goes through it step by step, in two lessons; `make down` removes the cluster.",
    ]


def _put_back(world: World) -> None:
    """After a failed act: the policy as its file has it, the operator up."""
    try:
        world.operator.start()
        world.policy.apply()
        world.policy.wait_settled(60)
    except StepError:
        return  # the acts that follow will say so
