"""What can be concluded about a policy before anything is decided: which checkpoints count, and what the check says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy, CheckpointPolicyStatus, Hold, RollbackRecord
from accord.domain import age
from accord.domain.checkpoint import holds, names
from accord.domain.checkpoint.checkpoint import Checkpoint, best, newest_first
from accord.domain.checkpoint.observed import Observed
from accord.domain.checkpoint.reading import Reading
from accord.domain.checkpoint.store import Problem, Store
from accord.domain.checkpoint.views import RunView
from accord.domain.conditions import parse_timestamp
from accord.domain.training.names import RESTART_ATTEMPT_ANNOTATION, STOP_ATTEMPT_ANNOTATION

PUT_BACK_LIMIT = 3
PUT_BACK_WINDOW = timedelta(minutes=5)
TRUCE = timedelta(hours=1)
"""How long a Deployment that somebody else insists on is left alone."""
_CLOCKS_APART = timedelta(seconds=30)
"""How far the clock of Prometheus may be from the one that the end of a rollback was read from."""


@dataclass(frozen=True)
class Assessment:
    """One policy at one moment."""

    observed: Observed
    store: Store
    now: datetime
    identity: str
    """The training's identity: uid of the TrainingRun, or name of the claim."""
    attempt: int
    """Newest attempt of the run; 0 for a training that is no TrainingRun."""
    checkpoints: tuple[Checkpoint, ...]
    """All that are kept, newest first."""
    reading: Reading | None
    """The last check, where it speaks of what goes on now."""
    hold: Hold | None = None
    """Why promotion is paused."""

    @property
    def policy(self) -> CheckpointPolicy:
        """The policy."""
        return self.observed.policy

    @property
    def status(self) -> CheckpointPolicyStatus:
        """What was recorded last."""
        return self.policy.status

    @property
    def training(self) -> str:
        """The training as it is named in labels and names."""
        return names.training(self.identity)

    @property
    def is_new_training(self) -> bool:
        """Whether what was recorded last is of another training."""
        return self.status.training not in (None, self.identity)

    @property
    def is_at_work(self) -> bool:
        """Whether the training goes on, so that a check of it is due all the time."""
        if self.policy.spec.source is not None:
            return True
        run = self.observed.run
        return run is not None and run.attempt is not None and not run.finished

    @property
    def is_checked(self) -> bool:
        """Whether there will be a check: of a run that has ended, too, as long as Prometheus could not be asked."""
        return self.policy.spec.source is not None or self.observed.run is not None

    @property
    def rollbacks(self) -> int:
        """Rollbacks of this training so far."""
        return 0 if self.is_new_training else self.status.rollbacks or 0

    @property
    def own(self) -> tuple[Checkpoint, ...]:
        """Those of this training, newest first. A run that is made anew under the same name is another training."""
        return tuple(checkpoint for checkpoint in self.checkpoints if checkpoint.training == self.training)

    @property
    def latest(self) -> Checkpoint | None:
        """The newest of this training that may be served."""
        return next((checkpoint for checkpoint in self.own if checkpoint.is_good), None)

    @property
    def best(self) -> Checkpoint | None:
        """The best of this training that may be served."""
        return best(self.own, self.policy.spec.best_model)

    @property
    def served_training(self) -> str:
        """The training that has saved what is served; this one where that is no checkpoint."""
        serving = self.status.serving
        if serving is None or serving.step is None:
            return self.training
        if serving.training is not None:
            return serving.training
        # Recorded by a version that did not say it.
        named = names.parse_checkpoint(serving.claim_name or "") if serving.sub_path is None else None
        recorded = names.training(self.status.training) if self.status.training else self.training
        return named[2] if named is not None else recorded

    @property
    def served(self) -> Checkpoint | None:
        """The checkpoint that is served, as far as it is kept."""
        serving = self.status.serving
        if serving is None or serving.step is None:
            return None
        return self.find(serving.step, serving.attempt, training=self.served_training)

    @property
    def what_is_served(self) -> str:
        """In words."""
        step = self.status.serving.step if self.status.serving is not None else None
        return f"step {step}" if self.served_training == self.training else f"step {step} of an earlier training"

    def find(self, step: int | None, attempt: int | None, *, training: str | None = None) -> Checkpoint | None:
        """The newest checkpoint of that step and attempt."""
        return next((c for c in self.checkpoints if c.is_named(step, attempt, training)), None)

    @property
    def contested_by(self) -> str | None:
        """Who keeps changing the Deployment's field back; None while it is ours."""
        times = [parse_timestamp(text) for text in self.status.put_back]
        if len(times) < PUT_BACK_LIMIT or self.status.observed_generation != self.policy.metadata.generation:
            return None
        if times[-1] - times[0] > PUT_BACK_WINDOW or self.now - times[-1] >= TRUCE:
            return None
        deployment, serving = self.observed.deployment, self.policy.spec.serving
        if deployment is None or serving is None:
            return "another client"
        return deployment.managers.get(serving.volume) or "another client"

    def seconds_until(self, text: str | None, span: timedelta) -> float:
        """Seconds until `span` after that time; 0 where it is over, or there is no time."""
        if text is None:
            return 0.0
        return max((parse_timestamp(text) + span - self.now).total_seconds(), 0.0)


def training_of(policy: CheckpointPolicy, run: RunView | None) -> str:
    """The identity of the training that the policy is about; of a run that is gone, the last that was."""
    if policy.spec.source is not None:
        return policy.spec.source.claim_name
    return run.uid if run is not None else policy.status.training or ""


def assess(observed: Observed, store: Store, now: datetime) -> Assessment:
    """Everything that can be concluded without a word."""
    attempt = (observed.run.attempt or 0) if observed.run is not None else 0
    reading = _valid(observed, attempt, now)
    observed = replace(observed, reading=reading)
    identity = training_of(observed.policy, observed.run)
    spec, status = observed.policy.spec, observed.policy.status
    held = status.model_copy(update={"hold": None}) if status.training not in (None, identity) else status
    return Assessment(
        observed=observed,
        store=store,
        now=now,
        identity=identity,
        attempt=attempt,
        checkpoints=tuple(newest_first(store.checkpoints(observed, names.training(identity)))),
        reading=reading,
        hold=holds.standing(held, spec.detection, reading, names.training(identity), now),
    )


def _valid(observed: Observed, attempt: int, now: datetime) -> Reading | None:
    """The reading, unless it is old, speaks of another run or attempt, or of one that a rollback has ended."""
    reading, run = observed.reading, observed.run
    if reading is None or (reading.attempt or 0) != attempt:
        return None
    if age.is_old(reading.at, observed.policy.spec.detection.interval, now):
        return None
    if run is not None and reading.run not in (None, run.uid):
        return None
    if run is None:
        return reading if observed.policy.spec.source is not None else None
    ended = max(run.marked(RESTART_ATTEMPT_ANNOTATION), run.marked(STOP_ATTEMPT_ANNOTATION))
    return reading if ended < attempt else None


def last_rollback(assessment: Assessment) -> RollbackRecord | None:
    """The newest rollback of this training that was carried through."""
    own = (r for r in assessment.status.history if names.training_of(r.id) == assessment.training)
    return next((r for r in own if r.phase == "Done"), None)


def judged_since(policy: CheckpointPolicy, run: RunView | None) -> datetime | None:
    """From when on the newest attempt is judged: the end of its last rollback, or of a person's decision against one;
    None where there was none.

    That decision holds for the attempts that follow: a run in a queue that was paused for it goes on as another one.

    One that failed is no new beginning: the fault is there still. An attempt that was begun by a rollback is judged
    from its first sample on, whatever the clocks say.
    """
    identity = training_of(policy, run)
    attempt = (run.attempt or 0) if run is not None else 0
    training = names.training(identity)
    rejected = policy.metadata.annotations.get(names.REJECTED_ANNOTATION)
    ended = [
        r.completed_at
        for r in policy.status.history
        if names.training_of(r.id) == training
        and ((r.attempt or 0) == attempt or r.id == rejected)
        and r.phase in ("Done", "Rejected")
    ]
    last = next((at for at in ended if at is not None), None)
    return None if last is None else parse_timestamp(last) + _CLOCKS_APART


def conflict(assessment: Assessment) -> Problem | None:
    """Somebody else insists on the field that the policy sets."""
    who = assessment.contested_by
    serving = assessment.policy.spec.serving
    if who is None or serving is None:
        return None
    what = "claimName" if assessment.policy.spec.method == "VolumeSnapshot" else "subPath"
    return Problem(
        "OwnershipConflict",
        f"{who} reverted {what} of volume {serving.volume} in Deployment {serving.deployment_ref.name} "
        f"{PUT_BACK_LIMIT} times in five minutes, so Accord stopped setting it: configure {who} to ignore that field "
        "(docs/how-to/argo-cd.md)",
    )
