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
Signal = Literal["LossSpike", "RewardDrop", "NonFinite", "Manual"]

_BASELINE = Rule(
    "self.baselineWindow > self.window",
    "baselineWindow must be greater than window: the recent steps are compared with those before them",
    ".baselineWindow",
)


class Source(Model):
    """Checkpoints of a training that is not a TrainingRun."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.selector.all(k, k.matches('^[a-zA-Z_][a-zA-Z0-9_]{0,62}$'))",
            "the keys of selector must be Prometheus label names: letters, digits and _, at most 63",
            ".selector",
        ),
    )

    claim_name: DnsSubdomain
    """PersistentVolumeClaim that holds the checkpoints, in the same namespace."""
    selector: Annotated[dict[str, LabelValue], Field(min_length=1, max_length=16)]
    """Labels of the trainer's series in Prometheus, as `{job: my-trainer}`. The policy's namespace is always added."""


class Serving(Model):
    """Where checkpoints are served."""

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
    """The Deployment that serves, in the policy's own namespace."""
    volume: DnsLabel
    """Name of the volume in the Deployment's pod template whose claim (or subPath) is set."""
    follow: Literal["Latest", "Best", "Manual"] = "Latest"
    """`Latest` serves the newest verified checkpoint, `Best` the best one, `Manual` the one in `step`."""
    step: Step | None = None
    """Step to serve with follow Manual. Serving does not change when this is not set."""
    new_run: Literal["WhenAsGood", "Immediately", "Never"] = "WhenAsGood"
    """When a run takes over that is not the one whose checkpoint is served: another one of that name, or another
    `trainingRunRef`. `WhenAsGood`: with the first checkpoint that is as good by `bestModel.metric`; where one of the
    two has no figure, at the step that is served. `Immediately`: with its first one. `Never`: not by itself."""
    min_interval: Duration = timedelta(minutes=1)
    """Least time between two promotions. Rollbacks do not wait for it."""
    storage_class_name: DnsSubdomain | None = None
    """StorageClass of the claims that are served (method VolumeSnapshot). The class of the trainer's claim when not
    given; needed where that one has none, as with a PersistentVolume made by hand."""


class Retention(Model):
    """Which checkpoints are kept."""

    max: Annotated[int, Field(ge=1, le=200)] = 20
    """Newest ready and verified checkpoints to keep. The best, the served one and those that a rollback may need are
    kept besides."""


class BestModel(Model):
    """What makes a checkpoint the best one."""

    metric: Literal["Reward", "Loss"] = "Reward"
    """Highest mean reward, or lowest mean loss."""


class LossSpike(Model):
    """The loss is high against its past.

    By itself a suspicion, since a breakthrough looks the same: where returns are reported it pauses promotion, no more.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        _BASELINE,
        Rule("self.threshold > 1.0", "threshold must be greater than 1: 2 means twice the baseline", ".threshold"),
    )

    enabled: bool = True
    """Whether this signal is looked for."""
    threshold: Annotated[float, Field(ge=1, le=1_000_000)] = 2.0
    """Recent loss ÷ baseline that counts as a spike (method Ratio); the least effect (method Adaptive)."""
    window: WindowSteps = 100
    """Training steps that are recent."""
    baseline_window: WindowSteps = 1000
    """Training steps before those that they are compared with."""


class RewardDrop(Model):
    """The reward is low against its past."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _BASELINE,
        Rule(
            "self.threshold > 0.0 && self.threshold < 1.0",
            "threshold must be between 0 and 1, both excluded: 0.25 means that a quarter is lost",
            ".threshold",
        ),
    )

    enabled: bool = True
    """Whether this signal is looked for."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share that is lost. Method Adaptive: of what the training had learnt, which is the best level that lasted
    minus the level at its start, so that it means the same for rewards above, around and below zero. Until something
    has been learnt it is a share of the level itself where all rewards are positive, and of four standard deviations
    of a reward otherwise. Method Ratio: recent < baseline × (1 − threshold), to the letter, which below zero calls
    every training wrong."""
    window: WindowSteps = 100
    """Training steps that are recent, at least."""
    baseline_window: WindowSteps = 1000
    """Training steps before those that must have been seen, at least. Method Ratio: that are compared with."""


class Detection(Model):
    """What counts as a training gone wrong."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("interval", "1s", "1h"),)

    method: Literal["Adaptive", "Ratio"] = "Adaptive"
    """`Adaptive` asks for harm in the return that is no chance, lasts, and is deeper than what the training has come
    through before. `Ratio` compares the means of two windows and nothing else: of 121 healthy recorded runs it rolled
    back 115."""
    sensitivity: Literal["Low", "Medium", "High"] = "Medium"
    """How much proof `Adaptive` asks for. Of 242 recorded runs that nobody built on, 121 of them healthy and 54 harmed,
    `Low`, `Medium` and `High` rolled back 0, 0 and 0 healthy ones, and 0, 0 and 2 before their fault; they caught 52,
    52 and 51, of which 43, 49 and 50 within 20 episodes or 3 updates of when half was lost."""
    loss_spike: LossSpike = LossSpike()
    """The loss is high against its past."""
    reward_drop: RewardDrop = RewardDrop()
    """The reward is low against its past."""
    nan_policy: Literal["Fail", "Ignore"] = "Fail"
    """What a NaN or Inf means that the trainer reports: `Fail` takes it for divergence."""
    interval: Duration = timedelta(seconds=15)
    """Time between two checks."""
    endpoint: PrometheusEndpoint = "default"
    """Name of a Prometheus endpoint that the installer of the operator configured. A URL cannot be given here."""


class Rollback(Model):
    """What happens when the training has gone wrong."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("cooldown", "1s", "168h"),)

    enabled: bool = True
    """Whether anything is done; detection and its alerts go on without it."""
    steps: Annotated[int, Field(ge=1, le=100)] = 1
    """Verified checkpoints to go back, at least; further where those are later than the onset."""
    max: Annotated[int, Field(ge=1, le=100)] = 3
    """Rollbacks of one training without approval: each further one waits for approval."""
    cooldown: Duration = timedelta(minutes=10)
    """Time after a rollback in which there is no other."""
    approval: Literal["Automatic", "Manual"] = "Automatic"
    """`Manual` waits for `accord approve` (or the annotation `accord.dev/approved-rollback` that it sets)."""
    while_waiting: Literal["Pause", "Continue"] = "Pause"
    """What the TrainingRun does while a rollback waits for approval, or cannot be completed yet: `Pause` suspends it,
    so that it does not train on what went wrong; it goes on when the rollback is rejected. `Continue` lets it train.
    Without effect with `source` and with training Ignore."""
    training: Literal["Restart", "Stop", "Ignore"] = "Restart"
    """What the TrainingRun does: start a new attempt from the target, stop, or go on. Without effect with `source`."""


class CheckpointPolicySpec(Model):
    """Which checkpoints are served and kept, and when to roll back."""

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
    """The TrainingRun whose checkpoints these are, in the same namespace. Either this or `source`."""
    source: Source | None = None
    """Checkpoints of a training that is not a TrainingRun. Either this or `trainingRunRef`."""
    serving: Serving | None = None
    """Where checkpoints are served. Without it they are only kept and watched."""
    method: Literal["VolumeSnapshot", "SubPath"] = "VolumeSnapshot"
    """`VolumeSnapshot` takes a CSI snapshot of each checkpoint. `SubPath`, for clusters without CSI snapshots, serves a
    directory of the trainer's own volume, which must be ReadWriteMany. Cannot change."""
    class_name: DnsSubdomain | None = None
    """VolumeSnapshotClass; the driver's default when not given."""
    snapshot_warn_after: Duration = timedelta(minutes=10)
    """After how long a snapshot that is not ready is warned of. It is waited for as long as the driver reports no
    error; meanwhile no other snapshot of the volume is taken."""
    retention: Retention = Retention()
    """Which checkpoints are kept."""
    best_model: BestModel = BestModel()
    """What makes a checkpoint the best one."""
    detection: Detection = Detection()
    """What counts as a training gone wrong."""
    rollback: Rollback = Rollback()
    """What happens then."""
    rollback_to: Step | None = None
    """Roll back to this step now, without approval and cooldown."""
    suspend: bool = False
    """Keep everything as it is: no snapshot, no promotion, no rollback, no deletion."""


class CheckpointStatus(Model):
    """One checkpoint."""

    step: int
    """Training step at which it was saved."""
    attempt: int
    """Attempt of the run that saved it."""
    training: str = ""
    """Which training saved it, as in label `accord.dev/training`: a run that is recreated is another one."""
    snapshot: str | None = None
    """Its VolumeSnapshot."""
    ready: bool = False
    """Whether it can be restored."""
    verified: bool = False
    """Whether its manifest and the files agree."""
    quarantined: bool = False
    """Whether it is never served again: from after a training went wrong, or serving pods did not start with it."""
    loss: float | None = None
    """Mean loss when it was saved."""
    reward: float | None = None
    """Mean reward when it was saved."""
    created_at: Timestamp | None = None
    """When it was saved."""


class Served(Model):
    """What is served."""

    step: int | None = None
    """Step of the checkpoint."""
    attempt: int | None = None
    """Attempt of the run that saved it."""
    training: str | None = None
    """Which training saved it, as in label `accord.dev/training`."""
    claim_name: str | None = None
    """PersistentVolumeClaim that the Deployment mounts."""
    sub_path: str | None = None
    """Directory of that volume (method SubPath)."""
    since: Timestamp | None = None
    """When its pods were available."""


class Switch(Model):
    """A change of what is served that is in progress. It is recorded before the Deployment is changed."""

    why: Literal["Promotion", "Rollback", "Revert"]
    """Revert: the pods did not become available, and serving is reverted."""
    step: int | None = None
    """Step of the checkpoint that is to be served."""
    attempt: int | None = None
    """Attempt of the run that saved it."""
    training: str | None = None
    """Which training saved it, as in label `accord.dev/training`."""
    claim_name: str
    """PersistentVolumeClaim to mount."""
    sub_path: str | None = None
    """Directory of that volume (method SubPath)."""
    since: Timestamp
    """When it was decided."""
    patched_at: Timestamp | None = None
    """When the Deployment was seen to have it."""
    waiting: Literal["Room", "Volume"] | None = None
    """What its pods wait for: `Room`, or anything else that no checkpoint can fix, for as long as it lasts; or their
    `Volume`, for half an hour."""
    timed_from: Timestamp | None = None
    """When that was over, and the Deployment's deadline started again."""
    failed_step: int | None = None
    """With Revert: step of the checkpoint that the pods did not start with. None where it was not the checkpoint's
    fault."""
    failed_attempt: int | None = None
    """With Revert: attempt that saved it."""
    failed_training: str | None = None
    """With Revert: which training saved it, as in label `accord.dev/training`."""
    message: str | None = None
    """With Revert: why what was to be served is not."""


class Setback(Model):
    """A checkpoint that could not be served for a reason that may not be its own. The rollout is retried."""

    step: int | None = None
    """Step of the checkpoint."""
    attempt: int | None = None
    """Attempt that saved it."""
    training: str | None = None
    """Which training saved it, as in label `accord.dev/training`."""
    reason: str
    """What was in the way, in one word."""
    message: str = ""
    """The same in a sentence."""
    count: Annotated[int, Field(ge=1)] = 1
    """Tries in a row that ended like this."""
    unready: Annotated[int, Field(ge=0)] = 0
    """Tries in which a pod ran with this checkpoint and was not ready in time. The second one quarantines it."""
    at: Timestamp
    """When the last try ended."""


class SnapshotFailure(Model):
    """Snapshots of the newest checkpoint that could not be made."""

    step: int
    """Step of the checkpoint."""
    attempt: int
    """Attempt of the run that saved it."""
    training: str | None = None
    """Which training saved it, as in label `accord.dev/training`."""
    count: Annotated[int, Field(ge=1)]
    """Snapshots that failed."""
    at: Timestamp
    """When the last of them was given up."""
    message: str = ""
    """What the snapshot said."""


class Verdict(Model):
    """The last check, with its figures."""

    outcome: Literal["Pass", "Suspect", "Fail", "Inconclusive"]
    """`Suspect` pauses promotion; `Fail` rolls back; `Inconclusive` changes nothing."""
    signal: Signal | None = None
    """What was seen."""
    rule: str | None = None
    """Which rule spoke, on which kind of series."""
    step: int | None = None
    """Newest step that was judged."""
    baseline: float | None = None
    """Level before: of returns, the best that lasted."""
    recent: float | None = None
    """Level now."""
    limit: float | None = None
    """Level from which on it is a fault."""
    share: float | None = None
    """Of returns: the share of what the training had learnt that is lost now; 1 is all of it."""
    samples: int | None = None
    """Samples in the recent window."""
    message: str | None = None
    """The same in a sentence."""
    at: Timestamp | None = None
    """When it was checked."""


class Hold(Model):
    """Promotion is paused: the training looked wrong. Ends with a passed check, a rollback, or a manual decision."""

    outcome: Literal["Suspect", "Fail"]
    """The gravest that a check has said since."""
    signal: Signal
    """What was seen."""
    attempt: int | None = None
    """Attempt of the run that it was seen in."""
    since: Timestamp
    """When promotion was paused."""
    message: str = ""
    """What the check said, with its figures."""


class RollbackRecord(Model):
    """A rollback, in progress or done."""

    id: str
    """Names the fault, so that none is answered twice."""
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
    """How far it has come."""
    attempt: int | None = None
    """Attempt of the run that went wrong."""
    onset: int | None = None
    """Step from which on the fault may be in the training."""
    confirmed_step: int | None = None
    """Newest step that had been judged when the signal was confirmed."""
    from_step: int | None = None
    """Step that was served."""
    to_step: int | None = None
    """Step to go back to."""
    to_attempt: int | None = None
    """Attempt that saved the checkpoint to go back to."""
    to_training: str | None = None
    """Which training saved it, as in label `accord.dev/training`: with rollbackTo, it may be an earlier one."""
    signal: Signal
    """What was seen."""
    baseline: float | None = None
    """Level before."""
    recent: float | None = None
    """Level that was seen."""
    started_at: Timestamp
    """When the signal was confirmed."""
    waiting_since: Timestamp | None = None
    """When it turned out that it cannot be completed at once, for example because of missing capacity, a quota or a
    volume. From then on the training is paused."""
    completed_at: Timestamp | None = None
    """When the target was Available."""
    message: str | None = None
    """What went wrong, or is waited for."""


class CheckpointPolicyStatus(Model):
    """What is served and why."""

    observed_generation: int | None = None
    """`metadata.generation` of the spec that this status speaks of."""
    conditions: Conditions = []
    """What is true of the policy, in the terms of kstatus."""
    serving: Served | None = None
    """What is served."""
    latest_step: int | None = None
    """Newest verified checkpoint of this training; none of an earlier run of that name."""
    best_step: int | None = None
    """Best verified checkpoint of this training."""
    best_value: float | None = None
    """Its reward or loss."""
    rollbacks: int | None = None
    """Rollbacks of this training that were completed."""
    passed_over: int | None = None
    """Checkpoints of this training without a snapshot: a newer one was saved before theirs could be taken."""
    checkpoints: Annotated[
        list[CheckpointStatus],
        Field(max_length=400, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = []
    """The checkpoints that are kept."""
    detection: Verdict | None = None
    """The last check, with its figures."""
    hold: Hold | None = None
    """Why nothing is promoted. Missing data never ends it."""
    switch: Switch | None = None
    """The change of what is served that is in progress."""
    put_back: Annotated[
        list[Timestamp], Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = []
    """When a change of the Deployment by another client was reverted: the last three times."""
    setback: Setback | None = None
    """Why the checkpoint that should be served is not, and when that is retried."""
    snapshot_failure: SnapshotFailure | None = None
    """Why the newest checkpoint has no snapshot."""
    training: str | None = None
    """Identity of the training that `rollbacks` counts for: the uid of the TrainingRun."""
    handled_rollback_to: int | None = None
    """The `rollbackTo` of the spec that has been answered. To repeat it, remove the field first."""
    rollback: RollbackRecord | None = None
    """The rollback in progress."""
    history: Annotated[
        list[RollbackRecord], Field(max_length=10, json_schema_extra={"x-kubernetes-list-map-keys": ["id"]})
    ] = []
    """The last ten rollbacks, newest first."""


class CheckpointPolicy(Resource):
    """Serves the right checkpoint of a training, and puts the last good one back when the training goes wrong."""

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
        ConditionType("Accepted", "The spec asks for nothing that this version of the operator cannot do."),
        *KSTATUS,
        ConditionType("Healthy", "The last check found nothing wrong; Unknown where there is too little to judge by."),
        ConditionType("Promoted", "What is served is what `serving.follow` asks for."),
        ConditionType(
            "Snapshotted",
            "The newest checkpoint that the trainer reports has a snapshot. Reason `Ready`: and so has every other; "
            "`PassedOver`: the message says how many have none.",
        ),
        ConditionType("RolledBack", "The training that goes on now, or what is served, comes from a rollback."),
    )

    metadata: ObjectMeta
    spec: CheckpointPolicySpec
    status: CheckpointPolicyStatus = CheckpointPolicyStatus()
