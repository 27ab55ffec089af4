"""A CheckpointPolicy: what is served, which checkpoints there are, its rollbacks, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.cli.status import wording
from accord.cli.trees import Node, Span, node

_FEW = 5


def lines(policy: CheckpointPolicy, now: datetime) -> Iterator[Node]:
    """What is below a policy."""
    if policy.spec.source is not None:
        yield node(f"source claim {policy.spec.source.claim_name}")
    yield from serving(policy, now)
    yield snapshots(policy)
    yield rollbacks(policy, now)
    yield from waiting(policy, now)


def serves(policy: CheckpointPolicy) -> str:
    """What the Deployment serves, for those who see the Deployment; empty if it serves no checkpoint."""
    served = policy.status.serving
    if served is None or served.step is None:
        return ""
    return f"serves step {served.step} of CheckpointPolicy {policy.metadata.name}"


def serving(policy: CheckpointPolicy, now: datetime) -> Iterator[Node]:
    """What is served, and what is to be."""
    spec, served = policy.spec.serving, policy.status.serving
    if spec is None:
        yield node(Span("serves nothing: spec.serving is not set", "dim"))
        return
    where = Span(f"  Deployment {spec.deployment_ref.name}, follow {spec.follow}", "dim")
    if served is None or served.step is None:
        yield node(Span("serves no checkpoint yet", "warning"), where)
    else:
        since = f" (attempt {served.attempt})" if served.attempt is not None else ""
        since += f" {wording.lasting(served.since, now)}" if served.since else ""
        yield node("serves ", Span(f"step {served.step}", "strong"), since, where)
    switch = policy.status.switch
    if switch is not None:
        what = f"step {switch.step}" if switch.step is not None else "no checkpoint"
        waits = {"Room": ", waiting for capacity", "Volume": ", waiting for its volume"}.get(switch.waiting or "", "")
        yield node(
            Span(f"{switch.why.lower()} to {what}", "warning"),
            f" {wording.lasting(switch.since, now)}{waits}" + (f": {switch.message}" if switch.message else ""),
        )
    setback = policy.status.setback
    if setback is not None:
        tries = f", {setback.count} tries" if setback.count > 1 else ""
        yield node(Span(f"step {setback.step} not served", "warning"), f"{tries}: {setback.reason}: {setback.message}")


def snapshots(policy: CheckpointPolicy) -> Node:
    """Which checkpoints there are."""
    status = policy.status
    kept = status.checkpoints
    usable = sum(1 for each in kept if each.ready and each.verified and not each.quarantined)
    quarantined = [each.step for each in kept if each.quarantined]
    spans = [Span(f"checkpoints {len(kept)}, {usable} usable of at most {policy.spec.retention.max}")]
    if status.latest_step is not None:
        spans.append(Span(f", latest {status.latest_step}"))
    if status.best_step is not None:
        metric = policy.spec.best_model.metric.lower()
        value = "" if status.best_value is None else f" ({metric} {wording.figure(status.best_value)})"
        spans.append(Span(f", best {status.best_step}{value}", "good"))
    if quarantined:
        listed = ", ".join(map(str, quarantined[-_FEW:]))
        more = f"{len(quarantined)}, newest " if len(quarantined) > _FEW else ""
        spans.append(Span(f", quarantined {more}{listed}", "bad"))
    if status.passed_over:
        spans.append(Span(f", {status.passed_over} without snapshot", "warning"))
    failure = status.snapshot_failure
    if failure is not None:
        said = f", snapshot of step {failure.step} failed {wording.count(failure.count, 'time')}: {failure.message}"
        spans.append(Span(said, "bad"))
    return node(*spans)


def rollbacks(policy: CheckpointPolicy, now: datetime) -> Node:
    """How many there were, and the last one."""
    done, most = policy.status.rollbacks or 0, policy.spec.rollback.max
    spent = done >= most
    spans = [Span(f"rollbacks {done} of {most}", "bad" if spent else "warning" if done else "plain")]
    if not policy.spec.rollback.enabled:
        spans.append(Span(", off: spec.rollback.enabled is false", "warning"))
    elif spent:
        spans.append(Span(", the next one needs approval"))
    elif policy.spec.rollback.approval == "Manual":
        spans.append(Span(", by approval", "dim"))
    last = next(iter(policy.status.history), None)
    below = []
    if last is not None:
        when = last.completed_at or last.started_at
        said = f": {last.message}" if last.message else f": {last.signal}"
        below.append(node(f"last {last.phase} {wording.ago(when, now)}{said}"))
    return node(*spans, children=below)


def waiting(policy: CheckpointPolicy, now: datetime) -> Iterator[Node]:
    """What is under way, and what holds it."""
    hold, record = policy.status.hold, policy.status.rollback
    if hold is not None:
        yield node(
            Span("promotion paused", "warning"),
            f" {wording.lasting(hold.since, now)}: {hold.outcome} {hold.signal}: {hold.message}",
        )
    if record is None:
        return
    name, namespace = policy.metadata.name, policy.metadata.namespace
    how = [
        node(f"approve: accord approve {name} -n {namespace}"),
        node(f"reject:  accord approve {name} -n {namespace} --reject"),
    ]
    yield node(
        Span(f"rollback to step {record.to_step}: {record.phase}", "bad"),
        f" {wording.lasting(record.started_at, now)}: {record.message or record.signal}",
        children=how if record.phase == "AwaitingApproval" else (),
    )
