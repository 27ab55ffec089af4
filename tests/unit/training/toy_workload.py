"""A way to run attempts that nothing in the operator knows: an object `Toy` with the template of its pod."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain import podnames
from accord.domain.conditions import parse_timestamp
from accord.domain.plan import ObjectKey
from accord.domain.training import keeping, names
from accord.domain.training.inputs import inputs
from accord.domain.training.resources import attempt_metadata, claim_name
from accord.domain.training.restart import Restart
from accord.domain.training.template import pod_template
from accord.domain.training.views import AttemptView, End, PodView, Problem, attempt_of


class ToyWorkload:
    """Implements `accord.ports.workload.Workload`."""

    kind = "Toy"

    def key(self, run: TrainingRun, attempt: int) -> ObjectKey:
        return ObjectKey("toys.example/v1", "Toy", run.metadata.namespace, f"{run.metadata.name}-toy-{attempt}")

    def unsupported(self, run: TrainingRun) -> Problem | None:
        return Problem("NoQueue", "a Toy cannot wait in a queue") if run.spec.queue_name is not None else None

    def wanted(
        self, run: TrainingRun, attempt: int, failed_before: int, restart: Restart | None = None
    ) -> tuple[Manifest, ...]:
        key = self.key(run, attempt)
        meta = attempt_metadata(run, key, attempt, inputs=inputs(run), failed_before=failed_before, restart=restart)
        spec = {"asleep": False, "tries": run.spec.backoff_limit}
        spec["pod"] = pod_template(run, attempt, claim_name(run), restart)
        return ({"apiVersion": key.api_version, "kind": key.kind, "metadata": meta, "spec": spec},)

    def view(self, live: Manifest) -> AttemptView:
        meta, status = live["metadata"], live.get("status") or {}
        state, created = status.get("state"), parse_timestamp(meta["creationTimestamp"])
        return AttemptView(
            manifest=live,
            key=ObjectKey.of(live),
            attempt=attempt_of(meta),
            inputs=meta["annotations"][names.INPUTS_ANNOTATION],
            created=created,
            generation=int(meta.get("generation") or 0),
            suspended=live["spec"]["asleep"],
            suspended_by=None,
            queue=None,
            deleting="deletionTimestamp" in meta,
            started=created,
            failed=int(status.get("broken") or 0),
            failed_before=int(meta["annotations"][names.FAILED_BEFORE_ANNOTATION]),
            restart=Restart.on(live),
            end=End(state == "Done", None, state, "") if state in ("Done", "Broken") else None,
        )

    def pod(self, live: Manifest) -> PodView:
        return PodView.of(live)

    def lost(self, live: AttemptView, pods: Sequence[PodView], now: datetime) -> End | None:
        return None

    def pod_matcher(self, run: str) -> str:
        return podnames.of_job(f"{run}-toy-[0-9]+")

    def adjusted(self, run: TrainingRun, live: AttemptView) -> Manifest | None:
        if live.suspended == run.spec.suspend:
            return None
        return {**live.manifest, "spec": {**live.manifest["spec"], "asleep": run.spec.suspend}}

    def given_up(self, run: TrainingRun, live: AttemptView) -> Manifest:
        meta = {**live.manifest["metadata"], "annotations": keeping.given_up(live)}
        return {**live.manifest, "metadata": meta, "spec": {**live.manifest["spec"], "tries": 0}}

    def limits_differ(self, run: TrainingRun, live: AttemptView) -> bool:
        return bool(live.manifest["spec"]["tries"] != run.spec.backoff_limit)
