"""`accord doctor`: from what was read to what is wrong and what to do."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from accord import rbac
from accord.api.crd import crd
from accord.api.v1alpha1 import KINDS
from accord.cli.doctor.checks import checks
from accord.cli.doctor.examining import as_data, as_table
from accord.cli.doctor.facts import Check, Clock, Facts, Metrics, Read, Right
from accord.cli.printer import Printer

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DENIED = "deployments.apps is forbidden"


def live_crds() -> dict[str, Read]:
    """As the API server stores them."""
    established = {"conditions": [{"type": "Established", "status": "True"}]}
    found = [copy.deepcopy({**crd(kind), "status": established}) for kind in KINDS]
    return {each["metadata"]["name"]: Read([each]) for each in found}


def operator(ready: int = 2, version: str = "1", replicas: int = 2) -> dict[str, Any]:
    labels = {"app.kubernetes.io/version": version}
    meta = {"name": "accord", "namespace": "accord-system", "labels": labels}
    return {"metadata": meta, "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}}


def in_shop(name: str, **rest: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", **rest.pop("meta", {})}, **rest}


def snapshot_class(name: str, driver: str = "csi.example.com", default: bool = False) -> dict[str, Any]:
    annotations = {"snapshot.storage.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "driver": driver}


ROUTER = in_shop(
    "p-router-1", meta={"labels": {"accord.dev/traffic-policy": "p", "app": "x"}}, status={"containerStatuses": []}
)
WELL = Facts(
    version="1",
    crds=live_crds(),
    deployments=Read([operator()]),
    rights=[Right("list", "apps", "deployments", "", True)],
    policies=Read([in_shop("p", kind="TrafficPolicy", spec={"modes": []})]),
    runs=Read([in_shop("r", kind="TrainingRun", spec={}, status={"claimName": "r"})]),
    checkpoints=Read([in_shop("c", kind="CheckpointPolicy", spec={"trainingRunRef": {"name": "r"}})]),
    pods=Read([ROUTER]),
    claims=Read([in_shop("r", spec={"storageClassName": "fast"})]),
    storage_classes=Read([{"metadata": {"name": "fast"}, "provisioner": "csi.example.com"}]),
    snapshot_classes=Read([snapshot_class("snap", default=True)]),
    network_policies=Read([]),
    clock=Clock(NOW, NOW, NOW + timedelta(seconds=1)),
    metrics=Metrics(operator=True, asked=2),
    configuration={"accord-system/accord": {"prometheus": {"endpoints": {"default": {"url": "http://p"}}}}},
)


def found(facts: Facts) -> dict[str, Check]:
    return {check.name: check for check in checks(facts)}


def assert_only(facts: Facts, name: str, result: str, seen: str, remedy: str = "") -> None:
    """This check alone is not ok, says so, and says what to do."""
    bad = {check.name: check for check in checks(facts) if check.result != "ok"}
    assert set(bad) == {name}
    assert (bad[name].result, seen in bad[name].seen, remedy in bad[name].remedy) == (result, True, True), bad[name]


def test_a_healthy_installation_is_ok_in_all() -> None:
    assert {check.result for check in checks(WELL)} == {"ok"}


def test_nothing_that_could_not_be_read_is_ok() -> None:
    denied = Read(problem=DENIED)
    facts = Facts(
        "1",
        dict.fromkeys(live_crds(), denied),
        *(denied, [], denied, denied, denied, denied, denied, denied, denied, denied),
    )
    assert {check.result for check in checks(facts)} == {"unknown"}


def changed_crd(change: Any) -> Facts:
    crds = live_crds()
    change(crds["trafficpolicies.accord.dev"].items[0])
    return replace(WELL, crds=crds)


def test_crds() -> None:
    name = "CRD trafficpolicies.accord.dev"
    gone = replace(WELL, crds={**live_crds(), "trafficpolicies.accord.dev": Read(absent=True)})
    assert_only(gone, name, "failed", "not installed", "helm upgrade")

    def older(live: Any) -> None:
        schema = live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        del schema["properties"]["suspend"]
        schema["properties"]["modes"]["items"]["properties"]["weight"]["maximum"] = 50

    assert_only(
        changed_crd(older), name, "failed", "another version: spec.modes[].weight, spec.suspend", "helm upgrade"
    )

    def described(live: Any) -> None:
        live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["description"] = "other words"

    assert found(changed_crd(described))[name].result == "ok"

    def unserved(live: Any) -> None:
        live["spec"]["versions"][0]["served"] = False

    assert_only(changed_crd(unserved), name, "failed", "version v1alpha1 is not served")
    assert_only(changed_crd(lambda live: live.pop("status")), name, "failed", "not established")


@pytest.mark.parametrize(
    ("deployment", "name", "result", "seen"),
    [
        (operator(ready=0), "operator accord-system/accord", "failed", "0 of 2 replicas ready"),
        (operator(ready=1), "operator accord-system/accord", "warning", "1 of 2 replicas ready"),
        (operator(replicas=0, ready=0), "operator accord-system/accord", "failed", "scaled to 0"),
        (operator(version="0.9"), "version of accord-system/accord", "warning", "the operator is 0.9"),
    ],
)
def test_the_operator(deployment: dict[str, Any], name: str, result: str, seen: str) -> None:
    assert_only(replace(WELL, deployments=Read([deployment])), name, result, seen)


def test_no_operator_at_all() -> None:
    assert_only(replace(WELL, deployments=Read()), "operator", "failed", "no Deployment", "helm install")


def test_rights_that_are_missing_are_named_and_those_not_known_are_unknown() -> None:
    rights = [Right("patch", "batch", "jobs", "shop", False), Right("list", "", "pods", "", True)]
    name = "rights of the operator"
    assert_only(replace(WELL, rights=rights), name, "failed", "may not patch jobs.batch in namespace shop", "helm")
    unknown = [*rights[1:], Right("get", "", "pods", "", None, "reviews are forbidden")]
    assert_only(replace(WELL, rights=unknown), name, "unknown", "reviews are forbidden", "subjectaccessreviews")


def test_the_rights_are_those_of_the_chart() -> None:
    rules = yaml.safe_load((ROOT / "helm/accord/files/permissions.yaml").read_text(encoding="utf-8"))["watched"]
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    assert granted == {key: set(verbs) for key, verbs in rbac.watched().items()}


def test_a_pod_that_waits_for_its_image() -> None:
    waiting = {"image": "registry/x:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    pod = in_shop("r-1-abcde", meta={"labels": {}}, status={"containerStatuses": [waiting]})
    said = "pod shop/r-1-abcde: ImagePullBackOff registry/x:1"
    assert_only(replace(WELL, pods=Read([ROUTER, pod])), "images", "failed", said, "imagePullSecrets")


def test_metrics() -> None:
    assert_only(replace(WELL, metrics=None), "Prometheus", "unknown", "not asked", "--prometheus")
    assert_only(replace(WELL, metrics=Metrics("refused")), "Prometheus", "failed", "refused")
    silent = Metrics(operator=False, asked=2)
    assert_only(replace(WELL, metrics=silent), "metrics of the operator", "warning", "accord_leader", "serviceMonitor")
    missing = Metrics(operator=True, missing={"TrafficPolicy shop/p": "no series"}, asked=2)
    assert_only(replace(WELL, metrics=missing), "metrics of TrafficPolicy shop/p", "warning", "no series", "measure.md")
    unseen = Metrics(operator=True, missing={"CheckpointPolicy shop/c": "not reported: ppo_approx_kl"}, asked=2)
    name, remedy = "metrics of CheckpointPolicy shop/c", "disable the signal"
    assert_only(replace(WELL, metrics=unseen), name, "warning", "ppo_approx_kl", remedy)


def test_an_endpoint_that_is_not_configured() -> None:
    run = in_shop("r", kind="TrainingRun", spec={"monitoring": {"endpoint": "far"}}, status={"claimName": "r"})
    seen = "not defined: far (used by TrainingRun shop/r"
    assert_only(replace(WELL, runs=Read([run])), "Prometheus endpoints", "failed", seen, "prometheus.endpoints")


@pytest.mark.parametrize(
    ("classes", "class_name", "seen"),
    [
        ([], None, "no VolumeSnapshotClass for csi.example.com"),
        ([snapshot_class("x", "other")], None, "no VolumeSnapshotClass for csi.example.com"),
        ([snapshot_class("x")], None, "no default VolumeSnapshotClass for csi.example.com"),
        ([snapshot_class("x")], "y", "VolumeSnapshotClass y does not exist"),
        ([snapshot_class("x", "other")], "x", "is of other, but claim r is of csi.example.com"),
    ],
)
def test_snapshots_that_cannot_be_made(classes: list[Any], class_name: str | None, seen: str) -> None:
    spec = {"trainingRunRef": {"name": "r"}, **({"className": class_name} if class_name else {})}
    policy = in_shop("c", kind="CheckpointPolicy", spec=spec)
    facts = replace(WELL, checkpoints=Read([policy]), snapshot_classes=Read(classes))
    assert_only(facts, "snapshots of shop/c", "failed", seen)


def test_snapshots_matter_only_where_they_are_asked_for() -> None:
    without = replace(WELL, snapshot_classes=Read(absent=True))
    assert_only(without, "volume snapshots", "failed", "no API snapshot.storage.k8s.io", "SubPath")
    by_path = Read([in_shop("c", kind="CheckpointPolicy", spec={"method": "SubPath"})])
    assert {check.result for check in checks(replace(without, checkpoints=by_path))} == {"ok"}


@pytest.mark.parametrize(("server", "side"), [(-90, "ahead of"), (90, "behind")])
def test_clocks_that_differ(server: int, side: str) -> None:
    clock = Clock(NOW, NOW + timedelta(seconds=server), NOW + timedelta(seconds=1))
    assert_only(replace(WELL, clock=clock), "clocks", "warning", f"89 s {side} the API server", "NTP")


def test_network_policies_that_block_a_router() -> None:
    def policy(**spec: Any) -> Facts:
        return replace(WELL, network_policies=Read([in_shop("n", spec={"podSelector": {}, **spec})]))

    name = "network policy shop/n"
    assert_only(policy(policyTypes=["Egress"]), name, "warning", "may not reach the operator's port 18000", "egress")
    assert_only(policy(policyTypes=["Ingress"], ingress=[{"ports": [{"port": 80}]}]), name, "warning", "port 8081")
    for harmless in (
        policy(policyTypes=["Egress"], egress=[{"ports": [{"port": 10000, "endPort": 20000}]}]),
        policy(policyTypes=["Ingress"], ingress=[{}]),
        policy(policyTypes=["Egress"], podSelector={"matchLabels": {"app": "other"}}),
    ):
        assert {check.result for check in checks(harmless)} == {"ok"}


def test_what_is_printed() -> None:
    out = io.StringIO()
    some = [Check("operator", "failed", "not there", "install it"), Check("clocks", "ok", "agree")]
    Printer("accord doctor", out, io.StringIO()).blocks(as_table(some))
    assert out.getvalue().splitlines() == [
        "RESULT   CHECK      SEEN        WHAT TO DO",
        "failed   operator   not there   install it",
        "ok       clocks     agree",
        "",
        "1 ok, 0 warning, 1 failed, 0 unknown",
    ]
    assert as_data(some)["checks"][0] == {
        "name": "operator",
        "result": "failed",
        "seen": "not there",
        "remedy": "install it",
    }
