"""TrainingRun: one PPO training, from its first step to its last, over as many attempts as it takes.

See docs/reference/trainingrun.md for the page generated from this file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from accord.api.base import Duration, Model, Quantity, Rule, span_rule
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
    PromQL,
    Resource,
    Timestamp,
    TtlSeconds,
)

Steps = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
"""A number of training steps (environment steps, not updates)."""
Step = Annotated[int, Field(ge=0, le=1_000_000_000_000)]
"""A position in a training, counted from its start over all attempts."""
DecayStrategy = Literal["Linear", "Cosine", "Constant"]
TRAINER_CONTAINER = "trainer"
"""Name of the container that trains: it gets the environment contract."""


class EntropySchedule(Model):
    """How the entropy coefficient goes from `initial` to `final`; it may also rise."""

    initial: Annotated[float, Field(ge=0, le=10)] = 0.02
    """Value at step 0."""
    final: Annotated[float, Field(ge=0, le=10)] = 0.005
    """Value from `decaySteps` on."""
    decay_steps: Steps = 10_000
    """Steps until `final` is reached. Progress is clamped: before 0 and after the end the value does not move."""
    decay_strategy: DecayStrategy = "Linear"
    """`Linear`; `Cosine` (half a cosine wave); `Constant` keeps `initial`."""


class LearningRateSchedule(Model):
    """How the learning rate goes from `initial` to `final`; it may also rise, as a warm-up does."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.initial > 0.0 || (self.final > 0.0 && self.decayStrategy != 'Constant')",
            "initial must be greater than 0, or the rate must rise to a final above 0: with a rate of 0 nothing is "
            "learnt",
            ".initial",
        ),
    )

    initial: Annotated[float, Field(ge=0, le=1)] = 3e-4
    """Value at step 0."""
    final: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Value from `decaySteps` on."""
    decay_steps: Steps = 10_000
    """Steps until `final` is reached. Progress is clamped: before 0 and after the end the value does not move."""
    decay_strategy: DecayStrategy = "Cosine"
    """`Linear`; `Cosine` (half a cosine wave); `Constant` keeps `initial`."""


class Schedules(Model):
    """Hyperparameters that change while the run trains."""

    entropy_coef: EntropySchedule = EntropySchedule()
    """Coefficient of the entropy bonus: how much the policy explores."""
    learning_rate: LearningRateSchedule = LearningRateSchedule()
    """Learning rate of the optimizer."""


class PPO(Model):
    """Hyperparameters of proximal policy optimization (arXiv 1707.06347) that stay as they are."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.clipRange > 0.0", "clipRange must be greater than 0: with 0 the policy never moves", ".clipRange"),
        Rule(
            "self.batchSize <= self.updateFrequency",
            "batchSize must not exceed updateFrequency: a minibatch is drawn from the steps of one update",
            ".batchSize",
        ),
    )

    clip_range: Annotated[float, Field(ge=0, le=1)] = 0.2
    """How far one update may move the policy."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Discount of future rewards."""
    gae_lambda: Annotated[float, Field(alias="lambda", ge=0, le=1)] = 0.95
    """Bias against variance in generalized advantage estimation."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Samples in a minibatch."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 4
    """Passes over the samples of one update."""
    update_frequency: Annotated[int, Field(ge=1, le=10_000_000)] = 500
    """Steps collected for one update of the policy."""


class Bootstrap(Model):
    """Statistics that stand in until the window holds enough rewards."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.std > 0.0", "std must be greater than 0: rewards are divided by it", ".std"),
    )

    size: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    """Rewards to wait for; 0 uses the measured statistics from the first one on."""
    mean: Annotated[float, Field(ge=-1e12, le=1e12)] = 3.0
    """Mean until then."""
    std: Annotated[float, Field(ge=0, le=1e12)] = 1.0
    """Standard deviation until then."""


class RewardNormalization(Model):
    """Rewards scaled by the mean and standard deviation of a sliding window."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.epsilon > 0.0", "epsilon must be greater than 0: it guards a division by zero", ".epsilon"),
        Rule("self.clip > 0.0", "clip must be greater than 0: with 0 every reward would be 0", ".clip"),
        Rule(
            "self.bootstrap.size <= self.window",
            "bootstrap.size must not exceed window: the window would never hold that many rewards",
            ".bootstrap.size",
        ),
    )

    enabled: bool = True
    """Whether rewards are normalized."""
    window: Annotated[int, Field(ge=2, le=10_000_000)] = 1000
    """Rewards in the window."""
    epsilon: Annotated[float, Field(ge=0, le=1)] = 1e-8
    """Added to the standard deviation before dividing."""
    clip: Annotated[float, Field(ge=0, le=1e6)] = 10.0
    """Normalized rewards are cut off at ± this."""
    update_frequency: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    """Rewards between two updates of the statistics."""
    bootstrap: Bootstrap = Bootstrap()
    """Statistics that stand in until the window holds enough rewards."""


class VolumeClaim(Model):
    """The PersistentVolumeClaim that the operator makes for the checkpoints. It outlives the run."""

    storage: Quantity = "10Gi"
    """Size. It may grow where the storage class allows it, never shrink."""
    storage_class_name: DnsSubdomain | None = None
    """Storage class; the cluster's default when not given. Cannot change."""
    access_modes: Annotated[
        list[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]], Field(min_length=1, max_length=3)
    ] = ["ReadWriteOnce"]
    """Access modes. Serving by SubPath needs ReadWriteMany. Cannot change."""


def _access_modes(of: str) -> str:
    """CEL: the access modes of the claim, its default filled in where no claim is described."""
    return f"(has({of}.volumeClaim) ? {of}.volumeClaim.accessModes : ['ReadWriteOnce'])"


def _storage_class(of: str) -> str:
    """CEL: the storage class of the claim, empty where it is the cluster's default."""
    given = f"has({of}.volumeClaim) && has({of}.volumeClaim.storageClassName)"
    return f"({given} ? {of}.volumeClaim.storageClassName : '')"


class Checkpoints(Model):
    """Where and how often the trainer saves."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.volumeClaim) && has(self.claimName))",
            "volumeClaim and claimName exclude each other: give volumeClaim for a new claim or claimName for your own",
            ".claimName",
        ),
        Rule(
            "has(self.claimName) ? has(oldSelf.claimName) && self.claimName == oldSelf.claimName "
            ": !has(oldSelf.claimName)",
            "claimName cannot change: the checkpoints so far are on the old claim; make a new TrainingRun",
            ".claimName",
        ),
        Rule(
            f"{_access_modes('self')} == {_access_modes('oldSelf')} && "
            f"{_storage_class('self')} == {_storage_class('oldSelf')}",
            "storageClassName and accessModes cannot change once the claim is made; make a new TrainingRun",
            ".volumeClaim",
        ),
    )

    save_frequency: Steps = 500
    """Steps between two checkpoints."""
    keep: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Newest checkpoints that the trainer keeps on its volume."""
    volume_claim: VolumeClaim | None = None
    """A claim that the operator makes. With its defaults when neither this nor `claimName` is given."""
    claim_name: DnsSubdomain | None = None
    """A PersistentVolumeClaim of your own, in the same namespace. Cannot change."""

    @property
    def claim(self) -> VolumeClaim | None:
        """The claim that the operator is to make, defaults filled in; None where the user brings one."""
        return None if self.claim_name else self.volume_claim or VolumeClaim()


class RunMonitoring(Model):
    """Where the run's metrics are served and read."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("interval", "1s", "1h"),)

    endpoint: PrometheusEndpoint = "default"
    """Name of a Prometheus endpoint that the installer of the operator configured. A URL cannot be given here."""
    interval: Duration = timedelta(seconds=15)
    """Time between two looks at the progress."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port on which the trainer serves its metrics (environment variable METRICS_PORT)."""


class Retuning(Model):
    """Advice on hyperparameters from what users think of the answers."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minRatings <= self.maxRatings",
            "minRatings must not exceed maxRatings: raise maxRatings too",
            ".minRatings",
        ),
    )

    mode: Literal["Off", "Suggest", "Auto"] = "Suggest"
    """`Suggest` writes the advice into status. `Auto` also starts a new attempt with it, from the latest checkpoint, at
    most once a window of ratings; the spec is not written. A change of `schedules` or `ppo`, or another mode, ends it.
    Put `"Off"` in quotes: YAML reads a bare Off as false."""
    min_ratings: Annotated[int, Field(ge=10, le=1_000_000)] = 100
    """New ratings before advice is given."""
    max_ratings: Annotated[int, Field(ge=10, le=1_000_000)] = 300
    """New ratings after which the next window begins. A window is judged when it holds `minRatings`, and again when it
    holds this many."""
    query: PromQL | None = None
    """PromQL that returns the number of ratings in the window, one series a value with label `rating`. `$namespace` and
    `$window` are filled in. Without `$window` it returns counters, and a new window begins whenever one of them falls.
    By default `user_ratings_total` of the run's namespace, of pods that have gone as well."""


class TrainingRunSpec(Model):
    """A training as it should go."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.template.spec.containers.exists(c, c.name == '{TRAINER_CONTAINER}')",
            "template needs a container named trainer: it is the one that gets the schedules and the checkpoints",
            ".template.spec.containers",
        ),
        Rule(
            "self.suspend || oldSelf.suspend || (has(self.queueName) ? has(oldSelf.queueName) && "
            "self.queueName == oldSelf.queueName : !has(oldSelf.queueName))",
            "queueName can change only while the run is suspended: set suspend to true first",
            ".queueName",
        ),
        span_rule("ttlAfterFinished", "1s", "87600h", optional=True),
        span_rule("ttlAfterGivenUp", "0s", "168h"),
    )

    template: Annotated[dict[str, Any], Field(json_schema_extra={"x-accord-schema": "PodTemplateSpec"})]
    """The pod that trains (core/v1 PodTemplateSpec): anything a pod may have. Its container `trainer` gets the
    environment contract and the checkpoint volume. A change starts a new attempt from the latest checkpoint."""
    total_steps: Steps = 10_000
    """Steps to train, over all attempts."""
    schedules: Schedules = Schedules()
    """Hyperparameters that change while the run trains. A change starts a new attempt from the latest checkpoint."""
    ppo: PPO = PPO()
    """Hyperparameters that stay as they are. A change starts a new attempt from the latest checkpoint."""
    reward_normalization: RewardNormalization = RewardNormalization()
    """Rewards scaled by the mean and standard deviation of a sliding window."""
    checkpoints: Checkpoints = Checkpoints()
    """Where and how often the trainer saves."""
    resume: Literal["Latest", "Never"] = "Latest"
    """`Latest`: a new attempt starts from the newest verified checkpoint. `Never`: from step 0."""
    suspend: bool = False
    """Stop the pod after it has saved, and go on when this is false again."""
    backoff_limit: Annotated[int, Field(ge=0, le=1000)] = 6
    """Failed pods of one attempt before the run counts as failed. Pods that were evicted or preempted do not count."""
    active_deadline_seconds: TtlSeconds | None = None
    """Seconds that an attempt may be active before the run counts as failed. They start again when the run is resumed
    after a suspension, as those of a Job do."""
    ttl_after_finished: Duration | None = None
    """Delete the TrainingRun, and its Job with it, this long after it finished. The checkpoints stay."""
    ttl_after_given_up: Duration = timedelta(hours=1)
    """How long the pod and Job of an attempt that a rollback gave up stay, ended, so that its logs can be read. 0s: not
    at all. A Job in a queue of Kueue does not stay."""
    queue_name: DnsLabel | None = None
    """Kueue LocalQueue that admits the run; Kueue then owns the Job's `suspend`."""
    monitoring: RunMonitoring = RunMonitoring()
    """Where the run's metrics are served and read."""
    retuning: Retuning = Retuning()
    """Advice on hyperparameters from what users think of the answers."""


class Milestone(Model):
    """A quarter of the run."""

    percent: int
    """0, 25, 50, 75 or 100."""
    step: int
    """Step at which it was seen."""
    reached_at: Timestamp
    """When it was seen."""
    entropy_coef: float | None = None
    """Entropy coefficient then."""
    learning_rate: float | None = None
    """Learning rate then."""
    reward: float | None = None
    """Mean reward then."""


class Suggestion(Model):
    """What the ratings suggest, and on what evidence."""

    rule: Literal["LowMean", "WideSpread", "HighMean"]
    """Which rule spoke: mean below 3.0, standard deviation above 1.5, mean of 4.0 or more."""
    ratings: int
    """Number of ratings looked at."""
    mean: float
    """Mean of the ratings."""
    std: float
    """Standard deviation of the ratings."""
    low: float
    """Lower end of the confidence interval of what the rule judges."""
    high: float
    """Upper end of the confidence interval of what the rule judges."""
    field: str
    """Field of the spec to change."""
    current: float
    """Its value now."""
    suggested: float
    """Its value as suggested."""
    patch: str
    """The change as a JSON merge patch for `kubectl patch --type merge -p`."""
    at: Timestamp
    """When the rule spoke."""
    applied_in_attempt: int | None = None
    """Attempt that was started with it (mode Auto)."""
    based_on: str | None = None
    """Hash of the hyperparameters in the spec then (mode Auto). When they change, it is no longer in force."""


class RestartRecord(Model):
    """A restart from an earlier checkpoint, after a rollback."""

    from_step: int
    """Step of the checkpoint."""
    ended_attempt: int
    """Attempt that went wrong."""
    attempt: int
    """Attempt that went on from the checkpoint."""
    saved_in_attempt: int | None = None
    """First attempt since that has saved a checkpoint of its own. Until there is one, every attempt goes on from this
    checkpoint; after that, from the newest."""


class RatingCount(Model):
    """How often a rating had been given."""

    rating: Annotated[str, Field(max_length=32)]
    """Its value, as label `rating` has it."""
    count: float
    """Times, over all."""


class RatingWindow(Model):
    """The ratings that are being gathered."""

    since: Timestamp
    """When the window began."""
    counts: Annotated[
        list[RatingCount], Field(max_length=100, json_schema_extra={"x-kubernetes-list-map-keys": ["rating"]})
    ] = []
    """The counters then, where `retuning.query` returns counters."""
    ratings: int = 0
    """New ratings since."""
    judged: int = 0
    """Number of ratings at the last judgement; 0 before the first."""


class TrainingRunStatus(Model):
    """A training as it goes."""

    observed_generation: int | None = None
    """`metadata.generation` of the spec that this status speaks of."""
    conditions: Conditions = []
    """What is true of the run, in the terms of kstatus."""
    phase: str | None = None
    """Pending, Running, Suspended, Succeeded or Failed."""
    attempt: int | None = None
    """Number of the attempt, from 1. Never goes back."""
    step: int | None = None
    """Last step that was reported."""
    progress: float | None = None
    """step ÷ totalSteps, in percent."""
    progress_bar: str | None = None
    """The same as a picture, for `kubectl get`."""
    estimated_completion: Timestamp | None = None
    """When the last step is expected at the present speed."""
    entropy_coef: float | None = None
    """Entropy coefficient as the trainer reports it."""
    learning_rate: float | None = None
    """Learning rate as the trainer reports it."""
    loss: float | None = None
    """Mean loss of the latest steps."""
    reward: float | None = None
    """Mean reward of the latest steps."""
    checkpoint_step: int | None = None
    """Step of the newest checkpoint that was reported."""
    measured_attempt: int | None = None
    """The newest attempt whose metrics were read."""
    milestones: Annotated[
        list[Milestone], Field(max_length=5, json_schema_extra={"x-kubernetes-list-map-keys": ["percent"]})
    ] = []
    """0, 25, 50, 75 and 100 %, as they were reached."""
    job_ref: LocalObjectReference | None = None
    """The Job of the current attempt."""
    inputs: str | None = None
    """Hash of what that attempt was made from. A spec that gives another one needs a new attempt."""
    claim_name: str | None = None
    """PersistentVolumeClaim that holds the checkpoints."""
    start_time: Timestamp | None = None
    """When the first pod was started."""
    completion_time: Timestamp | None = None
    """When the run finished, well or not."""
    failed_pods: int | None = None
    """Pods that failed, over all attempts."""
    suggestions: Annotated[
        list[Suggestion], Field(max_length=3, json_schema_extra={"x-kubernetes-list-map-keys": ["rule"]})
    ] = []
    """What the ratings suggest."""
    ratings: RatingWindow | None = None
    """The ratings that the next suggestions will come from."""
    restart: RestartRecord | None = None
    """The newest restart from an earlier checkpoint, after a rollback."""


class TrainingRun(Resource):
    """Trains a policy with PPO: scheduled hyperparameters, visible progress, resumed where it was interrupted."""

    kind: ClassVar[str] = "TrainingRun"
    plural: ClassVar[str] = "trainingruns"
    short_names: ClassVar[tuple[str, ...]] = ("tr",)
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Phase", ".status.phase"),
        PrinterColumn("Step", ".status.step", type="integer"),
        PrinterColumn("Progress", ".status.progressBar"),
        PrinterColumn("Entropy", ".status.entropyCoef", type="number"),
        PrinterColumn("LR", ".status.learningRate", type="number"),
        PrinterColumn("Reward", ".status.reward", type="number"),
        PrinterColumn("Attempt", ".status.attempt", type="integer", priority=1),
        PrinterColumn("Loss", ".status.loss", type="number", priority=1),
        PrinterColumn("Done", ".status.estimatedCompletion", priority=1),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
    )
    conditions: ClassVar[tuple[ConditionType, ...]] = (
        ConditionType("Accepted", "The spec asks for nothing that this version of the operator cannot do."),
        *KSTATUS,
        ConditionType("Complete", "The trainer has reached the end and left with exit code 0."),
        ConditionType(
            "Failed", "The run has failed and is not retried. Present only while True. The reason is the pod's own."
        ),
        ConditionType(
            "Suspended",
            "Nothing trains because `spec.suspend` is true, because a rollback has stopped it, or because one waits "
            "for approval (reason `AwaitingApproval`) or cannot be completed yet (`AwaitingRollback`); the message "
            "names the CheckpointPolicy.",
        ),
        ConditionType("MetricsAvailable", "The run's metrics are read from Prometheus."),
        ConditionType("OnSchedule", "The trainer reports the entropy coefficient and learning rate of the schedules."),
        ConditionType(
            "Retuning", "Ratings are read, and suggestions follow from them. Absent until there are ratings."
        ),
        ConditionType(
            "RolledBack",
            "A rollback has stopped the newest attempt, or made training go on from an earlier checkpoint. False says "
            "why what it asks for is not done. There only where something was asked for.",
        ),
    )

    metadata: ObjectMeta
    spec: TrainingRunSpec
    status: TrainingRunStatus = TrainingRunStatus()
