"""CheckpointPolicy: which checkpoint of a training is served, which are kept, and when to go back to an earlier one.

See docs/reference/checkpointpolicy.md for the page generated from this file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from accord.api.base import Duration, Model, Rule, span_rule
from accord.api.v1alpha1.meta import (
    KSTATUS,
    Conditions,
    ConditionType,
    DnsLabel,
    DnsSubdomain,
    LocalObjectReference,
    ObjectMeta,
    PrinterColumn,
    PrometheusEndpoint,
    Resource,
    Timestamp,
)
from accord.api.v1alpha1.trainingrun import Step

LabelValue = Annotated[str, Field(max_length=253)]
WindowSteps = Annotated[int, Field(ge=1, le=1_000_000_000)]
Signal = Literal["LossSpike", "RewardDrop", "KLSpike", "ExplainedVarianceDrop", "NonFinite", "Manual"]

_BASELINE = Rule(
    "self.baselineWindow > self.window",
    "baselineWindow must be greater than window: the recent steps are compared with those before them",
    ".baselineWindow",
)


class Source(Model):
    """Checkpoints of a training that is not managed as a TrainingRun."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.selector.all(k, k.matches('^[a-zA-Z_][a-zA-Z0-9_]{0,62}$'))",
            "the keys of selector must be Prometheus label names: letters, digits and _, at most 63",
            ".selector",
        ),
    )

    claim_name: DnsSubdomain
    """PersistentVolumeClaim that contains the checkpoints, in the same namespace."""
    selector: Annotated[dict[str, LabelValue], Field(min_length=1, max_length=16)]
    """Labels that select the trainer's series in Prometheus, such as `{job: my-trainer}`. The policy's namespace is
    always added."""


class Serving(Model):
    """How checkpoints are served."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("minInterval", "0s", "168h"),
        Rule("!has(self.step) || self.follow == 'Manual'", "step can only be used with follow Manual", ".step"),
        Rule(
            "self.volume == oldSelf.volume || self.deploymentRef.name != oldSelf.deploymentRef.name",
            "volume cannot change unless deploymentRef changes too: recreate the CheckpointPolicy (serving does not "
            "change)",
            ".volume",
        ),
    )

    deployment_ref: LocalObjectReference
    """Deployment that serves the checkpoints, in the policy's namespace."""
    volume: DnsLabel
    """Volume of the Deployment's pod template whose `claimName` (or `subPath`) Accord sets."""
    follow: Literal["Latest", "Best", "Manual"] = "Latest"
    """Which checkpoint to serve: `Latest`, the newest verified one; `Best`, the best one; `Manual`, the one in
    `step`."""
    step: Step | None = None
    """Step to serve with `follow: Manual`. If not set, serving does not change."""
    new_run: Literal["WhenAsGood", "Immediately", "Never"] = "WhenAsGood"
    """When to serve a new run (a recreated one, or another `trainingRunRef`) instead of the previous one. `WhenAsGood`:
    from its first checkpoint that is as good by `bestModel.metric`, or, if one of the two has no value of it, from the
    served step on. `Immediately`: from its first checkpoint. `Never`: only if chosen manually."""
    min_interval: Duration = timedelta(minutes=1)
    """Minimum time between two promotions. Does not delay rollbacks."""
    storage_class_name: DnsSubdomain | None = None
    """StorageClass of the served claims with method VolumeSnapshot (default: that of the trainer's claim). Required if
    the trainer's claim has none, as with a manually created PersistentVolume."""


class Retention(Model):
    """Which checkpoints to keep."""

    max: Annotated[int, Field(ge=1, le=200)] = 20
    """Number of newest ready and verified checkpoints to keep. The best one, the served one and those that a rollback
    may need are kept in addition."""


class BestModel(Model):
    """How the best checkpoint is chosen."""

    metric: Literal["Reward", "Loss"] = "Reward"
    """`Reward`: highest mean reward. `Loss`: lowest mean loss."""


class LossSpike(Model):
    """Detection of a loss that is high compared with its past.

    Not proof by itself, because a breakthrough looks the same: with method Adaptive it only pauses promotion, and fails
    a check only if no return is reported and the loss stays above all that it ever was.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        _BASELINE,
        Rule("self.threshold > 1.0", "threshold must be greater than 1: 2 means twice the baseline", ".threshold"),
    )

    enabled: bool = True
    """Whether this signal is checked."""
    threshold: Annotated[float, Field(ge=1, le=1_000_000)] = 2.0
    """Ratio of recent loss to baseline that counts as a spike (method Ratio); minimum effect (method Adaptive)."""
    window: WindowSteps = 100
    """Number of training steps that count as recent."""
    baseline_window: WindowSteps = 1000
    """Number of training steps before those, for comparison."""


class RewardDrop(Model):
    """Detection of a reward that is low compared with its past."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _BASELINE,
        Rule(
            "self.threshold > 0.0 && self.threshold < 1.0",
            "threshold must be between 0 and 1, both excluded: 0.25 means that a quarter is lost",
            ".threshold",
        ),
    )

    enabled: bool = True
    """Whether this signal is checked."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the reward that must be lost to count as a drop. Method Adaptive: share of what the training had learnt,
    that is, of the best sustained level minus the level at the start; it means the same for rewards above, around and
    below zero. Until something has been learnt, it is a share of the level itself if all rewards are positive, else of
    four standard deviations of a reward. Method Ratio: recent < baseline × (1 − threshold), which every training with
    negative rewards fails."""
    window: WindowSteps = 100
    """Minimum number of training steps that count as recent."""
    baseline_window: WindowSteps = 1000
    """Minimum number of training steps before those. Method Ratio: number of training steps to compare with."""


class KLSpike(Model):
    """Detection of updates that change the policy far more than those before: a high approximate KL divergence.

    Not proof by itself, because such an update may also be a good one.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        _BASELINE,
        Rule("self.threshold > 1.0", "threshold must be greater than 1: 2 means twice the baseline", ".threshold"),
    )

    enabled: bool = False
    """Whether this signal is checked. Needs a trainer that reports `ppo_approx_kl`."""
    threshold: Annotated[float, Field(ge=1, le=1_000_000)] = 2.0
    """Ratio of recent approximate KL divergence to baseline that counts as a spike."""
    minimum: Annotated[float, Field(ge=0, le=1_000_000)] = 0.05
    """Approximate KL divergence up to which there is no spike. Healthy updates have 0.001 to 0.05."""
    window: WindowSteps = 100
    """Number of training steps that count as recent."""
    baseline_window: WindowSteps = 1000
    """Number of training steps before those, for comparison."""


class ExplainedVarianceDrop(Model):
    """Detection of a value function that explains far less of the returns than before.

    Not proof by itself, because it also falls when all returns become alike.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        _BASELINE,
        Rule(
            "self.threshold > 0.0", "threshold must be greater than 0: 0.5 means a fall from 0.9 to 0.4", ".threshold"
        ),
    )

    enabled: bool = False
    """Whether this signal is checked. Needs a trainer that reports `ppo_explained_variance`."""
    threshold: Annotated[float, Field(ge=0, le=2)] = 0.5
    """Fall of the explained variance that counts as a drop. Values below -1 count as -1."""
    window: WindowSteps = 100
    """Number of training steps that count as recent."""
    baseline_window: WindowSteps = 1000
    """Number of training steps before those, for comparison."""


class Detection(Model):
    """How a failing training is detected."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("interval", "1s", "1h"),)

    method: Literal["Adaptive", "Ratio"] = "Adaptive"
    """`Adaptive` fails a training whose return has dropped significantly, lastingly, and by more than this training has
    recovered from before. `Ratio` only compares the means of two windows: of 121 healthy recorded runs it rolled back
    115."""
    sensitivity: Literal["Low", "Medium", "High"] = "Medium"
    """How much evidence `Adaptive` needs: `Low` needs the most. On 242 recorded held-out runs, 121 healthy and 54
    harmed, `Low`, `Medium` and `High` rolled back 0, 1 and 6 healthy runs, and 0, 1 and 6 before their fault; they
    caught 52, 52 and 48 harmed ones, 49, 50 and 47 of them within 20 episodes or 3 updates of losing half. Where only a
    loss is reported, `Medium` rolled back 2 healthy runs, and 22 harmed ones: see `rollback.approval`."""
    loss_spike: LossSpike = LossSpike()
    """Detection of a loss that is high compared with its past."""
    reward_drop: RewardDrop = RewardDrop()
    """Detection of a reward that is low compared with its past."""
    kl_spike: KLSpike = KLSpike()
    """Detection of updates that change the policy far more than those before (approximate KL divergence). Disabled by
    default; only pauses promotion. Of healthy runs it paused 0 of 119 recorded and 18 of 500 synthetic ones at some
    time; of 43 harmed ones it noticed 20."""
    explained_variance_drop: ExplainedVarianceDrop = ExplainedVarianceDrop()
    """Detection of a value function that explains far less of the returns than before: explained variance is 1 at best,
    and with 0 or less it predicts no better than the mean. Disabled by default; only pauses promotion. Of healthy runs
    it paused 6 of 119 recorded and 9 of 500 synthetic ones at some time; of 43 harmed ones it noticed 25."""
    nan_policy: Literal["Fail", "Ignore"] = "Fail"
    """How to treat a NaN or Inf that the trainer reports as a loss or reward: `Fail` treats it as divergence."""
    interval: Duration = timedelta(seconds=15)
    """Interval between checks."""
    endpoint: PrometheusEndpoint = "default"
    """Name of a Prometheus endpoint in the operator's configuration, not a URL."""


class Rollback(Model):
    """What to do when the training fails a check."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("cooldown", "1s", "168h"),)

    enabled: bool = True
    """Whether to roll back. Detection and alerts do not depend on this."""
    steps: Annotated[int, Field(ge=1, le=100)] = 1
    """Minimum number of verified checkpoints to go back. More if those were saved after the onset of the fault."""
    max: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of automatic rollbacks of a training. Any further rollback waits for approval."""
    cooldown: Duration = timedelta(minutes=10)
    """Minimum time between two rollbacks."""
    approval: Literal["Automatic", "Manual"] = "Automatic"
    """`Manual` waits for `accord approve`, which sets the annotation `accord.dev/approved-rollback`."""
    while_waiting: Literal["Pause", "Continue"] = "Pause"
    """What the TrainingRun does while a rollback waits for approval or cannot be completed yet. `Pause`: it is
    suspended, and resumes when the rollback is completed or rejected. `Continue`: it keeps training. No effect with
    `source` or `training: Ignore`."""
    training: Literal["Restart", "Stop", "Ignore"] = "Restart"
    """What the TrainingRun does: `Restart` from the target in a new attempt, `Stop`, or `Ignore` the rollback and keep
    training. No effect with `source`."""


class CheckpointPolicySpec(Model):
    """Which checkpoints to serve and keep, and when to roll back."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("snapshotWarnAfter", "1s", "168h"),
        Rule(
            "has(self.trainingRunRef) != has(self.source)",
            "give exactly one of trainingRunRef (a TrainingRun) and source (a training of your own)",
        ),
        Rule(
            "!has(self.className) || self.method == 'VolumeSnapshot'",
            "className can only be used with method VolumeSnapshot",
            ".className",
        ),
        Rule(
            "!has(self.serving) || !has(self.serving.storageClassName) || self.method == 'VolumeSnapshot'",
            "storageClassName can only be used with method VolumeSnapshot",
            ".serving.storageClassName",
        ),
        Rule(
            "self.method == oldSelf.method",
            "method cannot change: delete and recreate the CheckpointPolicy (serving does not change)",
            ".method",
        ),
        Rule(
            "!has(self.rollbackTo) || has(self.serving)",
            "rollbackTo needs serving: there is nothing to roll back without it",
            ".rollbackTo",
        ),
    )

    training_run_ref: LocalObjectReference | None = None
    """TrainingRun that saves the checkpoints, in the same namespace. Mutually exclusive with `source`."""
    source: Source | None = None
    """Checkpoints of a training that is not managed as a TrainingRun. Mutually exclusive with `trainingRunRef`."""
    serving: Serving | None = None
    """How checkpoints are served. If not set, checkpoints are only kept and the training is only checked."""
    method: Literal["VolumeSnapshot", "SubPath"] = "VolumeSnapshot"
    """`VolumeSnapshot` takes a CSI snapshot of each checkpoint. `SubPath`, for clusters without CSI snapshots, serves a
    directory of the trainer's own volume, which must be ReadWriteMany. Immutable."""
    class_name: DnsSubdomain | None = None
    """VolumeSnapshotClass (default: the driver's)."""
    snapshot_warn_after: Duration = timedelta(minutes=10)
    """Report a snapshot that is not ready after this time. Accord waits for it as long as the driver reports no error,
    and takes no other snapshot of the volume meanwhile."""
    retention: Retention = Retention()
    """Which checkpoints to keep."""
    best_model: BestModel = BestModel()
    """How the best checkpoint is chosen."""
    detection: Detection = Detection()
    """How a failing training is detected."""
    rollback: Rollback = Rollback()
    """What to do when the training fails a check."""
    rollback_to: Step | None = None
    """Roll back to this step now, regardless of approval and cooldown."""
    suspend: bool = False
    """Suspend the policy: no snapshot, promotion, rollback or deletion."""


class CheckpointStatus(Model):
    """One checkpoint."""

    step: int
    """Training step at which it was saved."""
    attempt: int
    """Attempt of the run that saved it."""
    training: str = ""
    """Training that saved it, as in label `accord.dev/training`. A recreated run is another training."""
    snapshot: str | None = None
    """Its VolumeSnapshot."""
    ready: bool = False
    """Whether it can be restored."""
    verified: bool = False
    """Whether its files match its manifest."""
    quarantined: bool = False
    """Whether it is excluded from serving: it was saved after the onset of a fault, or serving pods did not start with
    it."""
    loss: float | None = None
    """Mean loss when it was saved."""
    reward: float | None = None
    """Mean reward when it was saved."""
    created_at: Timestamp | None = None
    """When it was saved."""


class Served(Model):
    """The served checkpoint."""

    step: int | None = None
    """Step of the checkpoint."""
    attempt: int | None = None
    """Attempt of the run that saved it."""
    training: str | None = None
    """Training that saved it, as in label `accord.dev/training`."""
    claim_name: str | None = None
    """PersistentVolumeClaim that the Deployment mounts."""
    sub_path: str | None = None
    """Directory in that volume (method SubPath)."""
    since: Timestamp | None = None
    """When its pods became available."""


class Switch(Model):
    """A change of the served checkpoint in progress. It is recorded before the Deployment is changed."""

    why: Literal["Promotion", "Rollback", "Revert"]
    """Cause of the change. `Revert`: the pods did not become available, and serving is reverted."""
    step: int | None = None
    """Step of the checkpoint to serve."""
    attempt: int | None = None
    """Attempt of the run that saved it."""
    training: str | None = None
    """Training that saved it, as in label `accord.dev/training`."""
    claim_name: str
    """PersistentVolumeClaim to mount."""
    sub_path: str | None = None
    """Directory in that volume (method SubPath)."""
    since: Timestamp
    """When the change was decided."""
    patched_at: Timestamp | None = None
    """When the Deployment was observed to have it."""
    waiting: Literal["Room", "Volume"] | None = None
    """What its pods are waiting for. `Room`: capacity, or anything else that does not depend on the checkpoint; no
    timeout. `Volume`: their volume; timeout half an hour."""
    timed_from: Timestamp | None = None
    """When that wait ended and the Deployment's progress deadline started again."""
    failed_step: int | None = None
    """With Revert: step of the checkpoint that the pods did not start with. Not set if the checkpoint was not the
    cause."""
    failed_attempt: int | None = None
    """With Revert: attempt that saved it."""
    failed_training: str | None = None
    """With Revert: training that saved it, as in label `accord.dev/training`."""
    message: str | None = None
    """With Revert: why the checkpoint is not served."""


class Setback(Model):
    """A checkpoint that could not be served, possibly not because of itself. The rollout is retried."""

    step: int | None = None
    """Step of the checkpoint."""
    attempt: int | None = None
    """Attempt that saved it."""
    training: str | None = None
    """Training that saved it, as in label `accord.dev/training`."""
    reason: str
    """Reason, in one CamelCase word."""
    message: str = ""
    """Human-readable explanation."""
    count: Annotated[int, Field(ge=1)] = 1
    """Number of consecutive failed tries."""
    unready: Annotated[int, Field(ge=0)] = 0
    """Failed tries in which a pod ran with this checkpoint and was not ready in time. The second one quarantines
    it."""
    at: Timestamp
    """When the last try ended."""


class SnapshotFailure(Model):
    """Failed snapshots of the newest checkpoint."""

    step: int
    """Step of the checkpoint."""
    attempt: int
    """Attempt of the run that saved it."""
    training: str | None = None
    """Training that saved it, as in label `accord.dev/training`."""
    count: Annotated[int, Field(ge=1)]
    """Number of failed snapshots."""
    at: Timestamp
    """When the last one was deleted."""
    message: str = ""
    """Error message of the snapshot."""


class Verdict(Model):
    """Result of the last check."""

    outcome: Literal["Pass", "Suspect", "Fail", "Inconclusive"]
    """`Suspect` pauses promotion; `Fail` rolls back; `Inconclusive` changes nothing."""
    signal: Signal | None = None
    """Signal that was detected."""
    rule: str | None = None
    """Rule that decided, and the kind of series it was applied to."""
    step: int | None = None
    """Newest step that was checked."""
    baseline: float | None = None
    """Level before (of returns, the best sustained level)."""
    recent: float | None = None
    """Current level."""
    limit: float | None = None
    """Level at which the check fails."""
    share: float | None = None
    """Of returns: share of what the training had learnt that is lost (1: all of it)."""
    samples: int | None = None
    """Number of samples in the recent window."""
    message: str | None = None
    """Human-readable explanation."""
    at: Timestamp | None = None
    """When the check was done."""


class Hold(Model):
    """Pause of promotion after a suspect or failed check. Ended by a passed check, a rollback or manual action."""

    outcome: Literal["Suspect", "Fail"]
    """Worst outcome of a check since then."""
    signal: Signal
    """Signal that was detected."""
    attempt: int | None = None
    """Attempt of the run in which it was detected."""
    since: Timestamp
    """When promotion was paused."""
    message: str = ""
    """Message of the check, with its figures."""


class RollbackRecord(Model):
    """A rollback, in progress or completed."""

    id: str
    """Identifies the fault, so that it causes only one rollback."""
    phase: Literal[
        "AwaitingApproval",
        "Restoring",
        "Switching",
        "RollingOut",
        "Restarting",
        "Done",
        "Reverting",
        "Retrying",
        "Failed",
        "Rejected",
    ]
    """Current phase."""
    attempt: int | None = None
    """Attempt of the run that failed the check."""
    onset: int | None = None
    """Earliest step that may contain the fault."""
    confirmed_step: int | None = None
    """Newest step that had been checked when the signal was confirmed."""
    from_step: int | None = None
    """Step served before the rollback."""
    to_step: int | None = None
    """Step to roll back to."""
    to_attempt: int | None = None
    """Attempt that saved that checkpoint."""
    to_training: str | None = None
    """Training that saved it, as in label `accord.dev/training`. With `rollbackTo` it may be an earlier training."""
    signal: Signal
    """Signal that was detected."""
    baseline: float | None = None
    """Level before."""
    recent: float | None = None
    """Level that was detected."""
    started_at: Timestamp
    """When the signal was confirmed."""
    waiting_since: Timestamp | None = None
    """Since when it cannot be completed, for example because of missing capacity, a quota or a volume. The training is
    paused from then on."""
    completed_at: Timestamp | None = None
    """When the rollback was completed."""
    message: str | None = None
    """What went wrong, or what the rollback is waiting for."""


class CheckpointPolicyStatus(Model):
    """Observed state of the policy."""

    observed_generation: int | None = None
    """The `metadata.generation` that this status describes."""
    conditions: Conditions = []
    """Conditions of the policy, following kstatus."""
    serving: Served | None = None
    """The served checkpoint."""
    latest_step: int | None = None
    """Newest verified checkpoint of this training. Checkpoints of an earlier run of that name do not count."""
    best_step: int | None = None
    """Best verified checkpoint of this training."""
    best_value: float | None = None
    """Mean reward or loss of the best checkpoint."""
    rollbacks: int | None = None
    """Number of completed rollbacks of this training."""
    passed_over: int | None = None
    """Number of checkpoints of this training without a snapshot, because a newer one was saved before theirs was
    taken."""
    checkpoints: Annotated[
        list[CheckpointStatus],
        Field(max_length=400, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = []
    """Checkpoints that are kept."""
    detection: Verdict | None = None
    """Result of the last check."""
    hold: Hold | None = None
    """Why promotion is paused. Missing data never ends the pause."""
    switch: Switch | None = None
    """The change of the served checkpoint in progress."""
    put_back: Annotated[
        list[Timestamp], Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = []
    """The last three times that Accord reverted a change of the Deployment by another client."""
    setback: Setback | None = None
    """Why the desired checkpoint is not served yet."""
    snapshot_failure: SnapshotFailure | None = None
    """Why the newest checkpoint has no snapshot."""
    training: str | None = None
    """UID of the TrainingRun that `rollbacks` counts for."""
    handled_rollback_to: int | None = None
    """Last `spec.rollbackTo` that was handled. To repeat a rollback to that step, remove the field first."""
    rollback: RollbackRecord | None = None
    """The rollback in progress."""
    history: Annotated[list[RollbackRecord], Field(max_length=10)] = []
    """The last ten rollbacks, newest first."""


class CheckpointPolicy(Resource):
    """Serves checkpoints of a training, and rolls back to the last good one when the training fails."""

    kind: ClassVar[str] = "CheckpointPolicy"
    plural: ClassVar[str] = "checkpointpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("cp",)
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Serving", ".status.serving.step", type="integer"),
        PrinterColumn("Latest", ".status.latestStep", type="integer"),
        PrinterColumn("Best", ".status.bestStep", type="integer"),
        PrinterColumn("Rollbacks", ".status.rollbacks", type="integer"),
        PrinterColumn("Healthy", '.status.conditions[?(@.type=="Healthy")].status'),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
    )
    conditions: ClassVar[tuple[ConditionType, ...]] = (
        ConditionType("Accepted", "The spec is valid and supported by this version of the operator."),
        *KSTATUS,
        ConditionType("Healthy", "The last check passed. Unknown if there is not enough data."),
        ConditionType("Promoted", "The served checkpoint is the one that `serving.follow` selects."),
        ConditionType(
            "Snapshotted",
            "The newest checkpoint that the trainer reports has a snapshot. Reason `Ready`: all others have one, too; "
            "`PassedOver`: the message says how many do not.",
        ),
        ConditionType(
            "RolledBack", "The current attempt of the training, or the served checkpoint, is the result of a rollback."
        ),
    )

    metadata: ObjectMeta
    spec: CheckpointPolicySpec
    status: CheckpointPolicyStatus = CheckpointPolicyStatus()
