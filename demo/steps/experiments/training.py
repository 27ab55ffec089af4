"""Claims about training: it follows the schedules of its spec, and a killed trainer goes on where it was saved."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from demo.steps.cluster import wait_until
from demo.steps.outcome import Outcome
from demo.steps.training import Scrape, Training
from demo.steps.world import World

STEPS = 10_000
UPDATE = 500
"""Steps between two updates in trainingrun-linear.yaml; what is in force changes with an update."""
PACE = 200
"""Steps a second: slow enough to be watched, and for Prometheus to see every update more than once."""


def entropy_coef(step: float) -> float:
    """What trainingrun-linear.yaml says at a step: a straight line."""
    return 0.02 + (0.005 - 0.02) * min(max(step / STEPS, 0), 1)


def learning_rate(step: float) -> float:
    """What trainingrun-linear.yaml says at a step: half a cosine wave."""
    return 1e-4 + (3e-4 - 1e-4) * (1 + math.cos(math.pi * min(max(step / STEPS, 0), 1))) / 2


def trained(world: World, seconds: float = 300) -> Outcome:
    """The default run on users who rate answers, watched to its end, and every scrape of it held against the spec."""
    run = Training.example(
        world.cluster,
        world.prometheus,
        world.namespace,
        world.images.trainer,
        "trainingrun-linear.yaml",
        ACCORD_STEPS_PER_SECOND=PACE,
    )
    run.delete()
    run.apply()
    took = run.watch(lambda status: status.get("phase") in ("Succeeded", "Failed"), seconds, world.say)
    scrapes = run.scrapes()
    off = [scrape for scrape in scrapes if not _on_schedule(scrape)]
    first = scrapes[0].step if scrapes else 0
    early, n_early = run.mean_reward(first, first + 1500)
    late, n_late = run.mean_reward(STEPS - 1500, STEPS)
    # The standard deviation of a rating is about 1.2: three of the difference of the means.
    rises = late - early > 3 * 1.2 * math.sqrt(1 / max(n_early, 1) + 1 / max(n_late, 1))
    # Prometheus hears of a new pod some seconds after it has begun.
    seen = bool(scrapes) and first <= STEPS / 4 and scrapes[-1].step == STEPS
    return Outcome(
        f"{STEPS:,} PPO steps follow the schedules of the spec, and the reward rises",
        run.status().get("phase") == "Succeeded" and seen and not off and rises,
        f"{took:.0f} s; {len(scrapes)} scrapes, {len(off)} of them off schedule by more than one update; mean rating "
        f"{early:.2f} in the first steps, {late:.2f} in the last\n{_table(scrapes)}",
        f"{off[:3]} {run.explain()}",
    )


def trainer_killed(world: World, at: int = 3000, seconds: float = 300) -> Outcome:
    """The pod of a trainer is killed without a word; the next one goes on from the newest checkpoint."""
    run = Training.example(
        world.cluster,
        world.prometheus,
        world.namespace,
        world.images.trainer,
        "trainingrun-cartpole.yaml",
        ACCORD_STEPS_PER_SECOND=400,
    )
    run.delete()
    run.apply()
    save = int(run.spec["checkpoints"]["saveFrequency"])
    run.wait_step(at, seconds)
    killed = run.kill_pod()
    reached = max(scrape.step for scrape in run.scrapes())

    def successor() -> str:
        pods = [name for name in run.pods_at_work() if name != killed]
        return pods[0] if pods else ""

    def resumed() -> re.Match[str] | None:
        pod = successor()
        return re.search(r"attempt (\d+) on \S+ from step (\d+)$", run.log(pod), re.MULTILINE) if pod else None

    back = wait_until("another pod goes on", resumed, 120, run.explain, every=0.1)
    found = resumed()
    attempt, step = (int(found[1]), int(found[2])) if found else (0, 0)
    run.watch(lambda status: status.get("phase") in ("Succeeded", "Failed"), seconds, world.say)
    status = run.status()
    return Outcome(
        "a killed trainer goes on from its newest checkpoint, and no more than one save interval is lost",
        status.get("phase") == "Succeeded" and attempt == 1 and step > 0 and reached - step <= save,
        f"last seen at step {reached} when it was killed, went on {back:.0f} s later from step {step} in attempt "
        f"{attempt}; finished at step {status.get('step')} with a mean return of {status.get('reward')}",
        run.explain(),
    )


def _on_schedule(scrape: Scrape) -> bool:
    """Whether both values are those of the scrape's step, or of one up to an update before. Both schedules fall."""
    return all(
        wanted(scrape.step) - 1e-9 <= value <= wanted(scrape.step - UPDATE) + 1e-9
        for wanted, value in ((entropy_coef, scrape.entropy_coef), (learning_rate, scrape.learning_rate))
    )


def _table(scrapes: list[Scrape]) -> str:
    """What Prometheus saw next to each quarter of the run, beside what the spec says."""
    head = f"       {'step':>6}  {'entropy':>8} {'of the spec':>11}  {'learning rate':>13} {'of the spec':>11}"
    rows = (
        f"       {scrape.step:>6}  {scrape.entropy_coef:>8.5f} {entropy_coef(scrape.step):>11.5f}  "
        f"{scrape.learning_rate:>13.6f} {learning_rate(scrape.step):>11.6f}"
        for scrape in _quarters(scrapes)
    )
    return "\n".join([head, *rows])


def _quarters(scrapes: list[Scrape]) -> Iterable[Scrape]:
    if scrapes:
        for quarter in range(5):
            yield min(scrapes, key=lambda scrape: abs(scrape.step - quarter * STEPS / 4))
