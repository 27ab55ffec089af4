"""An object as the status shows it: which one, and whether all is well with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import ValidationError

from accord.api.base import Manifest
from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import Condition
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.trees import Node, Span, Tone, node
from accord.domain.conditions import find

State = Literal["Ready", "Reconciling", "Stalled", "Terminating", "Unknown", "Unreadable"]
_TONES: dict[State, Tone] = {"Ready": "good", "Reconciling": "warning", "Terminating": "warning", "Unknown": "warning"}
_EXPECTED = {
    TrafficPolicy.kind: ("Accepted", "ResolvedRefs", "ModesAvailable", "Programmed", "WithinTarget"),
    TrainingRun.kind: ("Accepted", "MetricsAvailable", "OnSchedule", "Retuning"),
    CheckpointPolicy.kind: ("Accepted", "Healthy", "Promoted", "Snapshotted"),
}
"""Conditions that should be True. Of the others True may be good news or bad, and they are told in other ways."""
_AT_REST = frozenset({"Suspended", "StoppedByRollback", "AwaitingApproval", "AwaitingRollback"})
"""Reasons for Ready=True that somebody waits behind."""

Known = TrafficPolicy | TrainingRun | CheckpointPolicy


@dataclass(frozen=True)
class Seen:
    """One object. `model` is None if it does not fit this version; then `flaw` says why."""

    kind: str
    manifest: Manifest
    model: Known | None
    flaw: str = ""

    @classmethod
    def of(cls, kind: str, manifest: Manifest) -> Seen:
        """From a live object."""
        model = next(each for each in KINDS if each.kind == kind)
        try:
            found = model.model_validate(manifest)
        except ValidationError as error:
            first = error.errors()[0]
            return cls(kind, manifest, None, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        assert isinstance(found, TrafficPolicy | TrainingRun | CheckpointPolicy)  # noqa: S101
        return cls(kind, manifest, found)

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """`metadata.namespace`."""
        return str(self.manifest["metadata"]["namespace"])

    @cached_property
    def verdict(self) -> tuple[State, str, str]:
        """State after kstatus, reason and message."""
        if self.model is None:
            return "Unreadable", "Unreadable", f"does not fit this version of accord: {self.flaw}"
        if self.model.metadata.deletion_timestamp is not None:
            return "Terminating", "Terminating", "is being deleted"
        conditions, status = self.model.status.conditions, self.model.status
        ready = find(conditions, "Ready")
        if ready is None:
            return "Unknown", "NotObserved", "no status yet: the operator has not seen it"
        if (status.observed_generation or 0) < self.model.metadata.generation:
            return "Reconciling", "NotObserved", "the operator has not seen the newest spec yet"
        if ready.status == "True":
            return "Ready", ready.reason, ready.message
        stalled = find(conditions, "Stalled")
        state: State = "Stalled" if stalled is not None and stalled.status == "True" else "Reconciling"
        return state, ready.reason, ready.message

    @property
    def is_ready(self) -> bool:
        """Whether the spec is fully applied."""
        return self.verdict[0] == "Ready"

    @property
    def problems(self) -> tuple[Condition, ...]:
        """Conditions that are not as they should be, but for those that only repeat the verdict, or that nothing runs
        that could be measured.
        """
        if self.model is None:
            return ()
        state, reason, message = self.verdict
        return tuple(
            condition
            for condition in self.model.status.conditions
            if condition.type in _EXPECTED[self.kind] and condition.status != "True"
            if condition.reason != "NotRunning"
            # What is Ready and waits for the next checkpoint has no problem; the object's line says so.
            if condition.reason != reason or (state != "Ready" and condition.message != message)
        )


def headline(seen: Seen, children: tuple[Node, ...]) -> Node:
    """The line of an object: kind, name, state, and what the operator says of it."""
    state, tone, said = summary(seen)
    return node(
        f"{seen.kind} ",
        Span(f"{seen.namespace}/{seen.name}", "strong"),
        "  ",
        Span(state, tone),
        Span(f"  {said}", "dim" if tone == "good" else "plain"),
        children=children,
    )


def summary(seen: Seen) -> tuple[State, Tone, str]:
    """State, how it looks, and what the operator says of it."""
    state, reason, message = seen.verdict
    tone = "warning" if reason in _AT_REST else _TONES.get(state, "bad")
    return state, tone, message if reason == state else told(reason, message)


def problems(seen: Seen) -> Iterator[Node]:
    """A line for each condition that is not as it should be."""
    for condition in seen.problems:
        is_bad = condition.status == "False"
        yield node(
            Span("✗ " if is_bad else "? ", "bad" if is_bad else "warning"),
            Span(condition.type, "bad" if is_bad else "warning"),
            f"  {told(condition.reason, condition.message)}",
        )


def told(reason: str, message: str) -> str:
    """Both, if the message does not begin with that word already."""
    if message.lower().startswith(f"{reason.lower()}:"):
        return message
    return f"{reason}: {message}" if message else reason
