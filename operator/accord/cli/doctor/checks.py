"""From facts to checks. Pure, and total: what could not be read is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from accord.api.base import Manifest
from accord.api.crd import crd
from accord.api.v1alpha1 import KINDS
from accord.cli.doctor.facts import Check, Facts, Read, Right
from accord.cli.tables import plural
from accord.domain.podstatus import IMAGE
from accord.domain.traffic.names import POLICY_LABEL

_SKEW = timedelta(seconds=30)
_XDS_PORT, _STATISTICS_PORT = 18000, 8081
_DEFAULT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"
_UPGRADE = "helm upgrade, or accord crds | kubectl apply --server-side -f -"
_SHOWN = 3


def checks(facts: Facts) -> list[Check]:
    """All of them, the causes before what follows from them."""
    return [
        *_crds(facts),
        *_operator(facts),
        _rights(facts.rights),
        _images(facts.pods),
        *_metrics(facts),
        _endpoints(facts),
        *_snapshots(facts),
        _clock(facts),
        *_network(facts),
    ]


def _crds(facts: Facts) -> Iterator[Check]:
    for kind in KINDS:
        wanted = crd(kind)
        name = str(wanted["metadata"]["name"])
        read = facts.crds.get(name, Read(problem="not read"))
        title = f"CRD {name}"
        if read.problem:
            yield Check(title, "unknown", read.problem, _allow("get customresourcedefinitions"))
        elif not read.items:
            yield Check(title, "failed", "not installed", _UPGRADE)
        else:
            yield _crd(title, read.items[0], wanted)


def _crd(title: str, live: Manifest, wanted: Manifest) -> Check:
    conditions = {each["type"]: each for each in (live.get("status") or {}).get("conditions") or ()}
    established = conditions.get("Established") or {}
    if established.get("status") != "True":
        said = established.get("message") or "no condition Established"
        return Check(title, "failed", f"not established: {said}", f"kubectl describe crd {live['metadata']['name']}")
    served = {each["name"]: each for each in live["spec"]["versions"] if each.get("served")}
    for version in wanted["spec"]["versions"]:
        found = served.get(version["name"])
        if found is None:
            return Check(title, "failed", f"version {version['name']} is not served", _UPGRADE)
        differing = list(_differences(version["schema"]["openAPIV3Schema"], found["schema"]["openAPIV3Schema"]))
        if differing:
            more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
            seen = f"the schema is of another version: {', '.join(differing[:_SHOWN])}{more}"
            return Check(title, "failed", seen, f"{_UPGRADE}; or use accord of the operator's version")
    return Check(title, "ok", "established, the schema is that of this version")


def _differences(wanted: Any, live: Any, path: str = "") -> Iterator[str]:
    """Fields by their path, as `spec.modes`. Descriptions do not count."""
    if not (isinstance(wanted, Mapping) and isinstance(live, Mapping)):
        if wanted != live:
            yield path or "type"
        return
    fields = wanted.get("properties"), live.get("properties")
    rest = [
        {k: v for k, v in each.items() if k not in ("properties", "description", "items")} for each in (wanted, live)
    ]
    if rest[0] != rest[1]:
        yield path or "rules"
    of_wanted, of_live = ({} if each is None else each for each in fields)
    for name in sorted({*of_wanted, *of_live}):
        below = f"{path}.{name}" if path else name
        if name not in of_wanted or name not in of_live:
            yield below
        else:
            yield from _differences(of_wanted[name], of_live[name], below)
    if "items" in wanted or "items" in live:
        yield from _differences(wanted.get("items"), live.get("items"), f"{path}[]")


def _operator(facts: Facts) -> Iterator[Check]:
    read, title = facts.deployments, "operator"
    if not read.known:
        yield Check(title, "unknown", read.problem, _allow("list deployments in all namespaces"))
        return
    if not read.items:
        yield Check(title, "failed", "no Deployment with the labels of the operator", "install it: helm install accord")
        return
    for each in read.items:
        name, spec, status = _named(each), each["spec"], each.get("status") or {}
        title = f"operator {name}"
        wanted, ready = spec.get("replicas", 1), status.get("readyReplicas") or 0
        namespace = each["metadata"]["namespace"]
        logs = f"kubectl logs -n {namespace} deploy/{each['metadata']['name']}"
        seen = f"{ready} of {plural(wanted, 'replica')} ready"
        if not wanted:
            yield Check(title, "failed", "scaled to 0", f"kubectl scale -n {namespace} deploy --replicas 2 {name}")
        elif not ready:
            yield Check(title, "failed", seen, f"kubectl get pods -n {namespace}; {logs}")
        elif ready < wanted:
            yield Check(title, "warning", seen, f"kubectl get pods -n {namespace}; {logs}")
        else:
            yield Check(title, "ok", seen)
        version = (each["metadata"].get("labels") or {}).get("app.kubernetes.io/version")
        title = f"version of {name}"
        if version is None:
            yield Check(title, "unknown", "the Deployment has no label app.kubernetes.io/version")
        elif version != facts.version:
            seen = f"the operator is {version}, this program is {facts.version}"
            yield Check(title, "warning", seen, "use the same version of both")
        else:
            yield Check(title, "ok", version)


def _rights(rights: Sequence[Right]) -> Check:
    title = "rights of the operator"
    denied = [right for right in rights if right.allowed is False]
    asked = [right for right in rights if right.allowed is not None]
    if denied:
        said = [_right(right) for right in denied]
        more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
        seen = f"may not {'; '.join(said[:_SHOWN])}{more}"
        remedy = "restore the roles: helm upgrade; what is needed and why: docs/reference/rbac.md"
        return Check(title, "failed", seen, remedy)
    if not rights or len(asked) < len(rights):
        seen = next((right.problem for right in rights if right.problem), "the operator was not found")
        return Check(title, "unknown", seen, _allow("create subjectaccessreviews"))
    return Check(title, "ok", f"all {len(rights)} are granted")


def _right(right: Right) -> str:
    where = f" in namespace {right.namespace}" if right.namespace else ""
    return f"{right.verb} {right.resource}{'.' if right.group else ''}{right.group}{where}"


def _images(pods: Read) -> Check:
    title = "images"
    if not pods.known:
        return Check(title, "unknown", pods.problem, _allow("list pods"))
    waiting = []
    for pod in pods.items:
        status = pod.get("status") or {}
        for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            reason = ((each.get("state") or {}).get("waiting") or {}).get("reason")
            if reason in IMAGE:
                waiting.append(f"pod {_named(pod)}: {reason} {each.get('image', '')}".rstrip())
    if waiting:
        more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        remedy = (
            "push the image where the nodes can pull it, or set Helm values image, envoy.image and imagePullSecrets"
        )
        return Check(title, "failed", "; ".join(waiting[:_SHOWN]) + more, remedy)
    return Check(title, "ok", f"no pod of {len(pods.items)} is waiting for an image")


def _metrics(facts: Facts) -> Iterator[Check]:
    found = facts.metrics
    if found is None:
        yield Check("Prometheus", "unknown", "not asked", "give --prometheus URL")
        return
    if found.problem:
        yield Check("Prometheus", "failed", found.problem, "check the URL and that it is reachable from here")
        return
    yield Check("Prometheus", "ok", "answers queries")
    if found.operator:
        yield Check("metrics of the operator", "ok", "scraped")
    else:
        remedy = "scrape port http of the Service accord-metrics, or set Helm value serviceMonitor.enabled"
        yield Check("metrics of the operator", "warning", "no series accord_leader: no alert can fire", remedy)
    for name, said in found.missing.items():
        remedy = "scrape its pods, with the labels namespace and pod; names: docs/reference/trainer-metrics.md"
        if name.startswith("TrafficPolicy"):
            remedy = "scrape the pods of its modes: docs/how-to/measure.md"
        elif name.startswith("CheckpointPolicy"):
            remedy = "report it, or disable the signal: docs/reference/trainer-metrics.md"
        yield Check(f"metrics of {name}", "warning", said, remedy)
    for name, said in found.unread.items():
        yield Check(f"metrics of {name}", "unknown", said)
    if found.asked and not found.missing and not found.unread:
        yield Check("metrics of policies and runs", "ok", f"present for all {found.asked}")


def _endpoints(facts: Facts) -> Check:
    """Policies name endpoints that only the installer can define."""
    title = "Prometheus endpoints"
    reads = (facts.policies, facts.runs, facts.checkpoints)
    problem = next((read.problem for read in reads if not read.known and read.problem), "")
    if not facts.configuration:
        return Check(
            title, "unknown", problem or "the operator's configuration cannot be read", _allow("get configmaps")
        )
    known = {
        name
        for each in facts.configuration.values()
        for name in ((each.get("prometheus") or {}).get("endpoints") or {})
    }
    used: dict[str, list[str]] = {}
    for read in reads:
        for item in read.items:
            spec = item.get("spec") or {}
            section = spec.get("detection" if item["kind"] == "CheckpointPolicy" else "monitoring") or {}
            used.setdefault(section.get("endpoint", "default"), []).append(f"{item['kind']} {_named(item)}")
    missing = {name: objects for name, objects in used.items() if name not in known}
    if missing:
        said = "; ".join(f"{name} (used by {objects[0]}, …)" for name, objects in sorted(missing.items()))
        return Check(title, "failed", f"not defined: {said}", "add it to Helm value prometheus.endpoints")
    if problem:
        return Check(title, "unknown", problem)
    return Check(title, "ok", f"defined: {', '.join(sorted(known)) or 'none'}")


def _snapshots(facts: Facts) -> Iterator[Check]:
    title = "volume snapshots"
    if not facts.checkpoints.known:
        yield Check(title, "unknown", facts.checkpoints.problem or "CheckpointPolicies cannot be read")
        return
    users = [
        each for each in facts.checkpoints.items if each["spec"].get("method", "VolumeSnapshot") == "VolumeSnapshot"
    ]
    classes = facts.snapshot_classes
    need = f"needed by CheckpointPolicy {_named(users[0])}" if users else "no CheckpointPolicy needs them"
    if classes.absent:
        remedy = "install the snapshot CRDs, the snapshot controller and a CSI driver, or use spec.method: SubPath"
        yield Check(
            title, "failed" if users else "ok", f"no API snapshot.storage.k8s.io; {need}", remedy if users else ""
        )
        return
    if classes.problem:
        yield Check(title, "unknown", classes.problem, _allow("list volumesnapshotclasses"))
        return
    drivers = ", ".join(sorted({str(each.get("driver")) for each in classes.items})) or "none"
    yield Check(title, "ok", f"API present, drivers: {drivers}")
    for policy in users:
        yield _snapshot(policy, facts)


def _snapshot(policy: Manifest, facts: Facts) -> Check:
    """Whether the claim of one policy can be snapshotted."""
    title, spec = f"snapshots of {_named(policy)}", policy["spec"]
    namespace = policy["metadata"]["namespace"]
    claim = (spec.get("source") or {}).get("claimName") or _claim_of_run(policy, facts)
    if claim is None:
        return Check(title, "unknown", "its TrainingRun has no claim yet")
    found = next((each for each in facts.claims.items if _named(each) == f"{namespace}/{claim}"), None)
    if found is None:
        seen = facts.claims.problem or f"PersistentVolumeClaim {namespace}/{claim} does not exist"
        return Check(title, "unknown", seen)
    name = (found.get("spec") or {}).get("storageClassName")
    storage = next((each for each in facts.storage_classes.items if each["metadata"]["name"] == name), None)
    if storage is None:
        seen = facts.storage_classes.problem or f"claim {claim} has no StorageClass ({name})"
        return Check(title, "unknown", seen, "only volumes of a CSI driver can be snapshotted")
    driver = storage["provisioner"]
    wanted = spec.get("className")
    usable = [each for each in facts.snapshot_classes.items if each.get("driver") == driver]
    if wanted is not None:
        named = next((each for each in facts.snapshot_classes.items if each["metadata"]["name"] == wanted), None)
        if named is None:
            return Check(
                title, "failed", f"VolumeSnapshotClass {wanted} does not exist", "create it, or fix spec.className"
            )
        if named not in usable:
            seen = f"VolumeSnapshotClass {wanted} is of {named.get('driver')}, but claim {claim} is of {driver}"
            return Check(title, "failed", seen, f"set spec.className to a class of {driver}")
        return Check(title, "ok", f"class {wanted} of {driver}")
    defaults = [each for each in usable if (each["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"]
    if not usable:
        remedy = f"create a VolumeSnapshotClass with driver {driver}, or use spec.method: SubPath"
        return Check(title, "failed", f"no VolumeSnapshotClass for {driver}, the driver of claim {claim}", remedy)
    if len(defaults) != 1:
        names = ", ".join(sorted(each["metadata"]["name"] for each in usable))
        remedy = f"set spec.className to one of: {names}; or annotate one with {_DEFAULT_CLASS}=true"
        return Check(title, "failed", f"{len(defaults) or 'no'} default VolumeSnapshotClass for {driver}", remedy)
    return Check(title, "ok", f"default class {defaults[0]['metadata']['name']} of {driver}")


def _claim_of_run(policy: Manifest, facts: Facts) -> str | None:
    run = f"{policy['metadata']['namespace']}/{(policy['spec'].get('trainingRunRef') or {}).get('name')}"
    found = next((each for each in facts.runs.items if _named(each) == run), None)
    return None if found is None else (found.get("status") or {}).get("claimName")


def _clock(facts: Facts) -> Check:
    title, clock = "clocks", facts.clock
    if clock is None or clock.server is None:
        return Check(title, "unknown", "the API server did not tell its time")
    # Its header has whole seconds, so it may be up to one second behind.
    ahead, behind = clock.before - clock.server - timedelta(seconds=1), clock.server - clock.after
    off = max(ahead, behind, timedelta())
    if off > _SKEW:
        side = "ahead of" if ahead > behind else "behind"
        seen = f"this machine is {int(off.total_seconds())} s {side} the API server"
        return Check(title, "warning", seen, "synchronize the clocks (NTP): ages and times in reports are wrong")
    return Check(title, "ok", "this machine and the API server agree")


def _network(facts: Facts) -> Iterator[Check]:
    title, read = "network policies", facts.network_policies
    if not read.known:
        yield Check(title, "unknown", read.problem, _allow("list networkpolicies"))
        return
    if not facts.pods.known:
        yield Check(title, "unknown", facts.pods.problem, _allow("list pods"))
        return
    routers = {
        pod["metadata"]["labels"][POLICY_LABEL]: pod
        for pod in facts.pods.items
        if POLICY_LABEL in (pod["metadata"].get("labels") or {})
    }
    hindered = [
        Check(f"network policy {_named(each)}", "warning", seen, remedy)
        for each in read.items
        for router, pod in sorted(routers.items())
        for seen, remedy in _hinders(each, router, pod)
    ]
    yield from hindered or [Check(title, "ok", "none seems to block a router")]


def _hinders(policy: Manifest, router: str, pod: Manifest) -> Iterator[tuple[str, str]]:
    """What a NetworkPolicy seems to forbid a router's pod. Only ports are compared: peers may be anything."""
    spec = policy.get("spec") or {}
    if policy["metadata"]["namespace"] != pod["metadata"]["namespace"]:
        return
    if not _selects(spec.get("podSelector") or {}, pod["metadata"].get("labels") or {}):
        return
    types = spec.get("policyTypes") or ["Ingress"]
    if "Egress" in types and not _opens(spec.get("egress"), _XDS_PORT):
        yield (
            f"the proxies of {router} may not reach the operator's port {_XDS_PORT}",
            f"allow egress to the operator's namespace, port {_XDS_PORT}",
        )
    if "Ingress" in types and not _opens(spec.get("ingress"), _STATISTICS_PORT):
        yield (
            f"the operator may not read port {_STATISTICS_PORT} of the proxies of {router}",
            f"allow ingress from the operator's namespace, port {_STATISTICS_PORT}",
        )


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector surely selects these labels."""
    if selector.get("matchExpressions"):
        return False
    return all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items())


def _opens(rules: Sequence[Mapping[str, Any]] | None, port: int) -> bool:
    for rule in rules or ():
        ports = rule.get("ports")
        if not ports:
            return True
        for each in ports:
            first = each.get("port")
            # A port by name may be any.
            if first is None or isinstance(first, str) or first <= port <= each.get("endPort", first):
                return True
    return False


def _named(item: Manifest) -> str:
    meta = item["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def _allow(what: str) -> str:
    return f"run it as a user who may {what}"
