"""What the operator would apply for manifests, and what would keep it from working."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from accord.api.v1alpha1.meta import API_VERSION, Condition
from accord.api.validation import stored
from accord.cli import documents
from accord.cli.documents import Document
from accord.cli.errors import InputError
from accord.cli.exits import Exit
from accord.cli.plan.shapes import misshapen
from accord.cli.printer import Block, Format, Printer, Table
from accord.config import Config
from accord.domain.rehearsal import Outcome
from accord.kinds import KINDS, Entry

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
        elif invalid.keys().isdisjoint(_entry(document).refers_to(document.manifest)):
            outcome = _entry(document).rehearse(stored(document.manifest), given, config)
            given.update(outcome.left)
            said += [f"{document}: {each}" for each in outcome.problems]
            planned.append((document, outcome))
    _print(planned, form, printer)
    for document, note in ((document, note) for document, outcome in planned for note in outcome.notes):
        printer.note(f"warning: {document}: {note}")
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
    try:
        _entry(document).model.model_validate(stored(document.manifest))
    except ValidationError as error:
        return [f"{document}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []


def _entry(document: Document) -> Entry:
    return next(entry for entry in KINDS if entry.model.kind == document.key.kind)


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
    lines += [f"#   {remark}" for remark in outcome.remarks]
    return "\n".join(lines) + "\n"
