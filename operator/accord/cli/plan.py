"""`accord plan -f FILE…`: what the operator would apply for these manifests, offline, as YAML or JSON.

Exit code 0: all of it can be done. 1: something is refused or missing; what could be planned is printed all the same.
2: the input cannot be read. Nothing printed depends on time, so two runs can be compared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

import yaml

from accord.adapters.routers.envoy import objects, offering
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import API_VERSION
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.validation import stored, validate
from accord.cli import checkpoint_rehearsal, run_rehearsal
from accord.cli.documents import Document, InputError, read
from accord.cli.kubeyaml import KubeDumper
from accord.cli.rehearsal import Outcome, Stage, rehearse
from accord.config import Config
from accord.domain.conditions import find
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names

Output = Literal["yaml", "json"]
_TOLD = ("Accepted", "ResolvedRefs", "ModesAvailable", "Promoted")
"""Conditions that follow from manifests; the others need a cluster."""


def main(
    paths: Sequence[Path],
    namespace: str | None = None,
    output: Output = "yaml",
    config: Config | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Plan for the manifests in `paths`; the objects go to `out`, problems to `err`. Returns the exit code."""
    out, err = out or sys.stdout, err or sys.stderr
    try:
        documents = read(paths, namespace)
        ours = [document for document in documents if document.manifest["apiVersion"] == API_VERSION]
        if not ours:
            raise InputError(f"none of the {len(documents)} objects has apiVersion {API_VERSION}: nothing to plan")
    except InputError as error:
        err.write(f"accord plan: {error}\n")
        return 2
    problems: list[str] = []
    given = {document.key: document.manifest for document in documents}
    for document in documents:
        problems += _misshapen(document)
    planned: list[tuple[Document, Outcome]] = []
    for document in ours if not problems else ():
        problems += [f"{document}: {error}" for error in validate(document.manifest)]
        if validate(document.manifest):
            continue
        outcome, complaints = _of_kind(document, given, config or Config())
        problems += complaints
        planned.append((document, outcome))
    _print(planned, output, out, err)
    for note in (note for document, outcome in planned for note in _notes(document, outcome)):
        err.write(f"accord plan: warning: {note}\n")
    for problem in problems:
        err.write(f"accord plan: {problem}\n")
    return 1 if problems else 0


def _of_kind(document: Document, given: dict[ObjectKey, Manifest], config: Config) -> tuple[Outcome, list[str]]:
    """What would be done for one object of ours, and what would keep it from becoming ready."""
    manifest = stored(document.manifest)
    if document.manifest["kind"] == TrafficPolicy.kind:
        outcome = _plan(document, given, config)
        given.update(outcome.applied)
        return outcome, list(_complaints(document, outcome, given))
    if document.manifest["kind"] == CheckpointPolicy.kind:
        absent = list(checkpoint_rehearsal.missing(CheckpointPolicy.model_validate(manifest), given))
        outcome = checkpoint_rehearsal.rehearse(manifest, given)
        return outcome, [f"{document}: {each}" for each in absent] or list(_stalls(document, outcome))
    outcome = run_rehearsal.rehearse(manifest)
    return outcome, list(_stalls(document, outcome))


def _plan(document: Document, given: dict[ObjectKey, Manifest], config: Config) -> Outcome:
    manifest = stored(document.manifest)
    policy = TrafficPolicy.model_validate(manifest)
    settings = EnvoySettings(
        image=config.envoy.image,
        image_pull_policy=config.envoy.image_pull_policy,
        run_as_user=config.envoy.run_as_user,
        xds_host=config.xds.host,
        xds_port=config.xds.port,
    )
    unsupported = offering.unsupported(policy)
    return rehearse(manifest, Stage(given, objects.objects(policy, settings) if not unsupported else (), unsupported))


def _stalls(document: Document, outcome: Outcome) -> Iterator[str]:
    """Why the policy would stand still, as far as manifests can tell."""
    told = find(outcome.conditions, "Stalled")
    if told is not None:
        yield f"{document}: {told.message}"


def _misshapen(document: Document) -> Iterator[str]:
    """What would make a Deployment useless here. All else about it is the API server's business."""
    if document.key[:2] != ("apps/v1", "Deployment"):
        return
    spec = document.manifest.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    selector = spec.get("selector")
    if not isinstance(selector, dict):
        yield f"{document}: spec.selector is required"
    elif not isinstance(selector.get("matchLabels") or {}, dict):
        yield f"{document}: spec.selector.matchLabels must be a map of labels"
    elif not isinstance(spec.get("replicas", 1), int | None):
        yield f"{document}: spec.replicas must be a number"


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


def _print(planned: Iterable[tuple[Document, Outcome]], output: Output, out: TextIO, err: TextIO) -> None:
    if output == "json":
        items = [manifest for _, outcome in planned for manifest in outcome.applied.values()]
        json.dump({"apiVersion": "v1", "kind": "List", "items": items}, out, indent=2)
        out.write("\n")
        err.writelines(_header(document, outcome) for document, outcome in planned)
        return
    for index, (document, outcome) in enumerate(planned):
        out.write(("---\n" if index else "") + _header(document, outcome))
        for manifest in outcome.applied.values():
            out.write("---\n")
            # The dumper is a class of ours below; the stubs know the given ones only.
            yaml.dump(manifest, out, _Dumper, sort_keys=False, allow_unicode=True, width=120)


def _header(document: Document, outcome: Outcome) -> str:
    meta = document.manifest["metadata"]
    lines = [f"# {document.manifest['kind']} {meta['namespace']}/{meta['name']}"]
    told = [condition for condition in outcome.conditions if condition.type in _TOLD]
    lines += [f"#   {condition.type}={condition.status} {condition.reason}: {condition.message}" for condition in told]
    lines += [f"#   deletes {key}" for key in outcome.deleted]
    if document.manifest["kind"] == CheckpointPolicy.kind:
        lines.append(
            "#   shown for the first checkpoint; of a Deployment only the fields that the operator sets. In the cluster"
        )
        lines.append("#   other names end in a hash of the TrainingRun's uid")
    elif outcome.applied and not meta.get("uid"):
        lines.append("#   in the cluster each object also has an owner reference to the policy")
    return "\n".join(lines) + "\n"


class _Dumper(KubeDumper):
    """Texts of several lines as such, no anchors, list items indented."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
