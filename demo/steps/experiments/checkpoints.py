"""Claims about a policy that learns behind the traffic: what is kept and served, and what happens when it breaks."""

from __future__ import annotations

from demo.steps.checkpoints import Checkpoints, Stages
from demo.steps.cluster import Manifest, wait_until
from demo.steps.outcome import Outcome
from demo.steps.world import World

FAULT_AT = 6000
"""Step at which the example's trainer disturbs the weights of its policy; see examples/service/training.yaml."""


def checkpoints_served(world: World, seconds: float = 240) -> Outcome:
    """A run trains; its checkpoints become snapshots, and the newest one is served without a failed request."""
    policy, before = world.checkpoints, world.background.fresh_tally()
    policy.start()
    stages = Stages(policy.explain)
    stages.until("the trainer is at work", lambda: _step(policy) > 0, seconds)
    stages.until("a first checkpoint is a snapshot that can be restored", lambda: bool(policy.snapshots()), 60)
    stages.until("the Deployment is pointed at it", lambda: policy.wanted_step() is not None, 60)
    stages.until("its step is in the answers", lambda: bool(policy.answered_step()), 90)
    first = policy.answered_step() or 0
    stages.until("a later one is served in its place", lambda: (policy.answered_step() or 0) > first, 120)
    whole = world.background.fresh_tally().since(before)
    return Outcome(
        "every checkpoint that a run saves can be restored, and the newest one is served",
        whole.failed == 0 and whole.answered > 0,
        f"snapshots of steps {', '.join(map(str, policy.snapshots()))}; step {policy.answered_step()} is served; "
        f"{whole.answered:,} requests, {whole.failed} failed\n       {stages.text}",
        world.explain_failures(),
    )


def fault_rolled_back(world: World, seconds: float = 240) -> Outcome:
    """The policy breaks at a step: serving goes back to a checkpoint from before, and training goes on from there."""
    policy, before = world.checkpoints, world.background.fresh_tally()
    wait_until(
        f"the run reaches step {FAULT_AT}", lambda: _step(policy) >= FAULT_AT, seconds, policy.explain, every=0.1
    )
    stages = Stages(policy.explain)
    stages.until("the signal is confirmed", lambda: _record(policy) is not None, 90)
    stages.until(
        "the Deployment is pointed at a checkpoint from before", lambda: _is_good(policy, policy.wanted_step()), 60
    )
    stages.until("the answers are that checkpoint's", lambda: _is_good(policy, policy.answered_step()), 90)
    stages.until("the rollback is done", lambda: _record(policy, "Done") is not None, 90)
    stages.until("another attempt trains from its target", lambda: _trains_on(policy), 120)
    record, whole = _record(policy) or {}, world.background.fresh_tally().since(before)
    target = int(record.get("toStep", -1))
    return Outcome(
        "a policy that breaks is taken back to the last good checkpoint, and trained on from there",
        0 < target <= FAULT_AT and whole.failed == 0 and whole.answered > 0,
        f"{record.get('signal')}, {_figure(record, 'baseline')} to {_figure(record, 'recent')}, at step "
        f"{record.get('confirmedStep')}; step {policy.answered_step()} is served, training went back to step {target}; "
        f"all of it {stages.total:.1f} s after the fault\n       {stages.text}\n"
        f"       {whole.answered:,} requests, {whole.failed} failed",
        f"{world.explain_failures()} {policy.explain()}",
    )


def run_finishes(world: World, seconds: float = 240) -> Outcome:
    """The attempt after the rollback trains to the end, and its last checkpoint is what is served then."""
    policy, run = world.checkpoints, world.checkpoints.training
    run.watch(lambda status: status.get("phase") in ("Succeeded", "Failed"), seconds, world.say, every=5)
    took = wait_until(
        "its last checkpoint is served",
        lambda: policy.answered_step() == policy.status().get("latestStep") == run.status().get("step"),
        90,
        policy.explain,
    )
    status = run.status()
    return Outcome(
        "after the rollback the run trains to its end, and its last checkpoint is served",
        (status.get("phase"), status.get("attempt")) == ("Succeeded", 2),
        f"step {status.get('step')} in attempt {status.get('attempt')}, entropy {status.get('entropyCoef')}, "
        f"learning rate {status.get('learningRate')}, reward {status.get('reward')}; served {took:.0f} s later",
        policy.explain(),
    )


def _step(policy: Checkpoints) -> int:
    return int(policy.training.status().get("step") or 0)


def _record(policy: Checkpoints, phase: str = "") -> Manifest | None:
    """The newest rollback, under way or done (or only one that has come to `phase`)."""
    status = policy.status()
    found = [record for record in (status.get("rollback"), *status.get("history", ())) if record]
    return next((record for record in found if not phase or record["phase"] == phase), None)


def _is_good(policy: Checkpoints, step: int | None) -> bool:
    """Whether a step is one from before the fault, as far back as the newest good one or further."""
    return step is not None and step <= int((_record(policy) or {}).get("toStep", 0))


def _trains_on(policy: Checkpoints) -> bool:
    status = policy.training.status()
    return status.get("attempt") == 2 and status.get("phase") == "Running"


def _figure(record: Manifest, name: str) -> str:
    value = record.get(name)
    return f"{value:.2f}" if isinstance(value, float | int) else "nothing"
