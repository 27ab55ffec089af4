"""One pass over one object: gather → decide → act.

Thin on purpose: what is wanted is the plan's business, how a write is made is the cluster's. A pass may be cut short
between any two writes; the next one completes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from accord.adapters.kubernetes.resources import CLAIMS
from accord.api.base import Manifest
from accord.api.v1alpha1.meta import Condition
from accord.domain import conditions
from accord.domain.children import Difference, differences, needs_apply
from accord.domain.fields import in_words, set_by_others
from accord.domain.plan import Event, ObjectKey, Plan, Refusal
from accord.domain.refusals import QUOTA_EXCEEDED, is_refusal
from accord.domain.refusals import reason as refusal_reason
from accord.domain.traffic.names import MANAGED_BY_LABEL
from accord.domain.words import quote
from accord.observability.logs import about
from accord.observability.metrics import OperatorMetrics
from accord.observability.traces import NoTraces, Traces
from accord.ports.clock import Clock
from accord.ports.cluster import Cluster, ClusterError
from accord.runtime.contests import LIMIT, TRUCE, Contest, Contests
from accord.runtime.fence import NOT_LEADER
from accord.runtime.index import Index, controller_of, is_ours
from accord.runtime.kinds import AsksWhy, Kind, LooksAtPods, LooksForOwn, Traits
from accord.runtime.queue import Outcome
from accord.runtime.slim import is_made_by_us

log = logging.getLogger(__name__)

_CONFLICT_RETRY = 15.0
_QUOTA_RETRY = 20.0
"""Longest pause (seconds) before what a ResourceQuota had no room for is tried again: nobody says when it has."""
_ROUNDS = 3
_STALE_RETRY = 1.0
_CUT_OFF = frozenset({"Unreachable", "Timeout"})
_DELETION = (Difference((), "gone"),)


class StaleError(Exception):
    """The object has changed since it was decided about."""


class GoneError(Exception):
    """The object that the pass is about does not exist any more; the watch will say so."""


class RefusedError(Exception):
    """The API server did not take an object, and the kind it belongs to knows."""

    def __init__(self, error: ClusterError) -> None:
        super().__init__(str(error))
        self.error = error


class Reconciler:
    """Handles the keys of the queue."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        index: Index,
        cluster: Cluster,
        observe: Callable[[Manifest], None],
        clock: Clock,
        metrics: OperatorMetrics,
        traces: Traces | None = None,
    ) -> None:
        """`observe` takes the answer to a write in, so that the next pass does not act on older knowledge."""
        self._traces: Traces = traces or NoTraces()
        self._kinds, self._index, self._cluster = kinds, index, cluster
        self._observe, self._clock, self._metrics = observe, clock, metrics
        self._complaints: dict[ObjectKey, str] = {}
        self._contests = Contests()
        self._deleted: dict[ObjectKey, set[str]] = {}
        """By owner: uids that were deleted, and that a plan still wants gone. There is no way back for them."""
        self._cut_off = False

    async def __call__(self, key: ObjectKey) -> Outcome:
        """One pass. Never raises: a failure is an outcome, said once and repeated with backoff."""
        with self._traces.passing(key, self._index.get(key)) as span:
            outcome = await self._timed(key)
            span.note("outcome", "failed" if outcome.failed else "wrote" if outcome.wrote else "unchanged")
            return outcome

    async def _timed(self, key: ObjectKey) -> Outcome:
        began = time.perf_counter()
        try:
            outcome = await self._pass(key)
        except ClusterError as error:
            if error.reason != NOT_LEADER:
                self._complain(key, error.reason, str(error))
            room = refusal_reason(Refusal(error.status, error.words)) == QUOTA_EXCEEDED
            return Outcome(_QUOTA_RETRY if room else None, failed=True)
        except Exception:
            self._metrics.reconcile_errors.labels(key.kind, "Bug").inc()
            level = logging.DEBUG if self._complaints.get(key) == "Bug" else logging.ERROR
            self._complaints[key] = "Bug"
            note = about(key.kind, key.namespace, key.name)
            log.log(level, "unexpected error in reconciliation; please report it", exc_info=True, extra=note)
            return Outcome(failed=True)
        finally:
            if self._index.get(key) is None:
                # It may have gone while the pass was at work.
                self.forget(key)
            self._metrics.reconcile_seconds.labels(key.kind).observe(time.perf_counter() - began)
        self._cut_off = False
        if self._complaints.pop(key, None) is not None:
            log.info("reconciled after errors", extra=about(key.kind, key.namespace, key.name))
        return outcome

    def forget(self, key: ObjectKey) -> None:
        """The object is gone: nothing is remembered of it."""
        if key.kind not in self._kinds:
            return
        self._complaints.pop(key, None)
        self._deleted.pop(key, None)
        self._contests.forget(key)
        self._kinds[key.kind].forget(key)

    def end_term(self) -> None:
        """Another replica leads from now on: what writes of this one have met says nothing in a later term."""
        self._complaints.clear()
        self._deleted.clear()
        self._contests.clear()
        for kind in self._kinds.values():
            kind.refusals.clear()

    async def _pass(self, key: ObjectKey) -> Outcome:
        kind, manifest = self._kinds[key.kind], self._index.get(key)
        if manifest is None:
            return Outcome()
        if manifest["metadata"].get("deletionTimestamp"):
            # Children go by their owner references.
            return Outcome()
        with self._traces.span("gather"):
            await self._gather(kind, manifest)
        with self._traces.span("decide"):
            plan, conflicts = await self._plan(kind, manifest)
            plan, truce = await self._spare(kind, manifest, plan, conflicts)
        wrote = False
        try:
            with self._traces.span("act"):
                try:
                    wrote = await self._act(key, manifest, plan, conflicts)
                except RefusedError as refusal:
                    await self._tell_refusal(kind, manifest, conflicts, refusal)
                    raise refusal.error from None
        except StaleError:
            # What is newer has been taken in and has asked for a pass; this is for the case that it is gone.
            return Outcome(requeue_after=_STALE_RETRY)
        except GoneError:
            return Outcome()
        wanted = [delay for delay in (plan.requeue_after, truce, _CONFLICT_RETRY if conflicts else None) if delay]
        return Outcome(requeue_after=min(wanted, default=None), wrote=wrote)

    async def _gather(self, kind: Kind, manifest: Manifest) -> None:
        """What memory does not hold; all else the kind gathers when it is asked for its plan."""
        if isinstance(kind, LooksForOwn):
            await self._look_for_own(kind, manifest)
        if isinstance(kind, LooksAtPods):
            await self._look_at_pods(kind, manifest)
        if isinstance(kind, AsksWhy):
            await self._ask_why(kind, manifest)

    async def _look_at_pods(self, kind: LooksAtPods, manifest: Manifest) -> None:
        """A listing, only while some are waited for: a watch would keep every pod of the cluster in memory."""
        selector = kind.awaited_pods(manifest)
        if selector is None:
            return
        try:
            pods = await self._cluster.pods(manifest["metadata"]["namespace"], selector)
        except ClusterError as error:
            # Unknown pods are evidence of nothing.
            log.debug("cannot list pods: %s", error)
            pods = ()
        kind.pods_seen(manifest, pods)

    async def _look_for_own(self, kind: LooksForOwn, manifest: Manifest) -> None:
        """Before it is made anew. Without an answer there is no pass."""
        child = kind.unseen(manifest)
        if child is None:
            return
        ours = kind.found(manifest, child, await self._cluster.get(child))
        if ours is not None:
            log.info("%s lost its watch label; restoring it", child)
            self._observe(ours)

    async def _ask_why(self, kind: AsksWhy, manifest: Manifest) -> None:
        """A listing of the warnings about one pod or Job, only while the pod does not start or is not made."""
        uid = kind.unexplained(manifest)
        if uid is None:
            return
        try:
            warned = await self._cluster.warned(manifest["metadata"]["namespace"], uid)
        except ClusterError as error:
            log.debug("events cannot be listed: %s", error)
            warned = None
        kind.explained(manifest, uid, warned)

    async def _plan(self, kind: Kind, manifest: Manifest) -> tuple[Plan, dict[ObjectKey, str]]:
        """The decision, taken again while it wants objects that turn out to be somebody else's."""
        conflicts: dict[ObjectKey, str] = {}
        checked: set[ObjectKey] = set()
        for _ in range(_ROUNDS):
            try:
                plan = kind.plan(manifest, conflicts, self._clock.now())
            except ValidationError as error:
                return self._unreadable(manifest, error), {}
            found = await self._conflicts(manifest, plan, checked)
            if not found:
                break
            conflicts.update(found)
        return plan, conflicts

    async def _spare(
        self, kind: Kind, manifest: Manifest, plan: Plan, conflicts: Mapping[ObjectKey, str]
    ) -> tuple[Plan, float | None]:
        """The plan without the objects that somebody else changes back each time, and for how many seconds.

        What is left alone is told like a refusal, and the kind decides again once it knows.
        """
        key, now = ObjectKey.of(manifest), self._clock.now()
        standing = {
            child: contest
            for child, differences in self._amiss(plan)
            if (contest := self._contests.standing(key, child, differences, now)) is not None
        }
        if not standing:
            return plan, None
        news = standing.keys() - kind.refusals.of(key).keys()
        for child in news:
            kind.refusals.contested(key, child, await self._why(child, standing[child]), now)
        if news:
            plan = kind.plan(manifest, conflicts, now)
        spared = replace(
            plan,
            patch=tuple(part for part in plan.patch if ObjectKey.of(part) not in standing),
            apply=tuple(wanted for wanted in plan.apply if ObjectKey.of(wanted) not in standing),
            delete=tuple(child for child in plan.delete if child not in standing),
        )
        return spared, min(contest.left for contest in standing.values()).total_seconds()

    def _amiss(self, plan: Plan) -> Iterator[tuple[ObjectKey, tuple[Difference, ...]]]:
        """The objects that exist and are to be written, with what is not as it is wanted."""
        for wanted in (*(() if plan.counts_reverts else plan.patch), *plan.apply):
            child = ObjectKey.of(wanted)
            live = self._index.get(child)
            if live is not None:
                yield child, differences(wanted, live)
        for child in plan.delete:
            yield child, _DELETION

    async def _why(self, child: ObjectKey, contest: Contest) -> str:
        """A sentence that names the field and who sets it."""
        until = f"retrying every {TRUCE.total_seconds() / 60:.0f} minutes"
        if contest.over in _DELETION:
            return f"recreated {LIMIT} times, and each time something changed it so that it had to be deleted; {until}"
        try:
            live = await self._cluster.get(child)
        except ClusterError as error:
            log.debug("cannot get %s: %s", child, error)
            live = None
        field = in_words(contest.over.path) or "it"
        who = None if live is None else set_by_others(live, contest.over.path)
        if who is not None:
            return f"{who} keeps reverting {field}; {until}. Configure {who} to ignore that field"
        if contest.on_admission:
            # That counts as set by whoever made the request.
            return f"{field} is changed by a mutating admission webhook or policy; {until}"
        # Of a field that is removed nobody is the owner.
        return f"another client keeps reverting {field}; {until}"

    async def _conflicts(self, manifest: Manifest, plan: Plan, checked: set[ObjectKey]) -> dict[ObjectKey, str]:
        """Objects that the plan would take over from somebody. What the index shows as ours is not asked for."""
        children = self._index.children(manifest["metadata"]["uid"])
        unknown = [key for key in map(ObjectKey.of, plan.apply) if key not in children and key not in checked]
        checked.update(unknown)
        holders = await asyncio.gather(*(self._find_holder(key, manifest) for key in unknown))
        return {key: holder for key, holder in zip(unknown, holders, strict=True) if holder is not None}

    async def _find_holder(self, key: ObjectKey, manifest: Manifest) -> str | None:
        live = self._index.get(key) or await self._cluster.get(key)
        return None if live is None else self._holder(live, manifest)

    def _holder(self, live: Manifest, owner: Manifest) -> str | None:
        return _holder(live, owner, self._kinds[owner["kind"]].traits)

    async def _act(self, key: ObjectKey, manifest: Manifest, plan: Plan, conflicts: Mapping[ObjectKey, str]) -> bool:
        generation = manifest["metadata"].get("generation")
        seen = (manifest.get("status") or {}).get("observedGeneration")
        note = about(key.kind, key.namespace, key.name, generation)
        wrote = False
        if plan.patch or plan.apply or plan.delete:
            await self._make_sure(key, manifest)
        for part in plan.patch:
            await self._apply(key, part, counts=not plan.counts_reverts)
            log.info("patched %s", ObjectKey.of(part), extra=note)
            wrote = True
        refused: RefusedError | None = None
        for wanted in plan.apply:
            child = ObjectKey.of(wanted)
            if child in conflicts:
                continue
            try:
                await self._apply(key, wanted)
            except RefusedError as error:
                if self._kinds[key.kind].traits.is_patient:
                    raise
                refused = refused or error
                continue
            # In a generation that was brought about already, a write means that somebody changed or deleted the object.
            log.log(logging.INFO if seen == generation else logging.DEBUG, "applied %s", child, extra=note)
            wrote = True
        if refused is not None:
            raise refused
        wrote = await self._delete(key, manifest, plan.delete, note) or wrote
        return await self._say(manifest, plan) or wrote

    async def _say(self, manifest: Manifest, plan: Plan) -> bool:
        """Status and events. Whether the status was written."""
        key, wrote = ObjectKey.of(manifest), False
        note = about(key.kind, key.namespace, key.name, manifest["metadata"].get("generation"))
        if plan.status is not None:
            wrote = await self._write_status(manifest, plan.status)
        for event in plan.events:
            level = logging.WARNING if event.type == "Warning" else logging.INFO
            log.log(level, "%s", event.note, extra={**note, "reason": event.reason})
            await self._record(manifest, event)
        return wrote

    async def _make_sure(self, key: ObjectKey, manifest: Manifest) -> None:
        """For a kind whose status says what is to be done: that no newer one exists. Raises StaleError.

        A replica that has just begun to lead may not have seen yet what the former one recorded last.
        """
        if not self._kinds[key.kind].traits.acts_on_status:
            return
        live = await self._cluster.get(key)
        if live is not None and live["metadata"]["resourceVersion"] == manifest["metadata"]["resourceVersion"]:
            return
        if live is not None:
            self._observe(live)
        raise StaleError

    async def _delete(
        self, key: ObjectKey, manifest: Manifest, wanted: Sequence[ObjectKey], note: Mapping[str, Any]
    ) -> bool:
        """Each object once, however long the watches go on to show it. Whether any was deleted."""
        found = {child: manifest if child == key else self._own(child, manifest) for child in wanted}
        uids = {child: str(live["metadata"]["uid"]) for child, live in found.items() if live is not None}
        deleted = self._deleted.pop(key, set()) & set(uids.values())
        if deleted:
            self._deleted[key] = deleted
        left = [child for child, uid in uids.items() if uid not in deleted]
        wrote = False
        for child in await self._deletable(left):
            with self._hearing(key, child, deleting=True):
                await self._cluster.delete(child, uids[child])
            self._contests.wrote(key, child, _DELETION, self._clock.now())
            self._deleted.setdefault(key, set()).add(uids[child])
            log.info("deleted %s", child, extra=note)
            wrote = True
        return wrote

    async def _deletable(self, wanted: Sequence[ObjectKey]) -> list[ObjectKey]:
        """Without claims that a pod still mounts: no watch knows of all pods."""
        claims = {key.namespace for key in wanted if key.kind == CLAIMS.kind}
        if not claims:
            return list(wanted)
        in_use = {(namespace, name) for namespace in claims for name in await self._cluster.claims_in_use(namespace)}
        return [key for key in wanted if key.kind != CLAIMS.kind or (key.namespace, key.name) not in in_use]

    def _own(self, child: ObjectKey, owner: Manifest) -> Manifest | None:
        """An object of ours: by its controller, or, where it outlives its owner, by its label."""
        found = self._index.children(owner["metadata"]["uid"]).get(child)
        if found is not None:
            return found
        live = self._index.get(child)
        return live if live is not None and controller_of(live) is None and self._holder(live, owner) is None else None

    async def _apply(self, key: ObjectKey, wanted: Manifest, *, counts: bool = True) -> None:
        """An object of ours, or the part that is ours of another one. `counts`: where it is there, this is a change
        that somebody may be making undone.
        """
        child = ObjectKey.of(wanted)
        live = self._index.get(child)
        with self._hearing(key, child):
            answer = await self._cluster.apply(wanted)
        if counts and live is not None:
            rewritten = needs_apply(wanted, answer)
            self._contests.wrote(key, child, differences(wanted, live), self._clock.now(), rewritten=rewritten)
        self._observe(answer)

    @contextlib.contextmanager
    def _hearing(self, key: ObjectKey, child: ObjectKey, *, deleting: bool = False) -> Iterator[None]:
        """Enter in the kind's book whether a write was taken. Raises RefusedError where that is to be told."""
        refusals = self._kinds[key.kind].refusals
        try:
            yield
        except ClusterError as error:
            if refusals.failed(key, child, Refusal(error.status, error.words, deleting), self._clock.now()):
                raise RefusedError(error) from error
            raise
        refusals.taken(key, child)

    async def _tell_refusal(
        self, kind: Kind, manifest: Manifest, conflicts: Mapping[ObjectKey, str], refusal: RefusedError
    ) -> None:
        """Decide again, knowing of the refusal, and write what that has to say; nothing else."""
        told = kind.plan(manifest, conflicts, self._clock.now())
        log.debug("rejected by the API server: %s", refusal.error)
        await self._say(manifest, told)

    async def _write_status(self, manifest: Manifest, wanted: Manifest) -> bool:
        status = _without_none(wanted)
        if (manifest.get("status") or {}) == status:
            return False
        # Where the status says what is to be done, an older one must not be written over a newer one.
        pinned = ("resourceVersion",) if self._kinds[manifest["kind"]].traits.acts_on_status else ()
        meta = {name: manifest["metadata"][name] for name in ("namespace", "name", "uid", *pinned)}
        body = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": meta, "status": status}
        try:
            self._observe(await self._cluster.apply_status(body))
        except ClusterError as error:
            if error.status == 404:
                raise GoneError from error
            if error.status == 409:
                raise StaleError from error
            if is_refusal(error.status, error.words) and ObjectKey.of(manifest) not in self._complaints:
                # Where the status itself cannot say it, an event can; once.
                why = refusal_reason(Refusal(error.status, error.words))
                await self._record(manifest, Event("Warning", why, f"the status was refused: {quote(error.words)}"))
            raise
        return True

    async def _record(self, manifest: Manifest, event: Event) -> None:
        """An Event is a courtesy: one that cannot be written must not repeat the pass."""
        try:
            await self._cluster.record(manifest, event)
        except ClusterError as error:
            log.debug("cannot record event: %s", error)

    def _unreadable(self, manifest: Manifest, error: ValidationError) -> Plan:
        """An object that passed an older or a tampered CRD: nothing is changed but the status, which says why."""
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        meta, status = manifest["metadata"], dict(manifest.get("status") or {})
        generation = int(meta.get("generation", 0))
        message = f"{where}: {problem['msg']}. What was programmed before stays; correct the field."
        previous = [Condition.model_validate(condition) for condition in status.get("conditions") or ()]
        wanted = [
            conditions.Wanted("Accepted", "False", "Unreadable", message),
            conditions.Wanted("Ready", "False", "Unreadable", message),
            conditions.Wanted("Stalled", "True", "Unreadable", message),
        ]
        status["conditions"] = conditions.merge(previous, wanted, generation=generation, now=self._clock.now())
        status["observedGeneration"] = generation
        return Plan(status=status)

    def _complain(self, key: ObjectKey, reason: str, message: str) -> None:
        self._metrics.reconcile_errors.labels(key.kind, reason).inc()
        if reason in _CUT_OFF:
            # It concerns all objects alike: one line, not one for each.
            log.log(
                logging.DEBUG if self._cut_off else logging.WARNING, "no request reaches the API server: %s", message
            )
            self._cut_off = True
            return
        level = logging.DEBUG if self._complaints.get(key) == reason else logging.WARNING
        self._complaints[key] = reason
        log.log(
            level,
            "reconciliation failed, will retry: %s",
            message,
            extra=about(key.kind, key.namespace, key.name, reason=reason),
        )


def _holder(live: Manifest, owner: Manifest, traits: Traits) -> str | None:
    """Who holds an object that `owner` wants, in words; None where it may be taken: ours, or ours without an owner."""
    controller = controller_of(live)
    if controller is not None:
        if controller["uid"] == owner["metadata"]["uid"]:
            return None
        if (controller["kind"], controller["name"]) == (owner["kind"], owner["metadata"]["name"]):
            return f"an earlier {owner['kind']} of the same name, which is being deleted"
        return f"{controller['kind']} {controller['name']}"
    labels, name = live["metadata"].get("labels") or {}, owner["metadata"]["name"]
    label = traits.owner_label
    if is_ours(live) and labels.get(label) == name:
        return None
    if is_made_by_us(live) and (
        labels.get(label, name) == name or traits.is_named_after(name, live["metadata"]["name"])
    ):
        # Whoever took its labels away did not mean it to be lost.
        return None
    manager = labels.get(MANAGED_BY_LABEL)
    return f"another owner (managed by {manager})" if manager else "another owner"


def _without_none(value: Any) -> Any:
    """As the API server stores it: absent instead of null."""
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
