"""The ValidatingAdmissionPolicy of the chart: what it refuses the operator's account, and that nobody else is asked.

The account is made administrator of the cluster, so that nothing but the policy is in its way. That the operator itself
is never refused is what all other tests of this folder show: it runs with the policy in each of them (`conftest.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.apiserver import checkpoints as cp
from tests.apiserver import rights
from tests.apiserver.rig import Api, Namespace, wait_until

from devcluster import snapshots as snapshot_kinds

STRATEGIC, MERGE = "application/strategic-merge-patch+json", "application/merge-patch+json"
DEPLOYMENTS, JOBS, SNAPSHOTS = "apps/v1/deployments", "batch/v1/jobs", "snapshot.storage.k8s.io/v1/volumesnapshots"
EVENTS, LEASES = "events.k8s.io/v1/events", "coordination.k8s.io/v1/leases"
OURS = {"app.kubernetes.io/managed-by": "accord"}
BUILT_IN = ("services", "pods", "persistentvolumeclaims", DEPLOYMENTS, JOBS)


class Scene(NamedTuple):
    """A namespace with something of everybody in it."""

    namespace: Namespace
    held: Api
    """Asks as the operator's account."""
    owner: dict[str, Any]
    """Reference to a TrafficPolicy as the controller."""

    def said(self, api: Api, method: str, path: str, body: Any = None, kind: str = "application/json") -> str:
        """What the API server says to a write that is not carried out; empty where it would take it."""
        answer = api.session.request(
            method,
            api.server + self.namespace.path(*path.rsplit(":", 1)) if ":" in path else api.server + path,
            json=body,
            params={} if path.endswith("/exec") else {"dryRun": "All"},
            headers={"Content-Type": kind},
            timeout=60,
        )
        return "" if answer.ok else str(answer.json()["message"])


class Write(NamedTuple):
    """A write, and what it is refused for: a part of the message; empty where it is allowed. `path` is
    `collection:name`.
    """

    what: str
    method: str
    path: str
    body: Any
    why: str

    @property
    def content_type(self) -> str:
        if self.method != "PATCH":
            return "application/json"
        return STRATEGIC if self.path.split(":")[0] in BUILT_IN else MERGE


def patch(what: str, path: str, body: Any, why: str) -> Write:
    return Write(what, "PATCH", path, body, why)


def serving(what: str, spec: Any, why: str) -> Write:
    """A patch of what is in the pod template of a Deployment of the user's."""
    return patch(what, f"{DEPLOYMENTS}:serve", {"spec": {"template": {"spec": spec}}}, why)


def template(metadata: Any) -> Any:
    return {"spec": {"template": {"metadata": metadata}}}


def create(what: str, collection: str, body: Any, why: str) -> Write:
    return Write(f"create {what}", "POST", f"{collection}:", {"metadata": {"name": "new"}, **body}, why)


def delete(what: str, path: str, why: str) -> Write:
    return Write(f"delete {what}", "DELETE", path, None, why)


def app(**fields: Any) -> Any:
    return {"containers": [{"name": "app", **fields}]}


def mount(path: str, name: str, **fields: Any) -> Any:
    return app(volumeMounts=[{"mountPath": path, "name": name, **fields}])


POD = {"spec": {"containers": [{"name": "trainer", "image": "example/trainer:1"}]}}
SERVICE = {"spec": {"ports": [{"port": 80}]}}
JOB = {"spec": {"template": {"spec": {"restartPolicy": "Never", **POD["spec"]}}}}
CLAIM = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
EVENT = {
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "type": "Normal",
    "reason": "Said",
    "action": "Reconcile",
    "note": "x",
    "reportingInstance": "one",
}
MARKS = {"accord.dev/restart-from": "500", "accord.dev/restart-attempt": "1", "accord.dev/stop-attempt": "1"}

CLAIM_ONLY, MOUNTS_ONLY = "persistentVolumeClaim.claimName", "only the subPath"
TEMPLATE_ONLY, STEP_ONLY = "only the pod template", "the annotation accord.dev/checkpoint-step"
SPEC, MARKED, MADE, OWNED = (
    "nor change their spec",
    "may change only the annotations",
    "that it created",
    "controls them",
)
ONE_FIELD, ITS_OWN, NOTHING = "only spec.activeDeadlineSeconds", "of its own", "Accord may not write"

FORBIDDEN = (
    patch("replicas", f"{DEPLOYMENTS}:serve", {"spec": {"replicas": 5}}, TEMPLATE_ONLY),
    patch(
        "strategy", f"{DEPLOYMENTS}:serve", {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 3}}}}, TEMPLATE_ONLY
    ),
    patch("pause", f"{DEPLOYMENTS}:serve", {"spec": {"paused": True}}, TEMPLATE_ONLY),
    patch("a label", f"{DEPLOYMENTS}:serve", {"metadata": {"labels": {"a": "b"}}}, TEMPLATE_ONLY),
    patch("an annotation", f"{DEPLOYMENTS}:serve", {"metadata": {"annotations": {"a": "b"}}}, TEMPLATE_ONLY),
    patch("a finalizer", f"{DEPLOYMENTS}:serve", {"metadata": {"finalizers": ["accord.dev/x"]}}, TEMPLATE_ONLY),
    patch("a pod label", f"{DEPLOYMENTS}:serve", template({"labels": {"a": "b"}}), STEP_ONLY),
    patch("a pod annotation", f"{DEPLOYMENTS}:serve", template({"annotations": {"a": "b"}}), STEP_ONLY),
    patch("less of them", f"{DEPLOYMENTS}:serve", template({"annotations": {"team": None}}), STEP_ONLY),
    patch("no step", f"{DEPLOYMENTS}:serve", template({"annotations": {"accord.dev/checkpoint-step": "x"}}), STEP_ONLY),
    serving("an image", app(image="example/evil"), MOUNTS_ONLY),
    serving("a variable", app(env=[{"name": "A", "value": "b"}]), MOUNTS_ONLY),
    serving("a command", app(command=["sh"]), MOUNTS_ONLY),
    serving("another container", {"containers": [{"name": "more", "image": "example/evil"}]}, MOUNTS_ONLY),
    serving("an init container", {"initContainers": [{"name": "more", "image": "example/evil"}]}, MOUNTS_ONLY),
    serving("privileges", app(securityContext={"privileged": True}), MOUNTS_ONLY),
    serving("another mount", mount("/secret", "other"), MOUNTS_ONLY),
    serving("any directory", mount("/model", "model", subPath="secrets"), MOUNTS_ONLY),
    serving("a directory of a scratch volume", mount("/tmp", "scratch", subPath="step-00000500"), MOUNTS_ONLY),
    serving("a mount that may be written", mount("/model", "model", readOnly=False), MOUNTS_ONLY),
    serving("an account", {"serviceAccountName": "admin"}, CLAIM_ONLY),
    serving("the node's network", {"hostNetwork": True}, CLAIM_ONLY),
    serving("another volume", {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, CLAIM_ONLY),
    serving(
        "another kind of volume",
        {"volumes": [{"name": "model", "persistentVolumeClaim": None, "secret": {"secretName": "s"}}]},
        CLAIM_ONLY,
    ),
    serving(
        "two volumes",
        {"volumes": [{"name": n, "persistentVolumeClaim": {"claimName": "x"}} for n in ("model", "other")]},
        CLAIM_ONLY,
    ),
    delete("a Deployment", f"{DEPLOYMENTS}:serve", MADE),
    create(
        "a Deployment",
        DEPLOYMENTS,
        {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, **POD}}},
        OWNED,
    ),
    patch("the scale", f"{DEPLOYMENTS}:serve/scale", {"spec": {"replicas": 5}}, NOTHING),
    patch("the modes", "trafficpolicies:chat", {"spec": {"strategy": "RoundRobin"}}, SPEC),
    patch("a label", "trafficpolicies:chat", {"metadata": {"labels": {"a": "b"}}}, SPEC),
    patch("an annotation", "trafficpolicies:chat", {"metadata": {"annotations": {"a": "b"}}}, MARKED),
    delete("a TrafficPolicy", "trafficpolicies:chat", "only a TrainingRun"),
    patch("a CheckpointPolicy's spec", "checkpointpolicies:p", {"spec": {"suspend": True}}, SPEC),
    patch(
        "an approval",
        "checkpointpolicies:p",
        {"metadata": {"annotations": {"accord.dev/approved-rollback": "x"}}},
        MARKED,
    ),
    delete("a CheckpointPolicy", "checkpointpolicies:p", "only a TrainingRun"),
    patch("a run's spec", "trainingruns:r", {"spec": {"suspend": True}}, SPEC),
    patch("a run's finalizers", "trainingruns:r", {"metadata": {"finalizers": ["accord.dev/x"]}}, SPEC),
    patch("another annotation", "trainingruns:r", {"metadata": {"annotations": {**MARKS, "a": "b"}}}, MARKED),
    delete("a run that is not finished", "trainingruns:r", "only a TrainingRun that has finished"),
    delete("a run that is to stay", "trainingruns:stays", "only a TrainingRun that has finished"),
    create("a pod", "pods", POD, ONE_FIELD),
    patch(
        "an image", "pods:trains", {"spec": {"containers": [{"name": "trainer", "image": "example/evil"}]}}, ONE_FIELD
    ),
    patch("a pod's label", "pods:trains", {"metadata": {"labels": {"a": "b"}}}, ONE_FIELD),
    patch("the deadline of a pod of others", "pods:serves", {"spec": {"activeDeadlineSeconds": 1}}, ONE_FIELD),
    delete("a pod", "pods:trains", ONE_FIELD),
    Write("run a command in a pod", "POST", "pods:trains/exec", {}, NOTHING),
    create("a Service", "services", SERVICE, OWNED),
    patch("a Service of others", "services:theirs", {"spec": {"ports": [{"port": 80, "targetPort": 1}]}}, OWNED),
    delete("a Service of others", "services:theirs", MADE),
    create("a Job", JOBS, JOB, OWNED),
    delete("a Job of others", f"{JOBS}:theirs", MADE),
    create("a claim of nobody", "persistentvolumeclaims", CLAIM, ITS_OWN),
    patch("a claim of others", "persistentvolumeclaims:theirs", {"metadata": {"labels": OURS}}, ITS_OWN),
    delete("a claim of others", "persistentvolumeclaims:theirs", ITS_OWN),
    delete("the volume of a training", "persistentvolumeclaims:r-checkpoints", "never the one of a training"),
    delete("a snapshot of others", f"{SNAPSHOTS}:theirs", ITS_OWN),
    create("a Lease", LEASES, {"spec": {}}, "only the Lease accord"),
    delete("its own Lease", f"{LEASES}:accord", "may not delete leases"),
    create("a ConfigMap", "configmaps", {"data": {}}, NOTHING),
    create("a Secret", "secrets", {"data": {}}, NOTHING),
    create("an account", "serviceaccounts", {}, NOTHING),
    create("a role", "rbac.authorization.k8s.io/v1/roles", {"rules": []}, NOTHING),
    Write("a token of another account", "POST", "serviceaccounts:default/token", {"spec": {}}, NOTHING),
)

ALLOWED = (
    patch(
        "the claim and the step",
        f"{DEPLOYMENTS}:serve",
        {
            "spec": {
                "template": {
                    "metadata": {"annotations": {"accord.dev/checkpoint-step": "2000"}},
                    "spec": {"volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "p-2000-a1-00000"}}]},
                }
            }
        },
        "",
    ),
    serving("the directory", mount("/model", "model", subPath="step-00002000"), ""),
    patch("the marks of a restart", "trainingruns:r", {"metadata": {"annotations": MARKS}}, ""),
    delete("a run whose time is up", "trainingruns:goes", ""),
    patch("a status", "trafficpolicies:chat/status", {"status": {"observedGeneration": 1}}, ""),
    patch("the deadline of a pod of a run", "pods:trains", {"spec": {"activeDeadlineSeconds": 1}}, ""),
    patch(
        "the size of a volume", "persistentvolumeclaims:r-checkpoints", {"metadata": {"annotations": {"a": "b"}}}, ""
    ),
    delete("a claim made from a snapshot", "persistentvolumeclaims:p-2000-a1-00000", ""),
    Write(
        "a question about rights",
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}},
        "",
    ),
)


@pytest.fixture(scope="module")
def scene(control_plane: Any, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    snapshot_kinds.install(control_plane.kubectl)
    namespace = Namespace(api)
    rights.give(api, namespace.name, namespace.name)
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    subject = {"kind": "ServiceAccount", "name": "accord", "namespace": namespace.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    api.create(binding, {"metadata": {"name": namespace.name}, "subjects": [subject], "roleRef": role})
    directory: Path = tmp_path_factory.mktemp("rights")
    held = Api(rights.kubeconfig(api, control_plane.kubeconfig, namespace.name, directory))
    policy = populate(namespace)
    owner = {
        "apiVersion": policy["apiVersion"],
        "kind": policy["kind"],
        "name": "chat",
        "uid": policy["metadata"]["uid"],
    }
    made = Scene(namespace, held, {**owner, "controller": True})
    refused = create("a ConfigMap", "configmaps", {"data": {}}, NOTHING)
    wait_until(lambda: NOTHING in made.said(held, *refused[1:4]), 60, "the policy is not in force")
    yield made
    api.delete(f"{binding}/{namespace.name}")
    rights.take_away(api, namespace.name)


def populate(namespace: Namespace) -> Any:
    """What the table of writes speaks of; returns the TrafficPolicy."""
    cp.run(namespace)
    for name, ttl in (("stays", {}), ("goes", {"ttlAfterFinished": "1s"})):
        run = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": name}}
        namespace.create("trainingruns", {**run, "spec": {"template": POD, **ttl}})
        done = {"status": {"completionTime": "2026-01-01T00:00:00Z"}}
        namespace.api.patch(f"{namespace.path('trainingruns', name)}/status", done)
    deployment = cp.serving_deployment(namespace)
    spec = deployment["spec"]["template"]["spec"]
    spec["volumes"] += [
        {"name": "other", "persistentVolumeClaim": {"claimName": "o"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    spec["containers"][0]["volumeMounts"].append({"name": "scratch", "mountPath": "/tmp"})
    change = {"spec": {"template": {"metadata": {"annotations": {"team": "chat"}}, "spec": spec}}}
    namespace.patch(DEPLOYMENTS, "serve", change)
    cp.policy(namespace)
    for name, labels in (("trains", {**OURS, "accord.dev/training-run": "r"}), ("serves", {})):
        namespace.create("pods", {"metadata": {"name": name, "labels": labels}, **POD})
    namespace.create("services", {"metadata": {"name": "theirs"}, **SERVICE})
    namespace.create(JOBS, {"metadata": {"name": "theirs"}, **JOB})
    for name, labels, more in (
        ("theirs", {}, {}),
        ("r-checkpoints", {**OURS, "accord.dev/training-run": "r"}, {}),
        ("p-2000-a1-00000", {**OURS, "accord.dev/policy": "p"}, {"dataSource": cp_source()}),
    ):
        claim = {"metadata": {"name": name, "labels": labels}, "spec": {**CLAIM["spec"], **more}}
        namespace.create("persistentvolumeclaims", claim)
    namespace.create(
        SNAPSHOTS,
        {
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": {"name": "theirs"},
            "spec": {"source": {"persistentVolumeClaimName": "theirs"}},
        },
    )
    namespace.create(LEASES, {"metadata": {"name": "accord"}, "spec": {}})
    return namespace.policy("chat", {"fast": 100})


def cp_source() -> dict[str, str]:
    return {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "p-2000-a1-00000"}


def names(write: Write) -> str:
    return f"{write.path.split(':')[0]}: {write.what}"


@pytest.mark.parametrize("write", FORBIDDEN, ids=names)
def test_the_operators_account_is_refused(scene: Scene, write: Write) -> None:
    said = scene.said(scene.held, write.method, write.path, write.body, write.content_type)
    assert f"ValidatingAdmissionPolicy '{rights.policy_name(scene.namespace.name)}'" in said
    assert write.why in said


@pytest.mark.parametrize("write", ALLOWED, ids=names)
def test_what_the_operator_does_is_not(scene: Scene, write: Write) -> None:
    assert scene.said(scene.held, write.method, write.path, write.body, write.content_type) == ""


@pytest.mark.parametrize("write", [*FORBIDDEN, *ALLOWED], ids=names)
def test_nobody_else_is_asked(scene: Scene, write: Write) -> None:
    said = scene.said(scene.namespace.api, write.method, write.path, write.body, write.content_type)
    assert "ValidatingAdmissionPolicy" not in said


def test_what_is_controlled_by_a_policy_may_be_made_and_deleted(scene: Scene) -> None:
    namespace, held = scene.namespace, scene.held
    meta = {"name": "chat-fast", "namespace": namespace.name, "labels": OURS, "ownerReferences": [scene.owner]}
    held.create(namespace.path("services"), {"metadata": meta, **SERVICE})
    taken = {"metadata": {"ownerReferences": None}}
    given = scene.said(held, "PATCH", "services:chat-fast", taken, MERGE)
    assert OWNED in given, "what is its own it does not give away"
    # Somebody takes the owner away: the label says whose it is, and the owner is put back.
    namespace.patch("services", "chat-fast", taken)
    held.call("PATCH", namespace.path("services", "chat-fast"), {"metadata": {"ownerReferences": [scene.owner]}}, MERGE)
    held.delete(namespace.path("services", "chat-fast"))
    other = [{**scene.owner, "apiVersion": "apps/v1", "kind": "Deployment"}]
    service = {"metadata": {**meta, "ownerReferences": other}, **SERVICE}
    assert OWNED in scene.said(held, "POST", "services:", service)


@pytest.mark.parametrize(
    ("controller", "about", "why"),
    [
        ("accord.dev/operator", "accord.dev/v1alpha1", ""),
        ("example.com/other", "accord.dev/v1alpha1", "in its own name"),
        ("accord.dev/operator", "apps/v1", "in its own name"),
    ],
)
def test_events_are_its_own_words_about_policies(scene: Scene, controller: str, about: str, why: str) -> None:
    regarding = {"apiVersion": about, "kind": "TrafficPolicy", "namespace": scene.namespace.name, "name": "chat"}
    event = {"metadata": {"name": "said"}, **EVENT, "reportingController": controller, "regarding": regarding}
    said = scene.said(scene.held, "POST", f"{EVENTS}:", event)
    assert why in said if why else said == ""


def test_a_deployment_of_somebody_else_is_not_taken_over(scene: Scene) -> None:
    taken = {"metadata": {"ownerReferences": [scene.owner]}}
    assert MADE in scene.said(scene.held, "PATCH", f"{DEPLOYMENTS}:serve", taken, STRATEGIC)
