"""A TrainingRun: how far it is, in which attempt, its figures, milestones and suggestions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.status import wording
from accord.cli.trees import Node, Span, node
from accord.domain.conditions import find

QUARTERS = (0, 25, 50, 75, 100)


def lines(run: TrainingRun, now: datetime) -> Iterator[Node]:
    """What is below a run."""
    yield _progress(run, now)
    if run.status.attempt:
        yield attempt(run)
    figures = _figures(run)
    if figures:
        yield node(figures, schedule(run))
    if run.status.milestones:
        yield _milestones(run)
    yield from suggestions(run)


def suggestions(run: TrainingRun) -> Iterator[Node]:
    """What ratings suggest."""
    for suggestion in run.status.suggestions:
        applied = suggestion.applied_in_attempt
        yield node(
            Span("suggestion", "warning" if applied is None else "dim"),
            f"  {suggestion.field} {wording.figure(suggestion.current)} → {wording.figure(suggestion.suggested)}",
            Span(
                f"  {suggestion.rule}: mean {wording.figure(suggestion.mean)}, std {wording.figure(suggestion.std)} of "
                f"{suggestion.ratings} ratings" + ("" if applied is None else f"; applied in attempt {applied}"),
                "dim",
            ),
        )


def _progress(run: TrainingRun, now: datetime) -> Node:
    status, total = run.status, run.spec.total_steps
    if status.step is None:
        return node(f"no step reported of {total}")
    spans = [Span(f"{status.progress_bar}  " if status.progress_bar else "", "good")]
    spans.append(Span(f"step {status.step} of {total}"))
    if status.estimated_completion is not None and status.completion_time is None:
        spans.append(Span(f"  done {wording.ahead(status.estimated_completion, now)}", "dim"))
    if status.completion_time is not None:
        spans.append(Span(f"  ended {wording.ago(status.completion_time, now)}", "dim"))
    return node(*spans)


def attempt(run: TrainingRun) -> Node:
    """Which attempt it is, and why."""
    status = run.status
    said = [f"attempt {status.attempt}"]
    if status.job_ref is not None:
        said.append(f"{run.spec.engine.type} {status.job_ref.name}")
    restart = status.restart
    if restart is not None and restart.attempt == status.attempt:
        said.append(f"restarted from step {restart.from_step} after a rollback ended attempt {restart.ended_attempt}")
    failed = f", {wording.count(status.failed_pods, 'failed pod')}" if status.failed_pods else ""
    return node(", ".join(said), Span(failed, "warning"))


def _figures(run: TrainingRun) -> str:
    status = run.status
    named = (
        ("reward", status.reward),
        ("loss", status.loss),
        ("entropy", status.entropy_coef),
        ("learning rate", status.learning_rate),
    )
    return "  ".join(f"{name} {wording.figure(value)}" for name, value in named if value is not None)


def schedule(run: TrainingRun) -> Span:
    """Whether it keeps to its schedules; empty where that is not known."""
    told = find(run.status.conditions, "OnSchedule")
    return Span("  on schedule", "good") if told is not None and told.status == "True" else Span("")


def _milestones(run: TrainingRun) -> Node:
    reached = {each.percent: each for each in run.status.milestones}
    spans = [Span("milestones")]
    for percent in QUARTERS:
        found = reached.get(percent)
        if found is None:
            spans.append(Span(f"  – {percent}%", "dim"))
        else:
            reward = "" if found.reward is None else f" (reward {wording.figure(found.reward)})"
            spans += [Span(f"  ✓ {percent}%", "good"), Span(reward, "dim")]
    return node(*spans)
