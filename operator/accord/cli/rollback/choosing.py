"""Whether a policy can be rolled back to a step, and how."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.cli.acting import Change
from accord.cli.errors import NegativeError

_MOST = 10


def back_to(policy: Manifest, *, step: int) -> Change:
    """NegativeError where there is no such checkpoint, or the field would do nothing."""
    name, spec, status = policy["metadata"]["name"], policy["spec"], policy.get("status") or {}
    if "serving" not in spec:
        raise NegativeError(f"CheckpointPolicy {name} serves nothing (no spec.serving): there is nothing to roll back")
    if spec.get("rollbackTo") == step:
        if status.get("handledRollbackTo") != step:
            return Change(f"the rollback to step {step} is requested already", None)
        raise NegativeError(
            f"spec.rollbackTo is {step} already, and that was done. To repeat it, remove the field first: "
            f"kubectl patch cp {name} -n {policy['metadata']['namespace']} --type merge "
            '-p \'{"spec":{"rollbackTo":null}}\''
        )
    usable = [
        each["step"]
        for each in status.get("checkpoints") or ()
        if each.get("ready") and each.get("verified") and not each.get("quarantined")
    ]
    if step not in usable:
        known = ", ".join(map(str, sorted(set(usable), reverse=True)[:_MOST])) or "none"
        quarantined = any(each["step"] == step for each in status.get("checkpoints") or () if each.get("quarantined"))
        why = "is quarantined" if quarantined else "is not a usable checkpoint"
        raise NegativeError(f"step {step} of CheckpointPolicy {name} {why}; the newest usable ones: {known}")
    if spec.get("suspend"):
        raise NegativeError(f"CheckpointPolicy {name} is suspended: first accord resume cp/{name}")
    return Change(f"rolling back to step {step}", {"spec": {"rollbackTo": step}}, "spec.rollbackTo")
