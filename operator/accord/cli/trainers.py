"""What a trainer reported, for commands that ask a Prometheus server themselves."""

from __future__ import annotations

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.domain.checkpoint.detection.live import selector, source_labels
from accord.kinds import pods_of


def query(policy: CheckpointPolicy, reach: str) -> str:
    """PromQL for all samples of the last `reach` (`2h`) that the policy is checked by, of each attempt of its run."""
    if policy.spec.training_run_ref is not None:
        return selector(policy, [f'pod=~"{pods_of(policy.spec.training_run_ref.name)}"'], reach)
    return selector(policy, source_labels(policy.spec.source.selector if policy.spec.source is not None else {}), reach)
