"""The CRDs on a real API server: accepted, and refusing exactly what the models say, with the messages they give."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config
from tests.apiserver.crd_cases.cases import ALL, REFUSED, VIOLATIONS, Cases, Refused, Violation, merge_patch
from tests.apiserver.kinds import install_kinds

from accord.api.validation import stored

CRDS = [
    flag
    for file in sorted((Path(__file__).parents[2] / "crds").glob("accord.dev_*.yaml"))
    for flag in ("-f", str(file))
]
NAMESPACE = "crd-tests"
KIND = [cases.kind.kind for cases in ALL]
PLURAL = {cases.kind.kind: cases.kind.plural for cases in ALL}
Json = dict[str, Any]


class Api:
    """Our kinds on the API server; every write is strict about unknown fields, as kubectl's is."""

    def __init__(self, kubeconfig: Path, kubectl: Callable[..., str]) -> None:
        self.kubectl = kubectl
        self._objects = client.CustomObjectsApi(config.new_client_from_config(config_file=str(kubeconfig)))

    def create(self, manifest: Json, *, dry_run: bool = False) -> Json:
        return self._objects.create_namespaced_custom_object(
            *self._where(manifest), manifest, field_validation="Strict", **({"dry_run": "All"} if dry_run else {})
        )

    def replace(self, manifest: Json, *, dry_run: bool = False) -> Json:
        return self._objects.replace_namespaced_custom_object(
            *self._where(manifest),
            manifest["metadata"]["name"],
            manifest,
            field_validation="Strict",
            **({"dry_run": "All"} if dry_run else {}),
        )

    def replace_status(self, manifest: Json) -> Json:
        return self._objects.replace_namespaced_custom_object_status(
            *self._where(manifest), manifest["metadata"]["name"], manifest, field_validation="Strict"
        )

    def delete(self, manifest: Json) -> None:
        self._objects.delete_namespaced_custom_object(*self._where(manifest), manifest["metadata"]["name"])

    def _where(self, manifest: Json) -> tuple[str, str, str, str]:
        return "accord.dev", "v1alpha1", NAMESPACE, PLURAL[manifest["kind"]]


@pytest.fixture(scope="module")
def api(control_plane: Any) -> Iterator[Api]:
    """The API server with our CRDs established and a namespace of this module's own."""
    kubectl = control_plane.kubectl
    kubectl("apply", "--server-side", "--force-conflicts", *CRDS)
    kubectl("wait", "--for=condition=Established", "--timeout=120s", *CRDS)
    install_kinds(control_plane)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl("apply", "-f", "-", input=json.dumps(namespace))
    yield Api(control_plane.kubeconfig, kubectl)
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def made(api: Api) -> Iterator[Callable[[Json], Json]]:
    """Creates objects that are gone after the test."""
    objects: list[Json] = []

    def create(manifest: Json) -> Json:
        objects.append(manifest)
        return api.create(manifest)

    yield create
    for manifest in objects:
        api.delete(manifest)


def refusal(write: Callable[[], object]) -> list[tuple[str, str]]:
    """(field, message) of everything that the API server has against a write."""
    with pytest.raises(client.ApiException) as caught:
        write()
    status = json.loads(caught.value.body)
    assert status["reason"] in ("Invalid", "BadRequest"), status
    causes = status.get("details", {}).get("causes", [])
    return [(cause.get("field", ""), cause["message"]) for cause in causes] or [("", status["message"])]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_rule_refuses(api: Api, made: Callable[[Json], Json], case: Refused) -> None:
    if case.old is None:
        causes = refusal(lambda: api.create(case.manifest, dry_run=True))
    else:
        version = made(case.old)["metadata"]["resourceVersion"]
        change = merge_patch(case.manifest, {"metadata": {"resourceVersion": version}})
        causes = refusal(lambda: api.replace(change, dry_run=True))
    # Kubernetes before 1.35 also names the type of the value.
    said = [(field, re.sub(r'^Invalid value: ("\w+": )?', "", message)) for field, message in causes]
    assert (case.path or "<nil>", case.message) in said, causes


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda violation: violation.id)
def test_bound_refuses(api: Api, violation: Violation) -> None:
    causes = refusal(lambda: api.create(violation.manifest, dry_run=True))
    if violation.keyword == "unknown":
        assert f'strict decoding error: unknown field "{violation.path}"' in causes[0][1]
    else:
        assert violation.path in {field for field, _ in causes}, causes


@pytest.mark.parametrize("path", ["/\x7f", "/a b", "/\u00e4", "/\n", "/a#b", "health"])
def test_a_path_that_no_server_can_be_asked_for_is_refused(api: Api, path: str) -> None:
    policy = next(cases.full for cases in ALL if cases.kind.kind == "TrafficPolicy")
    change = {"spec": {"loadBalancing": {"healthCheck": {"path": path}}}}
    causes = refusal(lambda: api.create(merge_patch(policy, change), dry_run=True))
    assert {field for field, _ in causes} == {"spec.loadBalancing.healthCheck.path"}


def test_crds_are_structural_and_established(api: Api) -> None:
    listed = json.loads(api.kubectl("get", "crd", "-o", "json"))["items"]
    ours = {item["spec"]["names"]["kind"]: item for item in listed if item["spec"]["group"] == "accord.dev"}
    assert set(ours) == set(KIND)
    for item in ours.values():
        conditions = {condition["type"]: condition["status"] for condition in item["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}  # NonStructuralSchema would be here
        assert set(item["spec"]["versions"][0]["subresources"]) == {"status"}


def test_short_names_and_category(api: Api) -> None:
    names = api.kubectl("api-resources", "--api-group=accord.dev", "--categories=accord", "--no-headers")
    assert [line.split()[:2] for line in names.splitlines()] == [
        ["checkpointpolicies", "cp"],
        ["trafficpolicies", "tp"],
        ["trainingruns", "tr"],
    ]


@pytest.mark.parametrize(("name", "old", "new"), [change for cases in ALL for change in cases.allowed])
def test_allowed_change_is_accepted(api: Api, made: Callable[[Json], Json], name: str, old: Json, new: Json) -> None:
    version = made(old)["metadata"]["resourceVersion"]
    api.replace(merge_patch(new, {"metadata": {"resourceVersion": version}}), dry_run=True)


@pytest.mark.parametrize("cases", ALL, ids=KIND)
def test_full_object_comes_back_as_it_was_given(api: Api, cases: Cases) -> None:
    spec = api.create(cases.full, dry_run=True)["spec"]
    assert spec == cases.full["spec"]
    assert stored(cases.full)["spec"] == spec


DEFAULTS: dict[str, Json] = {
    "TrafficPolicy": {
        "strategy": "WeightedRandom",
        "userPreference": {"header": "x-accord-mode", "cookie": "accord-preference"},
        "stickySession": {
            "enabled": True,
            "ttl": "1h",
            "cookie": "accord-mode",
            "secure": False,
            "sameSite": "Lax",
        },
        "loadBalancing": {
            "algorithm": "LeastConnections",
            "healthCheck": {"interval": "30s"},
            "maxQueueSize": 100,
        },
        "router": {
            "type": "Envoy",
            "envoy": {
                "replicas": 2,
                "scaling": "Fixed",
                "drainTime": "30s",
                "trustedHops": 0,
                "port": 80,
                "serviceType": "ClusterIP",
            },
        },
        "monitoring": {
            "endpoint": "default",
            "window": "5m",
            "interval": "60s",
            "alertDeviation": 10,
            "requestsPerSession": 10,
        },
        "circuitBreakers": [],
        "phases": [],
        "suspend": False,
    },
    "TrainingRun": {
        "engine": {"type": "Job"},
        "totalSteps": 10000,
        "schedules": {
            "entropyCoef": {"initial": 0.02, "final": 0.005, "decaySteps": 10000, "decayStrategy": "Linear"},
            "learningRate": {"initial": 0.0003, "final": 0.0001, "decaySteps": 10000, "decayStrategy": "Cosine"},
        },
        "ppo": {"clipRange": 0.2, "gamma": 0.99, "lambda": 0.95, "batchSize": 64, "epochs": 4, "updateFrequency": 500},
        "rewardNormalization": {
            "enabled": True,
            "window": 1000,
            "epsilon": 1e-8,
            "clip": 10,
            "updateFrequency": 1,
            "bootstrap": {"size": 100, "mean": 3, "std": 1},
        },
        "checkpoints": {"saveFrequency": 500, "keep": 20},
        "resume": "Latest",
        "suspend": False,
        "backoffLimit": 6,
        "ttlAfterGivenUp": "1h",
        "monitoring": {"endpoint": "default", "interval": "15s", "port": 8000},
        "retuning": {"mode": "Suggest", "minRatings": 100, "maxRatings": 300},
    },
    "CheckpointPolicy": {
        "method": "VolumeSnapshot",
        "snapshotWarnAfter": "10m",
        "retention": {"max": 20},
        "bestModel": {"metric": "Reward"},
        "detection": {
            "method": "Adaptive",
            "sensitivity": "Medium",
            "lossSpike": {"enabled": True, "threshold": 2, "window": 100, "baselineWindow": 1000},
            "rewardDrop": {"enabled": True, "threshold": 0.5, "window": 100, "baselineWindow": 1000},
            "klSpike": {"enabled": False, "threshold": 2, "minimum": 0.05, "window": 100, "baselineWindow": 1000},
            "explainedVarianceDrop": {"enabled": False, "threshold": 0.5, "window": 100, "baselineWindow": 1000},
            "nanPolicy": "Fail",
            "interval": "15s",
            "endpoint": "default",
        },
        "rollback": {
            "enabled": True,
            "steps": 1,
            "max": 3,
            "cooldown": "10m",
            "approval": "Automatic",
            "whileWaiting": "Pause",
            "training": "Restart",
        },
        "suspend": False,
    },
}


@pytest.mark.parametrize("cases", ALL, ids=KIND)
def test_defaults_are_filled_in(api: Api, cases: Cases) -> None:
    spec = api.create(cases.minimal, dry_run=True)["spec"]
    assert spec == cases.minimal["spec"] | DEFAULTS[cases.kind.kind]
    assert stored(cases.minimal)["spec"] == spec


@pytest.mark.parametrize("cases", ALL, ids=KIND)
def test_models_have_the_same_defaults(api: Api, cases: Cases) -> None:
    live = cases.kind.model_validate(api.create(cases.minimal, dry_run=True))
    given = cases.kind.model_validate(merge_patch(cases.minimal, {"metadata": {"namespace": NAMESPACE}}))
    assert live.spec == given.spec  # type: ignore[attr-defined]


TWO_MODES = [{"name": name, "weight": 50, "deploymentRef": {"name": name}, "port": 80} for name in ("one", "two")]


@pytest.mark.parametrize(
    ("kind", "given", "field", "filled"),
    [
        (
            "TrafficPolicy",
            {"modes": TWO_MODES, "circuitBreaker": {"mode": "two"}},
            "circuitBreaker",
            {
                "mode": "two",
                "countedBy": "Service",
                "failures": 3,
                "minimumRequests": 0,
                "window": "1m",
                "cooldown": "5m",
                "shiftTo": [],
                "recovery": "Immediate",
                "cache": {"normalTTL": "1h", "downshiftTTL": "5m"},
            },
        ),
        (
            "TrainingRun",
            {"checkpoints": {"volumeClaim": {}}},
            "checkpoints",
            {"saveFrequency": 500, "keep": 20, "volumeClaim": {"storage": "10Gi", "accessModes": ["ReadWriteOnce"]}},
        ),
        (
            "CheckpointPolicy",
            {"serving": {"deploymentRef": {"name": "ranker"}, "volume": "model"}},
            "serving",
            {"deploymentRef": {"name": "ranker"}, "volume": "model", "follow": "Latest", "newRun": "WhenAsGood"}
            | {"minInterval": "1m"},
        ),
    ],
)
def test_defaults_of_optional_objects(api: Api, kind: str, given: Json, field: str, filled: Json) -> None:
    minimal = next(cases.minimal for cases in ALL if cases.kind.kind == kind)
    manifest = merge_patch(minimal, {"spec": given})
    spec = api.create(manifest, dry_run=True)["spec"]
    assert spec[field] == filled
    assert stored(manifest)["spec"] == spec


STATUS: dict[str, tuple[Json, list[str], list[str]]] = {
    "TrafficPolicy": (
        {
            "observedGeneration": 1,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Programmed",
                    "message": "all is well",
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                }
            ],
            "modes": [{"name": "fast", "target": 60, "effective": 60, "actual": 59.5, "deviation": -0.5}],
            "target": "60/30/10",
            "actual": "59.5/30.3/10.2",
            "downshift": {"active": False},
        },
        ["NAME", "READY", "STRATEGY", "TARGET", "ACTUAL", "DOWNSHIFTED", "AGE"],
        ["full", "True", "UserPreference", "60/30/10", "59.5/30.3/10.2", "false"],
    ),
    "TrainingRun": (
        {
            "phase": "Running",
            "attempt": 2,
            "step": 5000,
            "progress": 50.0,
            "progressBar": "█████░░░░░",
            "entropyCoef": 0.0125,
            "learningRate": 0.0002,
            "reward": 3.75,
            "milestones": [{"percent": 0, "step": 0, "reachedAt": "2026-01-02T03:04:05Z"}],
        },
        ["NAME", "PHASE", "STEP", "PROGRESS", "ENTROPY", "LR", "REWARD", "AGE"],
        ["full", "Running", "5000", "█████░░░░░", "0.0125", "0.0002", "3.75"],
    ),
    "CheckpointPolicy": (
        {
            "conditions": [
                {
                    "type": "Healthy",
                    "status": "False",
                    "reason": "LossSpike",
                    "message": "",
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                }
            ],
            "serving": {"step": 4500, "claimName": "ranker-step-00004500"},
            "latestStep": 5000,
            "bestStep": 4000,
            "rollbacks": 1,
            "checkpoints": [{"step": 4500, "attempt": 1, "ready": True, "verified": True}],
        },
        ["NAME", "SERVING", "LATEST", "BEST", "ROLLBACKS", "HEALTHY", "AGE"],
        ["full", "4500", "5000", "4000", "1", "False"],
    ),
}


@pytest.mark.parametrize("cases", ALL, ids=KIND)
def test_status_comes_back_as_written_and_fills_the_columns(
    api: Api, made: Callable[[Json], Json], cases: Cases
) -> None:
    status, header, cells = STATUS[cases.kind.kind]
    live = made(cases.full)
    assert "status" not in live
    assert api.replace_status({**live, "status": status})["status"] == status
    lines = api.kubectl("get", cases.kind.short_names[0], "full", "-n", NAMESPACE).splitlines()
    assert lines[0].split() == header
    assert lines[1].split()[:-1] == cells


def test_modes_of_two_appliers_are_merged_by_name(api: Api) -> None:
    """A list of type map: Git may own the modes and somebody else the weight of one."""
    full = next(cases.full for cases in ALL if cases.kind.kind == "TrafficPolicy")
    weights = {"fast": 50, "balanced": 40}
    partial = {
        **{key: full[key] for key in ("apiVersion", "kind", "metadata")},
        "spec": {"modes": [{"name": name, "weight": weight} for name, weight in weights.items()]},
    }
    try:
        for manager, manifest in (("git", full), ("person", partial)):
            api.kubectl(
                *("apply", "--server-side", "--force-conflicts", "--validate=ignore"),
                *(f"--field-manager={manager}", "-n", NAMESPACE, "-f", "-"),
                input=json.dumps(manifest),
            )
        live = json.loads(api.kubectl("get", "tp", "full", "-n", NAMESPACE, "-o", "json"))
        assert {mode["name"]: mode["weight"] for mode in live["spec"]["modes"]} == weights | {"creative": 10}
    finally:
        api.kubectl("delete", "tp", "full", "-n", NAMESPACE, "--ignore-not-found")
