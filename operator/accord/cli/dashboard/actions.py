"""What the buttons do: the same decisions as `accord approve`, `rollback`, `pause` and `resume`, taken of one object.

A button is offered with its patch. When it is pressed the decision is taken again of the live object, and carried out
only if it is still the same: what was shown is what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.cli import acting
from accord.cli.acting import Change, Decide
from accord.cli.approve.approving import answered
from accord.cli.errors import InputError, NegativeError
from accord.cli.pause.suspending import MEANS, suspended
from accord.cli.rollback.choosing import back_to

Name = Literal["approve", "reject", "rollback", "pause", "resume"]
NAMES: tuple[Name, ...] = get_args(Name)
_OF_CHECKPOINTS = ("approve", "reject", "rollback")


@dataclass(frozen=True)
class Offer:
    """A button."""

    name: Name
    step: int | None
    """Of a rollback: the checkpoint."""
    label: str
    means: str
    """What will happen, in a sentence."""
    patch: Mapping[str, Any]
    warning: str | None
    """What is to be known before, such as that the object comes from Git."""


def decision(name: Name, kind: str, step: int | None) -> Decide:
    """What an action decides of a live object. InputError for one that this kind does not have."""
    if name in _OF_CHECKPOINTS and kind != CheckpointPolicy.kind:
        raise InputError(f"{name} applies to CheckpointPolicies, not to {kind}")
    if (name == "rollback") != (step is not None):
        raise InputError("step is required for rollback, and only there")
    if name in ("approve", "reject"):
        return partial(answered, reject=name == "reject")
    if step is not None:
        return partial(back_to, step=step)
    return partial(suspended, suspend=name == "pause")


def unchanged(decide: Decide, patch: Mapping[str, Any]) -> Decide:
    """The same decision, refused with NegativeError where it is no longer that patch."""

    def checked(manifest: Manifest) -> Change:
        decided = decide(manifest)
        if decided.patch != patch:
            raise NegativeError("nothing was changed: the object is no longer as it was shown. Check it and try again")
        return decided

    return checked


def offers(manifest: Manifest) -> Iterator[Offer]:
    """What can be done to a whole object now. `manifest` has its kind."""
    for name, label in (("approve", "Approve"), ("reject", "Reject"), ("pause", "Pause"), ("resume", "Resume")):
        found = _offer(manifest, name, None, label)  # type: ignore[arg-type]
        if found is not None:
            yield found


def rollback(manifest: Manifest, step: int) -> Offer | None:
    """The way back to one checkpoint; None where it cannot be taken."""
    return _offer(manifest, "rollback", step, "Go back to this")


def _offer(manifest: Manifest, name: Name, step: int | None, label: str) -> Offer | None:
    try:
        decided = decision(name, manifest["kind"], step)(manifest)
    except (InputError, NegativeError, KeyError, TypeError):
        # KeyError, TypeError: an object that does not fit this version; it is shown with why, and without buttons.
        return None
    if decided.patch is None:
        return None
    means = _means(manifest, name, step)
    return Offer(name, step, label, means, decided.patch, acting.warning(manifest, decided))


def _means(manifest: Manifest, name: Name, step: int | None) -> str:
    if name == "pause":
        means = MEANS[manifest["kind"]]
        return f"{means[:1].upper()}{means[1:]}."
    if name == "resume":
        return "It continues where it was paused."
    if name == "reject":
        return "The rollback is not carried out. Serving does not change."
    goal = manifest["status"]["rollback"].get("toStep") if name == "approve" else step
    training = (manifest["spec"].get("rollback") or {}).get("training", "Restart")
    follows = {"Restart": " and training restarts from it", "Stop": " and training stops"}
    rest = follows.get(training, "") if "trainingRunRef" in manifest["spec"] else ""
    return f"Checkpoint {goal} is served{rest}. Newer checkpoints are quarantined."
