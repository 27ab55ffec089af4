"""A batch/v1 Job, as a decision about its run sees it."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.domain.conditions import parse_timestamp
from accord.domain.numbers import whole
from accord.domain.training import names
from accord.domain.training.views import AttemptView, End, as_made

API_VERSION, KIND = "batch/v1", "Job"


class JobView(AttemptView):
    """A Job of the run."""

    @classmethod
    def of(cls, manifest: Manifest) -> JobView:
        """From the object as the API server has it."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        failed = int(status.get("failed") or 0)
        before = whole((meta.get("annotations") or {}).get(names.GIVEN_UP_ANNOTATION))
        return cls(
            **as_made(manifest, API_VERSION, KIND, (spec.get("template") or {}).get("metadata") or {}),
            # That one is made to fail says nothing about its trainer.
            failed=failed if before is None else min(failed, before),
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
