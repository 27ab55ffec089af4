"""A batch/v1 Job, as a decision about its run sees it."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.domain.conditions import parse_timestamp
from accord.domain.numbers import whole
from accord.domain.plan import ObjectKey
from accord.domain.training import names
from accord.domain.training.restart import Restart
from accord.domain.training.views import AttemptView, End, attempt_of

API_VERSION, KIND = "batch/v1", "Job"


class JobView(AttemptView):
    """A Job of the run."""

    @classmethod
    def of(cls, manifest: Manifest) -> JobView:
        """From the object as the API server has it."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
        started, failed = status.get("startTime"), int(status.get("failed") or 0)
        before = whole(annotations.get(names.GIVEN_UP_ANNOTATION))
        return cls(
            manifest=manifest,
            key=ObjectKey(API_VERSION, KIND, meta.get("namespace", ""), meta["name"]),
            # A Job may lose its label; that of its pod template cannot change.
            attempt=attempt_of(meta) or attempt_of((spec.get("template") or {}).get("metadata") or {}),
            inputs=annotations.get(names.INPUTS_ANNOTATION, ""),
            created=parse_timestamp(meta["creationTimestamp"]),
            generation=int(meta.get("generation") or 0),
            suspended=bool(spec.get("suspend")),
            suspended_by=(manifest.get("managers") or {}).get("suspend"),
            queue=labels.get(names.QUEUE_LABEL),
            priority=labels.get(names.PRIORITY_LABEL),
            deleting=bool(meta.get("deletionTimestamp")),
            started=parse_timestamp(started) if started else None,
            # That one is made to fail says nothing about its trainer.
            failed=failed if before is None else min(failed, before),
            failed_before=whole(annotations.get(names.FAILED_BEFORE_ANNOTATION)) or 0,
            restart=Restart.on(manifest),
            end=_end(status),
            given_up=before is not None,
        )


def _end(status: Manifest) -> End | None:
    """Complete and Failed are set when the last pod has ended; SuccessCriteriaMet and FailureTarget come before."""
    true = [each for each in status.get("conditions") or () if each.get("status") == "True"]
    for type_ in ("Complete", "Failed"):
        found = next((each for each in true if each.get("type") == type_), None)
        if found is not None:
            at = status.get("completionTime") or found.get("lastTransitionTime")
            return End(
                type_ == "Complete",
                parse_timestamp(at) if at else None,
                found.get("reason") or type_,
                found.get("message") or "",
            )
    return None
