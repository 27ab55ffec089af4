"""What the operator would apply for manifests, and what would keep it from working."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from accord.adapters.routers.envoy import objects, offering
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.api.base import Manifest
from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import API_VERSION, Condition
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.api.validation import stored
from accord.cli import documents
from accord.cli.documents import Document
from accord.cli.errors import InputError
from accord.cli.exits import Exit
from accord.cli.plan import checkpoint_rehearsal, run_rehearsal
from accord.cli.plan.rehearsal import Outcome, Stage, rehearse
from accord.cli.plan.shapes import misshapen
from accord.cli.printer import Block, Format, Printer, Table
from accord.config import Config
from accord.domain.conditions import find
from accord.domain.plan import ObjectKey
from accord.domain.traffic import acceptance, names

_TOLD = ("Accepted", "ResolvedRefs", "ModesAvailable", "Promoted")
"""Conditions that follow from manifests; the others need a cluster."""


def plan(paths: Sequence[Path], namespace: str | None, form: Format, config: Config, printer: Printer) -> Exit:
    """Plan for the manifests in `paths`. FINDINGS where something is missing or would not work, INVALID for a manifest
    that the API server would refuse. InputError where there is nothing to plan.
    """
    found = documents.read(paths, namespace)
    ours = [document for document in found if document.manifest["apiVersion"] == API_VERSION]
    if not ours:
        raise InputError(f"none of the {len(found)} objects has apiVersion {API_VERSION}: nothing to plan")
    said = [f"{each}: {error}" for each in found if each not in ours for error in misshapen(each.manifest)]
    invalid = {} if said else {each.key: wrong for each in ours if (wrong := _problems(each))}
    given = {document.key: document.manifest for document in found if document.key not in invalid}
    planned: list[tuple[Document, Outcome]] = []
    for document in () if said else ours:
        if document.key in invalid:
            said += invalid[document.key]
        elif not _run_of(document) & invalid.keys():
            outcome, complaints = _of_kind(document, given, config)
            said += complaints
            planned.append((document, outcome))
    _print(planned, form, printer)
    for note in (note for document, outcome in planned for note in _notes(document, outcome)):
        printer.note(f"warning: {note}")
    for problem in said:
        printer.problem(problem)
    if not said:
        return Exit.OK
    return Exit.FINDINGS if planned and not invalid else Exit.INVALID


def _problems(document: Document) -> list[str]:
    """What is wrong with an object of ours: as the API server sees it, and in the status that a plan begins with."""
    found = documents.problems(document) or [f"{document}: {error}" for error in misshapen(document.manifest)]
    if found:
        return found
    kind = next(kind for kind in KINDS if kind.kind == document.key.kind)
    try:
        kind.model_validate(stored(document.manifest))
    except ValidationError as error:
        return [f"{document}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []


def _run_of(document: Document) -> set[ObjectKey]:
    """The TrainingRun that a CheckpointPolicy refers to: without it there is nothing to plan from."""
    if document.key.kind != CheckpointPolicy.kind:
        return set()
    ref = document.manifest["spec"].get("trainingRunRef")
    return {ObjectKey(API_VERSION, TrainingRun.kind, document.key.namespace, ref["name"])} if ref else set()


def _of_kind(document: Document, given: dict[ObjectKey, Manifest], config: Config) -> tuple[Outcome, list[str]]:
    """What would be done for one object of ours, and what would keep it from becoming ready."""
    manifest = stored(document.manifest)
    if document.manifest["kind"] == TrafficPolicy.kind:
        outcome = _plan(manifest, given, config)
        given.update(outcome.applied)
        return outcome, list(_complaints(document, outcome, given))
    if document.manifest["kind"] == CheckpointPolicy.kind:
        absent = list(checkpoint_rehearsal.missing(CheckpointPolicy.model_validate(manifest), given))
        outcome = checkpoint_rehearsal.rehearse(manifest, given)
        return outcome, [f"{document}: {each}" for each in absent] or list(_stalls(document, outcome))
    outcome = run_rehearsal.rehearse(manifest)
    return outcome, list(_stalls(document, outcome))


def _plan(manifest: Manifest, given: dict[ObjectKey, Manifest], config: Config) -> Outcome:
    policy = TrafficPolicy.model_validate(manifest)
    settings = EnvoySettings(
        image=config.envoy.image,
        image_pull_policy=config.envoy.image_pull_policy,
        run_as_user=config.envoy.run_as_user,
        xds_host=config.xds.host,
        xds_port=config.xds.port,
    )
    if policy.spec.router.type != "Envoy":
        return rehearse(manifest, Stage(given, (), (acceptance.no_router(policy, ["Envoy"]),)))
    unsupported = offering.unsupported(policy)
    wanted = objects.objects(policy, settings, given) if not unsupported else ()
    return rehearse(manifest, Stage(given, wanted, unsupported))


def _stalls(document: Document, outcome: Outcome) -> Iterator[str]:
    """Why the policy would stand still, as far as manifests can tell."""
    told = find(outcome.conditions, "Stalled")
    if told is not None:
        yield f"{document}: {told.message}"


def _complaints(document: Document, outcome: Outcome, given: dict[ObjectKey, Manifest]) -> Iterator[str]:
    """Why the policy would not become ready, as far as manifests can tell."""
    meta = document.manifest["metadata"]
    for index, mode in enumerate(document.manifest["spec"]["modes"]):
        wanted = mode["deploymentRef"]["name"]
        if ObjectKey("apps/v1", "Deployment", meta["namespace"], wanted) in given:
            continue
        service = names.mode_service(meta["name"], mode["name"])
        elsewhere = sorted(key.namespace for key in given if (key.kind, key.name) == ("Deployment", wanted))
        hint = f" in namespace {meta['namespace']} (it is in {elsewhere[0]})" if elsewhere else ""
        yield (
            f"{document}: spec.modes[{index}].deploymentRef: Deployment {wanted} not found{hint}: "
            f"add its manifest with -f (Service {service} is made from it)"
        )
    for type_ in _TOLD:
        told = find(outcome.conditions, type_)
        if told is not None and told.status == "False" and told.reason != "DeploymentNotFound":
            yield f"{document}: {told.message}"


def _notes(document: Document, outcome: Outcome) -> Iterator[str]:
    """What is allowed and may still surprise: said also to those whose output goes to kubectl, header and all."""
    told = find(outcome.conditions, "ResolvedRefs")
    if told is not None and told.status == "True":
        yield from (f"{document}: {note}" for note in told.message.split("; ")[1:])


def _print(planned: Sequence[tuple[Document, Outcome]], form: Format, printer: Printer) -> None:
    if form == "json":
        items = [manifest for _, outcome in planned for manifest in outcome.applied.values()]
        printer.data({"apiVersion": "v1", "kind": "List", "items": items}, form)
        for document, outcome in planned:
            printer.aside(_header(document, outcome))
        return
    if form == "table":
        printer.blocks(_tables(planned))
        return
    for index, (document, outcome) in enumerate(planned):
        printer.text(("---\n" if index else "") + _header(document, outcome))
        for manifest in outcome.applied.values():
            printer.text("---\n")
            printer.data(manifest, form)


def _tables(planned: Sequence[tuple[Document, Outcome]]) -> Iterator[Block]:
    """What is done to which object, and what would be said of the policies and runs."""
    actions = [
        (key.namespace or "", key.kind, key.name, action, f"{document.key.kind}/{document.name}")
        for document, outcome in planned
        for action, keys in (("apply", outcome.applied), ("delete", outcome.deleted))
        for key in keys
    ]
    if actions:
        yield Table([("NAMESPACE", "KIND", "NAME", "ACTION", "FOR"), *actions])
    conditions = [
        (document.key.namespace or "", document.key.kind, document.name, *_said(condition))
        for document, outcome in planned
        for condition in _told(outcome)
    ]
    if actions and conditions:
        yield ""
    if conditions:
        yield Table([("NAMESPACE", "KIND", "NAME", "CONDITION", "STATUS", "REASON", "MESSAGE"), *conditions])


def _said(condition: Condition) -> tuple[str, ...]:
    return condition.type, condition.status, condition.reason, condition.message


def _told(outcome: Outcome) -> list[Condition]:
    return [condition for condition in outcome.conditions if condition.type in _TOLD]


def _header(document: Document, outcome: Outcome) -> str:
    meta = document.manifest["metadata"]
    lines = [f"# {document.manifest['kind']} {meta['namespace']}/{meta['name']}"]
    lines += [
        f"#   {condition.type}={condition.status} {condition.reason}: {condition.message}"
        for condition in _told(outcome)
    ]
    lines += [f"#   deletes {key}" for key in outcome.deleted]
    if document.manifest["kind"] == CheckpointPolicy.kind:
        lines.append(
            "#   shown for the first checkpoint; of a Deployment only the fields that the operator sets. In the cluster"
        )
        lines.append("#   other names end in a hash of the TrainingRun's uid")
    elif outcome.applied and not meta.get("uid"):
        lines.append("#   in the cluster each object also has an owner reference to the policy")
    return "\n".join(lines) + "\n"
