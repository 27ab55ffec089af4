"""Names and labels of everything that a TrainingRun makes."""

from __future__ import annotations

import hashlib

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL

RUN_LABEL = "accord.dev/training-run"
ATTEMPT_LABEL = "accord.dev/attempt"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""What Kueue reads (kueue.sigs.k8s.io, "Run A Kubernetes Job")."""
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
"""The same for the WorkloadPriorityClass."""
INPUTS_ANNOTATION = "accord.dev/inputs"
"""On a Job: what of the spec it was made from (see `inputs`)."""
FAILED_BEFORE_ANNOTATION = "accord.dev/failed-pods-before"
"""On a Job: pods that failed in earlier attempts."""
RESTART_FROM_ANNOTATION = "accord.dev/restart-from"
"""On a run: the step of the checkpoint from which training is to go on after a rollback. On a Job: the one that it was
told to go on from."""
RESTART_ATTEMPT_ANNOTATION = "accord.dev/restart-attempt"
"""On a run: the attempt that went wrong, which the restart ends. Once there is a later one, both mean nothing. On a
Job: that attempt."""
STOP_ATTEMPT_ANNOTATION = "accord.dev/stop-attempt"
"""On a run: the attempt that went wrong and is to be stopped. The run rests until a person changes this."""
GIVEN_UP_ANNOTATION = "accord.dev/given-up"
"""On a Job: it ends because of a rollback and stays for its logs. The value is how many of its pods had failed by then.
"""
SUBMITTER_CONTAINER = "ray-job-submitter"
"""On Ray, of the pod that submits the job and prints the trainer's log."""
VOLUME = "accord-checkpoints"
METRICS_PORT_NAME = "metrics"

_JOB_LIMIT = 52
"""A pod's name is that of its Job, a hyphen and five characters; the Job controller cuts what is longer than 63."""
_MOST_DIGITS = 6
"""Of the number of an attempt."""


def job(run: str, attempt: int, limit: int = _JOB_LIMIT) -> str:
    """The Job of one attempt: `<run>-<attempt>`, shortened to a unique beginning where that is too long."""
    name = f"{run}-{attempt}"
    if len(name) <= limit and "." not in run:
        return name
    digest = hashlib.sha256(run.encode()).hexdigest()[:8]
    kept = run[: limit - len(f"-{digest}-{attempt}")].replace(".", "-").rstrip("-")
    return f"{kept}-{digest}-{attempt}"


def jobs(run: str, limit: int = _JOB_LIMIT) -> str:
    """A regular expression (RE2) for the Jobs of all attempts: a name is cut by the length of the number, too."""
    firsts = [10**digits for digits in range(_MOST_DIGITS)]
    bases = [job(run, first, limit).removesuffix(str(first)) for first in firsts]
    if len(set(bases)) == 1:
        return f"{bases[0]}[0-9]+"
    return f"({'|'.join(f'{base}[0-9]{{{digits}}}' for digits, base in enumerate(bases, start=1))})"


def recorded(run: TrainingRun) -> str:
    """The object of the newest attempt, by the status; before that says so, the Job of it."""
    ref = run.status.job_ref
    return job(run.metadata.name, run.status.attempt or 1) if ref is None else ref.name


def claim(run: str) -> str:
    """The PersistentVolumeClaim that holds the checkpoints. A later run of the same name finds it by this name."""
    return f"{run}-checkpoints"


def labels(run: str, attempt: int | None = None) -> dict[str, str]:
    """Labels of an object that belongs to `run`."""
    common = {MANAGED_BY_LABEL: MANAGED_BY, RUN_LABEL: run}
    return common if attempt is None else common | {ATTEMPT_LABEL: str(attempt)}
