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
    """Schedule of the entropy coefficient, from `initial` to `final`. It may rise or fall."""

    initial: Annotated[float, Field(ge=0, le=10)] = 0.02
    """Value at step 0."""
    final: Annotated[float, Field(ge=0, le=10)] = 0.005
    """Value from step `decaySteps` on."""
    decay_steps: Steps = 10_000
    """Steps until `final` is reached. After that the value stays at `final`."""
    decay_strategy: DecayStrategy = "Linear"
    """`Linear`, `Cosine` (half a cosine wave) or `Constant` (keeps `initial`)."""


class LearningRateSchedule(Model):
    """Schedule of the learning rate, from `initial` to `final`. It may also rise, as in a warm-up."""

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
    """Value from step `decaySteps` on."""
    decay_steps: Steps = 10_000
    """Steps until `final` is reached. After that the value stays at `final`."""
    decay_strategy: DecayStrategy = "Cosine"
    """`Linear`, `Cosine` (half a cosine wave) or `Constant` (keeps `initial`)."""


class Schedules(Model):
    """Hyperparameters that are scheduled over the run."""

    entropy_coef: EntropySchedule = EntropySchedule()
    """Coefficient of the entropy bonus: higher values make the policy explore more."""
    learning_rate: LearningRateSchedule = LearningRateSchedule()
    """Learning rate of the optimizer."""


class PPO(Model):
    """Hyperparameters of proximal policy optimization (arXiv 1707.06347) that stay constant."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.clipRange > 0.0", "clipRange must be greater than 0: with 0 the policy never moves", ".clipRange"),
        Rule(
            "self.batchSize <= self.updateFrequency",
            "batchSize must not exceed updateFrequency: a minibatch is drawn from the steps of one update",
            ".batchSize",
        ),
    )

    clip_range: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Clipping range: how far one update may change the policy."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Discount factor of future rewards."""
    gae_lambda: Annotated[float, Field(alias="lambda", ge=0, le=1)] = 0.95
    """λ of generalized advantage estimation: trades bias for variance."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Samples in a minibatch."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 4
    """Passes over the samples of an update."""
    update_frequency: Annotated[int, Field(ge=1, le=10_000_000)] = 500
    """Steps collected for each update of the policy."""


class Bootstrap(Model):
    """Statistics used until the window has enough rewards."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.std > 0.0", "std must be greater than 0: rewards are divided by it", ".std"),
    )

    size: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    """Rewards needed before measured statistics are used. 0: from the first reward on."""
    mean: Annotated[float, Field(ge=-1e12, le=1e12)] = 3.0
    """Mean used until then."""
    std: Annotated[float, Field(ge=0, le=1e12)] = 1.0
    """Standard deviation used until then."""


class RewardNormalization(Model):
    """Normalization of rewards by the mean and standard deviation of a sliding window."""

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
    """Size of the window, in rewards."""
    epsilon: Annotated[float, Field(ge=0, le=1)] = 1e-8
    """Added to the standard deviation before dividing."""
    clip: Annotated[float, Field(ge=0, le=1e6)] = 10.0
    """Normalized rewards are clipped to ± this value."""
    update_frequency: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    """Update the statistics every this many rewards."""
    bootstrap: Bootstrap = Bootstrap()
    """Statistics used until the window has enough rewards."""


class VolumeClaim(Model):
    """The PersistentVolumeClaim that the operator creates for the checkpoints. It is kept when the run is deleted."""

    storage: Quantity = "10Gi"
    """Size. Can be increased if the StorageClass allows expansion, never decreased."""
    storage_class_name: DnsSubdomain | None = None
    """StorageClass (default: the cluster's). Immutable."""
    access_modes: Annotated[
        list[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]], Field(min_length=1, max_length=3)
    ] = ["ReadWriteOnce"]
    """Access modes. A CheckpointPolicy with method SubPath needs ReadWriteMany. Immutable."""


def _access_modes(of: str) -> str:
    """CEL: the access modes of the claim, its default filled in where no claim is described."""
    return f"(has({of}.volumeClaim) ? {of}.volumeClaim.accessModes : ['ReadWriteOnce'])"


def _storage_class(of: str) -> str:
    """CEL: the storage class of the claim, empty where it is the cluster's default."""
    given = f"has({of}.volumeClaim) && has({of}.volumeClaim.storageClassName)"
    return f"({given} ? {of}.volumeClaim.storageClassName : '')"


class Checkpoints(Model):
    """Where and how often the trainer saves checkpoints."""

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
    """Number of newest checkpoints that the trainer keeps on its volume."""
    volume_claim: VolumeClaim | None = None
    """PersistentVolumeClaim to create (default: one with the defaults below, unless `claimName` is set)."""
    claim_name: DnsSubdomain | None = None
    """Existing PersistentVolumeClaim to use instead, in the same namespace. Immutable."""

    @property
    def claim(self) -> VolumeClaim | None:
        """The claim that the operator is to make, defaults filled in; None where the user brings one."""
        return None if self.claim_name else self.volume_claim or VolumeClaim()


class RunMonitoring(Model):
    """How the run's metrics are exposed and queried."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("interval", "1s", "1h"),)

    endpoint: PrometheusEndpoint = "default"
    """Name of a Prometheus endpoint in the operator's configuration, not a URL."""
    interval: Duration = timedelta(seconds=15)
    """How often the run's metrics are queried."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port on which the trainer exposes its metrics (environment variable METRICS_PORT)."""


class Retuning(Model):
    """Suggestions for hyperparameters, based on users' ratings."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minRatings <= self.maxRatings",
            "minRatings must not exceed maxRatings: raise maxRatings too",
            ".minRatings",
        ),
    )

    mode: Literal["Off", "Suggest", "Auto"] = "Suggest"
    """`Suggest` writes suggestions to `status`. `Auto` also applies them in a new attempt from the latest checkpoint,
    at most once per window of ratings. The spec is not changed. What was applied ends with a change of `schedules`,
    `ppo` or this mode. Quote `"Off"`: YAML reads a bare Off as false."""
    min_ratings: Annotated[int, Field(ge=10, le=1_000_000)] = 100
    """New ratings needed for a suggestion."""
    max_ratings: Annotated[int, Field(ge=10, le=1_000_000)] = 300
    """New ratings after which the next window begins. A window is evaluated when it has `minRatings`, and again when it
    has this many."""
    query: PromQL | None = None
    """PromQL query for the number of ratings in the window, one series per value of the label `rating` (default:
    `user_ratings_total` in the run's namespace, deleted pods included). `$namespace` and `$window` are substituted.
    Without `$window` it must return counters; a new window begins whenever one of them decreases."""


StartParams = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]], Field(json_schema_extra={"maxProperties": 64})
]
"""Parameters of `ray start`, without the dashes."""


class RayWorkers(Model):
    """A group of pods that work for the one that trains."""

    name: DnsLabel
    """Name of the group."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of pods."""
    start_params: StartParams = {}
    """Parameters of `ray start`, such as `num-cpus: "2"`."""
    template: Annotated[dict[str, Any], Field(json_schema_extra={"x-accord-schema": "PodTemplateSpec"})]
    """Template of these pods (core/v1 PodTemplateSpec). Its first container is Ray's: its image needs the same `ray` as
    that of the head. The checkpoint volume is not mounted here."""


class Ray(Model):
    """A Ray cluster for each attempt, made by KubeRay."""

    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$", max_length=63)]
    """Version of Ray in the images, such as `2.60.0`."""
    start_params: StartParams = {}
    """Parameters of `ray start` on the head, such as `num-cpus: "0"`."""
    workers: Annotated[
        list[RayWorkers],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]}),
    ] = []
    """Groups of worker pods. Without any, everything runs on the head."""


class Engine(Model):
    """What runs an attempt."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type != 'RayJob' || has(self.ray)",
            "type RayJob needs ray: give at least ray.version, the version of Ray in the images",
            ".ray",
        ),
        Rule("self.type == 'RayJob' || !has(self.ray)", "ray is for type RayJob: set type to RayJob", ".ray"),
    )

    type: Literal["Job", "RayJob"] = "Job"
    """`Job`: one pod of a Kubernetes Job. `RayJob`: a Ray cluster that KubeRay makes. Its head is the pod of
    `spec.template`, and the command of the container `trainer` is the driver that runs on it."""
    ray: Ray | None = None
    """The Ray cluster, with type `RayJob`."""


class TrainingRunSpec(Model):
    """Desired state of a training."""

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
    """Template of the pod that trains (core/v1 PodTemplateSpec). Its container `trainer` gets the environment variables
    of a trainer and the checkpoint volume. A change starts a new attempt from the latest checkpoint."""
    engine: Engine = Engine()
    """What runs an attempt. A change starts a new attempt from the latest checkpoint."""
    total_steps: Steps = 10_000
    """Steps to train, summed over all attempts."""
    schedules: Schedules = Schedules()
    """Hyperparameters that are scheduled over the run. A change starts a new attempt from the latest checkpoint."""
    ppo: PPO = PPO()
    """Hyperparameters that stay constant. A change starts a new attempt from the latest checkpoint."""
    reward_normalization: RewardNormalization = RewardNormalization()
    """Normalization of rewards by the mean and standard deviation of a sliding window."""
    checkpoints: Checkpoints = Checkpoints()
    """Where and how often the trainer saves checkpoints."""
    resume: Literal["Latest", "Never"] = "Latest"
    """Where a new attempt starts: `Latest`, from the newest verified checkpoint; `Never`, from step 0."""
    suspend: bool = False
    """Pause the run: the pod saves a checkpoint and ends. Training resumes when this is false again."""
    backoff_limit: Annotated[int, Field(ge=0, le=1000)] = 6
    """Retries of an attempt before the run is marked as failed. Evicted and preempted pods do not count."""
    active_deadline_seconds: TtlSeconds | None = None
    """Seconds that an attempt may be active before the run is marked as failed. As with a Job, the time starts over
    when the run is resumed."""
    ttl_after_finished: Duration | None = None
    """Delete the TrainingRun and its Job this long after it finished. The checkpoints are kept."""
    ttl_after_given_up: Duration = timedelta(hours=1)
    """How long the ended pod and Job of an attempt are kept after a rollback discarded it, so that you can read its
    logs. 0s: not at all. A Job in a Kueue queue is always deleted."""
    queue_name: DnsLabel | None = None
    """Kueue LocalQueue that admits the run. Kueue then controls the Job's `suspend`."""
    priority_class: DnsLabel | None = None
    """Kueue WorkloadPriorityClass: the run's rank in the queue, and which runs it may preempt. It can change while the
    run is queued or running; to give a first one to a running run, or to remove it, takes a new attempt."""
    monitoring: RunMonitoring = RunMonitoring()
    """How the run's metrics are exposed and queried."""
    retuning: Retuning = Retuning()
    """Suggestions for hyperparameters, based on users' ratings."""


class Milestone(Model):
    """A quarter of the run completed."""

    percent: int
    """0, 25, 50, 75 or 100."""
    step: int
    """Step at which it was observed."""
    reached_at: Timestamp
    """When it was observed."""
    entropy_coef: float | None = None
    """Entropy coefficient at that step."""
    learning_rate: float | None = None
    """Learning rate at that step."""
    reward: float | None = None
    """Mean reward at that step."""


class Suggestion(Model):
    """A suggestion from ratings, with the evidence."""

    rule: Literal["LowMean", "WideSpread", "HighMean"]
    """Rule that matched: mean below 3.0, standard deviation above 1.5, or mean of 4.0 or more."""
    ratings: int
    """Number of ratings evaluated."""
    mean: float
    """Mean of the ratings."""
    std: float
    """Standard deviation of the ratings."""
    low: float
    """Lower end of the confidence interval of the mean or standard deviation."""
    high: float
    """Upper end of the confidence interval of the mean or standard deviation."""
    field: str
    """Field of the spec to change."""
    current: float
    """Its current value."""
    suggested: float
    """Its suggested value."""
    patch: str
    """The change as a JSON merge patch for `kubectl patch --type merge -p`."""
    at: Timestamp
    """When the suggestion was made."""
    applied_in_attempt: int | None = None
    """Attempt in which it was applied (mode Auto)."""
    based_on: str | None = None
    """Hash of the spec's hyperparameters at that time (mode Auto). When they change, the suggestion no longer
    applies."""


class RestartRecord(Model):
    """A restart from an earlier checkpoint, after a rollback."""

    from_step: int
    """Step of the checkpoint."""
    ended_attempt: int
    """Attempt that went wrong."""
    attempt: int
    """Attempt that resumed from the checkpoint."""
    saved_in_attempt: int | None = None
    """First attempt since then that saved a checkpoint. Until there is one, every attempt resumes from `fromStep`;
    after that, from the newest checkpoint."""


class RatingCount(Model):
    """Number of ratings of one value."""

    rating: Annotated[str, Field(max_length=32)]
    """Value of the label `rating`."""
    count: float
    """Value of its counter."""


class RatingWindow(Model):
    """The current window of ratings."""

    since: Timestamp
    """When the window began."""
    counts: Annotated[list[RatingCount], Field(max_length=100)] = []
    """Counters at that time, if `retuning.query` returns counters."""
    ratings: int = 0
    """New ratings in the window."""
    judged: int = 0
    """Number of ratings at the last evaluation (0: none yet)."""


class TrainingRunStatus(Model):
    """Observed state of a training."""

    observed_generation: int | None = None
    """The `metadata.generation` that this status describes."""
    conditions: Conditions = []
    """Conditions of the run, following kstatus."""
    phase: str | None = None
    """Pending, Running, Suspended, Succeeded or Failed."""
    attempt: int | None = None
    """Number of the current attempt, from 1. Never decreases."""
    step: int | None = None
    """Last reported step."""
    progress: float | None = None
    """Percentage of `totalSteps` completed."""
    progress_bar: str | None = None
    """Progress as a bar, for `kubectl get`."""
    estimated_completion: Timestamp | None = None
    """Estimated completion at the current speed."""
    entropy_coef: float | None = None
    """Entropy coefficient reported by the trainer."""
    learning_rate: float | None = None
    """Learning rate reported by the trainer."""
    loss: float | None = None
    """Mean loss of the latest steps."""
    reward: float | None = None
    """Mean reward of the latest steps."""
    checkpoint_step: int | None = None
    """Step of the newest reported checkpoint."""
    measured_attempt: int | None = None
    """Newest attempt whose metrics were read."""
    milestones: Annotated[list[Milestone], Field(max_length=5)] = []
    """Milestones reached: 0, 25, 50, 75 and 100 %."""
    job_ref: LocalObjectReference | None = None
    """The Job of the current attempt."""
    inputs: str | None = None
    """Hash of the inputs of the current attempt. If the spec's hash differs, a new attempt starts."""
    claim_name: str | None = None
    """PersistentVolumeClaim that contains the checkpoints."""
    start_time: Timestamp | None = None
    """When the first pod started."""
    completion_time: Timestamp | None = None
    """When the run finished, whether it succeeded or failed."""
    failed_pods: int | None = None
    """Number of failed pods, over all attempts."""
    suggestions: Annotated[list[Suggestion], Field(max_length=3)] = []
    """Suggestions from ratings."""
    ratings: RatingWindow | None = None
    """The current window of ratings, for the next suggestions."""
    restart: RestartRecord | None = None
    """The newest restart from an earlier checkpoint, after a rollback."""


class TrainingRun(Resource):
    """Trains a policy with PPO, with scheduled hyperparameters, visible progress and resumption after interruptions."""

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
        ConditionType("Accepted", "The spec is valid and supported by this version of the operator."),
        *KSTATUS,
        ConditionType("Complete", "The trainer completed all steps and exited with code 0."),
        ConditionType(
            "Failed", "The run failed and is not retried. Present only while True. The reason is that of the last pod."
        ),
        ConditionType(
            "Suspended",
            "Training is paused: `spec.suspend` is true, a rollback stopped it, or a rollback is waiting for approval "
            "(reason `AwaitingApproval`) or cannot be completed yet (`AwaitingRollback`). The message names the "
            "CheckpointPolicy.",
        ),
        ConditionType("MetricsAvailable", "The run's metrics are read from Prometheus."),
        ConditionType("OnSchedule", "The trainer reports the entropy coefficient and learning rate of the schedules."),
        ConditionType("Retuning", "Ratings are read and evaluated for suggestions. Absent until there are ratings."),
        ConditionType(
            "RolledBack",
            "A rollback stopped the newest attempt, or made training resume from an earlier checkpoint. If False, the "
            "message says why that was not done. Present only if a restart or stop was requested.",
        ),
    )

    metadata: ObjectMeta
    spec: TrainingRunSpec
    status: TrainingRunStatus = TrainingRunStatus()
