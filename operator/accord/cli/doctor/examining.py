"""Reads what may be read, and prints what the checks say. Changes nothing: a review of rights is a question."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from pydantic import ValidationError

from accord import rbac
from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import (
    CHECKPOINT_POLICIES,
    CLAIMS,
    DEPLOYMENTS,
    PODS,
    TRAFFIC_POLICIES,
    TRAINING_RUNS,
    Resource,
)
from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint
from accord.api.base import Manifest
from accord.api.kubeyaml import UnreadableError, parse
from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import GROUP
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli import connection, trainers
from accord.cli.doctor.checks import checks
from accord.cli.doctor.facts import Check, Clock, Facts, Metrics, Read, Right
from accord.cli.exits import Exit
from accord.cli.printer import Block, Printer, Table
from accord.domain.checkpoint.detection.scrapes import STEP
from accord.domain.checkpoint.detection.signals import optional
from accord.domain.traffic import distribution
from accord.domain.traffic.names import POLICY_LABEL
from accord.domain.training import progress
from accord.domain.training.names import RUN_LABEL
from accord.ports.cluster import ClusterError

_HEADINGS = ("RESULT", "CHECK", "SEEN", "WHAT TO DO")
_OPERATOR = "app.kubernetes.io/name=accord,app.kubernetes.io/component=operator"
_CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
_STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass")
_SNAPSHOT_CLASSES = Resource("snapshot.storage.k8s.io", "v1", "volumesnapshotclasses", "VolumeSnapshotClass")
_NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
_CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
_REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview")
_AT_ONCE = 6
_TRAINER = ("ppo_entropy_coef", "ppo_learning_rate", "ppo_loss_sum", "ppo_reward_sum", "ppo_checkpoint_step")
"""What the checks of a training need beside its step."""
_RECENT = "5m"
"""How far back a trainer's series are looked for."""
_Measured = TrafficPolicy | TrainingRun | CheckpointPolicy
"""What needs metrics of others."""


def examine(args: argparse.Namespace, printer: Printer) -> Exit:
    """Print all checks."""
    found = checks(asyncio.run(_read(connection.find(args), args)))
    if args.output == "table":
        printer.blocks(as_table(found))
    else:
        printer.data(as_data(found), args.output)
    return Exit.FINDINGS if any(check.result == "failed" for check in found) else Exit.OK


def as_table(found: Sequence[Check]) -> Iterator[Block]:
    """For people."""
    yield Table([_HEADINGS, *((check.result, check.name, check.seen, check.remedy) for check in found)])
    counts = (f"{sum(each.result == result for each in found)} {result}" for result in _RESULTS)
    yield f"\n{', '.join(counts)}"


_RESULTS = ("ok", "warning", "failed", "unknown")


def as_data(found: Sequence[Check]) -> Manifest:
    """For programs."""
    return {
        "summary": {result: sum(each.result == result for each in found) for result in _RESULTS},
        "checks": [
            {"name": each.name, "result": each.result, "seen": each.seen, "remedy": each.remedy} for each in found
        ],
    }


async def _read(target: connection.Target, args: argparse.Namespace) -> Facts:
    namespace = args.namespace
    async with connection.connected(target) as api:
        before = datetime.now(UTC)
        server = await api.time()
        clock = Clock(before, server, datetime.now(UTC))
        names = [f"{kind.plural}.{GROUP}" for kind in KINDS]
        crds = await asyncio.gather(*(_one(api, _CRDS, _CRDS.path(None, name)) for name in names))
        deployments, policies, runs, checkpoints, claims, storage, snapshots, networks = await asyncio.gather(
            _list(api, DEPLOYMENTS, None, _OPERATOR),
            _list(api, TRAFFIC_POLICIES, namespace),
            _list(api, TRAINING_RUNS, namespace),
            _list(api, CHECKPOINT_POLICIES, namespace),
            _list(api, CLAIMS, namespace),
            _list(api, _STORAGE_CLASSES, None),
            _list(api, _SNAPSHOT_CLASSES, None),
            _list(api, _NETWORK_POLICIES, namespace),
        )
        pods = _together(
            await asyncio.gather(
                _list(api, PODS, None, _OPERATOR),
                _list(api, PODS, namespace, POLICY_LABEL),
                _list(api, PODS, namespace, RUN_LABEL),
            )
        )
        configuration = await _configuration(api, deployments.items)
        rights = await _rights(api, deployments.items, configuration, with_snapshots=not snapshots.absent)
    metrics = None
    if args.prometheus is not None:
        metrics = ask_prometheus(args.prometheus, policies.items, runs.items, checkpoints.items)
    return Facts(
        version("accord-operator"),
        dict(zip(names, crds, strict=True)),
        deployments,
        rights,
        policies,
        runs,
        checkpoints,
        pods,
        claims,
        storage,
        snapshots,
        networks,
        clock,
        metrics,
        configuration,
    )


async def _list(api: Connection, resource: Resource, namespace: str | None, selector: str = "") -> Read:
    """Total, but for an API server that is not there: without it there is nothing to say."""
    query = {"labelSelector": selector} if selector else {}
    try:
        answer = await api.request("list", "GET", resource, resource.path(namespace), query=query)
    except ClusterError as error:
        return _failed(error)
    # Items of a list do not say what they are.
    return Read([{"kind": resource.kind, **item} for item in answer.get("items") or ()])


async def _one(api: Connection, resource: Resource, path: str) -> Read:
    try:
        return Read([await api.request("get", "GET", resource, path)])
    except ClusterError as error:
        return _failed(error)


def _failed(error: ClusterError) -> Read:
    if not error.status:
        raise error
    return Read(absent=True) if error.status == 404 else Read(problem=error.words or error.reason)


def _together(reads: Iterable[Read]) -> Read:
    found = list(reads)
    problem = next((read.problem for read in found if read.problem), "")
    return Read([item for read in found for item in read.items], problem)


async def _configuration(api: Connection, deployments: Sequence[Manifest]) -> dict[str, Manifest]:
    """The configuration of each operator, as far as it may be read."""
    found = {}
    for each in deployments:
        meta = each["metadata"]
        for volume in each["spec"]["template"]["spec"].get("volumes") or ():
            name = (volume.get("configMap") or {}).get("name")
            if name is None:
                continue
            read = await _one(api, _CONFIG_MAPS, _CONFIG_MAPS.path(meta["namespace"], name))
            text = (read.items[0].get("data") or {}).get("config.yaml") if read.items else None
            try:
                documents = parse(text.encode()) if text is not None else []
            except UnreadableError:
                continue
            if documents and isinstance(documents[0], dict):
                found[f"{meta['namespace']}/{meta['name']}"] = documents[0]
    return found


async def _rights(
    api: Connection,
    deployments: Sequence[Manifest],
    configuration: Mapping[str, Manifest],
    *,
    with_snapshots: bool,
) -> list[Right]:
    """Of the service account of each operator, in the namespaces that it watches."""
    asked = []
    for each in deployments:
        meta = each["metadata"]
        account = each["spec"]["template"]["spec"].get("serviceAccountName", "default")
        user = f"system:serviceaccount:{meta['namespace']}:{account}"
        watched = (configuration.get(f"{meta['namespace']}/{meta['name']}") or {}).get("namespaces") or [""]
        for namespace in watched:
            for (group, resource), verbs in rbac.watched().items():
                if group.startswith("snapshot.") and not with_snapshots:
                    continue
                asked += [_right(api, user, namespace, group, resource, verb) for verb in verbs]
    # Few at a time: waiting for a connection would count against the time limit of a request.
    found: list[Right] = []
    for begin in range(0, len(asked), _AT_ONCE):
        found += await asyncio.gather(*asked[begin : begin + _AT_ONCE])
    return found


async def _right(api: Connection, user: str, namespace: str, group: str, resource: str, verb: str) -> Right:
    kind, _, sub = resource.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": kind, "subresource": sub}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}", "system:authenticated"]
    body = {
        "apiVersion": _REVIEWS.api_version,
        "kind": _REVIEWS.kind,
        "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
    }
    try:
        answer = await api.request("create", "POST", _REVIEWS, _REVIEWS.path(None), body=body)
    except ClusterError as error:
        return Right(verb, group, resource, namespace, None, _failed(error).problem or "no API for reviews")
    return Right(verb, group, resource, namespace, bool((answer.get("status") or {}).get("allowed")))


def ask_prometheus(
    url: str, policies: Sequence[Manifest], runs: Sequence[Manifest], checkpoints: Sequence[Manifest]
) -> Metrics:
    """What the objects ask for and Prometheus does not have."""
    client = PrometheusEndpoint(Endpoint(url))
    try:
        scraped = client.query("count(accord_leader)")
        if scraped.failure is not None:
            return Metrics(problem=scraped.problem)
        missing: dict[str, str] = {}
        unread: dict[str, str] = {}
        asked = 0
        kinds: tuple[tuple[type[_Measured], Sequence[Manifest]], ...] = (
            (TrafficPolicy, policies),
            (TrainingRun, runs),
            (CheckpointPolicy, checkpoints),
        )
        for kind, item in ((kind, item) for kind, items in kinds for item in items):
            name = f"{kind.kind} {item['metadata']['namespace']}/{item['metadata']['name']}"
            try:
                said = _lacks(client, kind.model_validate(item))
            except ValidationError:
                unread[name] = "the object does not fit this version"
                continue
            asked += said is not None
            if said:
                missing[name] = said
        return Metrics("", bool(scraped.samples), missing, unread, asked)
    finally:
        client.close()


def _lacks(client: PrometheusEndpoint, item: _Measured) -> str | None:
    """What is missing of one object, empty if nothing is; None where nothing can be expected."""
    now = datetime.now(UTC)
    if isinstance(item, TrafficPolicy):
        shares = distribution.interpret(item, client.query(distribution.query(item)), now)
        return "" if shares.outcome in ("Measured", "NoTraffic") else shares.message
    if isinstance(item, CheckpointPolicy):
        return _lacks_signals(client, item)
    if item.status.phase != "Running":
        return None
    answer = client.query(progress.query(item))
    reached = progress.interpret(item, answer, now)
    if reached.outcome != "Measured":
        return reached.message
    seen = {sample.labels.get("accord") for sample in answer.samples}
    return _unreported(name for name in _TRAINER if name not in seen)


def _lacks_signals(client: PrometheusEndpoint, policy: CheckpointPolicy) -> str | None:
    """Series of signals that are off by default: the others are those of its run."""
    wanted = optional(policy.spec.detection)
    if not wanted:
        return None
    answer = client.query(trainers.query(policy, _RECENT), "matrix")
    if answer.failure is not None:
        return answer.problem
    seen = {series.labels.get("__name__", "") for series in answer.series}
    if STEP not in seen:
        return None
    return _unreported(signal.gauge for signal in wanted if seen.isdisjoint(signal.metrics))


def _unreported(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"not reported: {listed}" if listed else ""
