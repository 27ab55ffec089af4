"""The Job of an attempt: as it is made, and as it is written again later."""

from __future__ import annotations

from collections.abc import Mapping

from accord.adapters.workloads.job.view import API_VERSION, KIND
from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey
from accord.domain.training import keeping, names, queueing
from accord.domain.training.inputs import inputs
from accord.domain.training.resources import attempt_metadata, claim_name, is_marked
from accord.domain.training.restart import Restart
from accord.domain.training.template import pod_template
from accord.domain.training.views import AttemptView

_MUTABLE = ("suspend", "backoffLimit", "activeDeadlineSeconds")
"""Fields of a Job's spec that the API server lets change (batch/v1, ValidateJobUpdate) and a run's spec may move."""


def job_key(run: TrainingRun, attempt: int) -> ObjectKey:
    """Identity of the Job of one attempt."""
    return ObjectKey(API_VERSION, KIND, run.metadata.namespace, names.job(run.metadata.name, attempt))


def job(run: TrainingRun, attempt: int, failed_before: int, restart: Restart | None = None) -> Manifest:
    """The Job of an attempt, which goes on from `restart` where that is given.

    In a queue it is made suspended, for Kueue to start it.
    """
    key = job_key(run, attempt)
    queue = queueing.queue(run)
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": attempt_metadata(
            run,
            key,
            attempt,
            inputs=inputs(run),
            failed_before=failed_before,
            restart=restart,
            queue=queue,
            priority=queueing.priority(run),
        ),
        "spec": {
            **_changeable(run, suspend=queue is not None),
            "parallelism": 1,
            "completions": 1,
            # Never two pods of one run at work: the former must have ended, not only been told to.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                # Pods that were evicted or preempted do not count (KEP-3329).
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": pod_template(run, attempt, claim_name(run), restart),
        },
    }


def job_to_apply(run: TrainingRun, live: AttemptView) -> Manifest | None:
    """The Job of the current attempt with what changes in place; None where nothing is to be written.

    The template is the live one: it cannot change, and another version of the operator may have written it. A Job that
    Kueue holds is left to it; only where it lost what it is watched by, that is put back, and its priority follows the
    run, with a spec as it lives. Kueue may write that at any moment: such a write counts for this very version of the
    Job, and leaves out `suspend` once Kueue has set it.
    """
    if live.deleting:
        return None
    spec, meta = live.manifest.get("spec") or {}, live.manifest["metadata"]
    is_held = queueing.is_held(run, live)
    as_it_lives = {field: spec[field] for field in _MUTABLE if field in spec}
    wanted = as_it_lives if is_held else _changeable(run, suspend=run.spec.suspend)
    priority = queueing.priority_to_be(run, live)
    if as_it_lives == wanted and is_marked(run, live) and priority == live.priority:
        return None
    kept = {name: value for name, value in spec.items() if name not in _MUTABLE and name != "selector"}
    if not is_held:
        return _again(run, live, {**kept, **wanted}, priority=priority)
    if live.suspended_by is not None:
        wanted = {name: value for name, value in wanted.items() if name != "suspend"}
    again = _again(run, live, {**kept, **wanted}, priority=priority)
    return {**again, "metadata": {**again["metadata"], "resourceVersion": meta.get("resourceVersion")}}


def job_given_up(run: TrainingRun, live: AttemptView) -> Manifest:
    """The Job of an attempt that a rollback ends, so that it fails with its pod and makes no other one."""
    kept = {name: value for name, value in (live.manifest.get("spec") or {}).items() if name != "selector"}
    return _again(run, live, {**kept, "backoffLimit": live.failed}, keeping.given_up(live), priority=live.priority)


def _again(
    run: TrainingRun,
    live: AttemptView,
    spec: Manifest,
    more: Mapping[str, str] | None = None,
    *,
    priority: str | None,
) -> Manifest:
    """A Job that is there, with another spec and with more annotations. What was applied before is applied again:
    server-side apply takes away what its manager gives no more.
    """
    return {
        "apiVersion": live.key.api_version,
        "kind": live.key.kind,
        "metadata": attempt_metadata(
            run,
            live.key,
            live.attempt,
            inputs=live.inputs,
            failed_before=live.failed_before,
            restart=live.restart,
            queue=live.queue,
            priority=priority,
            more=more,
        ),
        "spec": spec,
    }


def limits_differ(run: TrainingRun, live: AttemptView) -> bool:
    """Whether the Job has other limits than the spec says."""
    spec, wanted = live.manifest.get("spec") or {}, _changeable(run, suspend=live.suspended)
    return any(spec.get(field) != wanted.get(field) for field in ("backoffLimit", "activeDeadlineSeconds"))


def _changeable(run: TrainingRun, *, suspend: bool) -> Manifest:
    fields: Manifest = {"suspend": suspend, "backoffLimit": run.spec.backoff_limit}
    if run.spec.active_deadline_seconds is not None:
        fields["activeDeadlineSeconds"] = run.spec.active_deadline_seconds
    return fields
