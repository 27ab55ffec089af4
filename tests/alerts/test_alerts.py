"""Every alert of the chart, provoked once: a real Prometheus with the chart's rules, a real operator, real faults.

The rules wait the thirtieth of what they wait in a cluster (`alerting.py`); the operator's own times are as they are.
How long each took is printed, and docs/how-to/runbooks.md holds one such list.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from devcluster.controlplane import ControlPlane
from devcluster.credentials import write_kubeconfig
from tests.alerts.alerting import (
    ENTROPY,
    FASTER,
    RATE,
    RULES,
    Alerts,
    Learner,
    Sources,
    Traffic,
    Webhook,
    alerts,
    shipped,
    sped_up,
)
from tests.apiserver import checkpoints as cp
from tests.apiserver.checkpoints import Cluster
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until

from accord import rbac
from devcluster import snapshots as snapshot_kinds

OF_THE_OPERATOR = {
    "AccordOperatorDown": "the operator is stopped",
    "AccordNoLeader": "its role says nothing about Leases",
    "AccordReplicaNotSynced": "its role does not let it list TrainingRuns",
    "AccordQueueStuck": "an admission webhook takes 5 s for each Service of 100 policies",
    "AccordReconcileErrors": "its role does not let it write Services, and a policy keeps changing",
}
OF_OBJECTS = {
    "AccordNotReady": "no pod of a mode is there",
    "AccordStalled": "the Deployment of a mode does not exist",
    "AccordTrafficDeviation": "a mode gets three times its share, past the router",
    "AccordTrafficNotMeasured": "nobody answers at the policy's Prometheus",
    "AccordDownshift": "the model behind a mode fails 5 times a second",
    "PPOEntropyNotDecreasing": "the trainer keeps the coefficient that it began with",
    "AccordTrainingOffSchedule": "the same",
    "AccordTrainingUnhealthy": "the loss is NaN, and rollbacks are disabled",
    "AccordTrainingSuspect": "the approximate KL grows thirtyfold, and the rewards stay",
    "AccordTrainingNotChecked": "Prometheus does not scrape the trainer",
    "AccordCheckpointNoSpace": "the trainer's volume has room for one more checkpoint",
    "AccordCheckpointWaits": "no node has room for the pods of a checkpoint",
    "CheckpointRollback": "the loss is NaN",
    "FrequentRollbacks": "the loss is NaN again after the rollback",
    "AccordRollbackBudgetSpent": "the same, and rollback.max is 2",
    "AccordRollbackAwaitsApproval": "the loss is NaN, and approval is Manual",
}


DURATIONS = {(None, None), *((f"{minutes}m", f"{minutes * 60_000 // FASTER}ms") for minutes in (1, 5, 10, 15, 30))}
"""How long rules wait, shipped and here."""


def test_each_alert_has_a_fault() -> None:
    assert shipped().keys() == OF_THE_OPERATOR.keys() | OF_OBJECTS.keys()
    assert not OF_THE_OPERATOR.keys() & OF_OBJECTS.keys()


def test_nothing_of_the_rules_is_changed_but_durations() -> None:
    rules, loaded = yaml.safe_load(RULES.read_text()), sped_up(RULES.read_text())
    for before, after in zip(rules["groups"][0]["rules"], loaded["groups"][0]["rules"], strict=True):
        apart = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        assert apart <= {"expr", "for"}
        assert (before.get("for"), after.get("for")) in DURATIONS
        bare = [re.sub(r"\b\d+(s|m|h|ms)\b", "", rule["expr"]) for rule in (before, after)]
        assert bare[0] == bare[1]


def show(times: dict[str, float]) -> None:
    """As rows of docs/how-to/runbooks.md."""
    for alert, seconds in times.items():
        waits = shipped()[alert].get("for", "at once")
        fault = {**OF_OBJECTS, **OF_THE_OPERATOR}[alert]
        print(f"| `{alert}` | {fault} | {waits} | {seconds:.1f} s |")


@dataclass
class Stage:
    """Namespaces where something trains or is served, by what will happen there."""

    api: Api
    sources: Sources
    alerts: Alerts
    cluster: Cluster
    scarce: Cluster
    """Plays where there will be no room."""
    places: dict[str, Namespace] = field(default_factory=dict)

    def learner(self, place: str) -> Learner:
        found = self.sources.trainings[self.places[place].name]
        assert isinstance(found, Learner)
        return found

    def traffic(self, place: str) -> Traffic:
        return self.sources.traffic[self.places[place].name]


TRAINED = ("rolled-back", "manual", "disabled", "no-room")
PLACES = (*TRAINED, "suspect", "schedule", "unseen", "split", "breaker", "pods")


@pytest.fixture
def stage(api: Api, control_plane: ControlPlane, start_operator: StartOperator, tmp_path: Path) -> Iterator[Stage]:
    snapshot_kinds.install(control_plane.kubectl)
    places = {place: Namespace(api) for place in PLACES}
    ordinary = [namespace for place, namespace in places.items() if place != "no-room"]
    sources = Sources(
        trainings={places[place].name: Learner() for place in (*TRAINED, "suspect", "schedule")},
        traffic={places[place].name: Traffic({"fast": 60, "creative": 40}) for place in ("split", "breaker")},
    )
    with (
        alerts(tmp_path / "alerts", sources) as book,
        Cluster(api, *ordinary) as cluster,
        Cluster(api, places["no-room"]) as scarce,
    ):
        start_operator(
            namespaces=[namespace.name for namespace in places.values()],
            http={"port": book.operator_port},
            prometheus={"endpoints": book.endpoints},
        ).ready()
        yield Stage(api, sources, book, cluster, scarce, places)


def healthy(stage: Stage) -> None:
    """All that can be well is, and no alert is about it."""
    rollbacks: dict[str, dict[str, Any]] = {
        "rolled-back": {"max": 2, "cooldown": "1s"},
        "manual": {"approval": "Manual"},
        "disabled": {"enabled": False},
        "no-room": {},
        "suspect": {},
    }
    for place, rollback in rollbacks.items():
        namespace = stage.places[place]
        cp.serving_deployment(namespace)
        cp.run(namespace)
        detection = {"klSpike": {"enabled": True}} if place == "suspect" else {}
        cp.policy(namespace, rollback=rollback, detection=detection)
    template = {"spec": {"containers": [{"name": "trainer", "image": "example/trainer:1"}]}}
    schedules = {
        "entropyCoef": ENTROPY.model_dump(by_alias=True, exclude_none=True),
        "learningRate": RATE.model_dump(by_alias=True, exclude_none=True),
    }
    spec = {"template": template, "totalSteps": 1_000_000, "schedules": schedules, "monitoring": {"interval": "1s"}}
    head = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "r"}}
    stage.places["schedule"].create(cp.RUNS, {**head, "spec": spec})
    stage.learner("suspect").kl = 0.01
    stage.learner("schedule").on_schedule = True
    stage.learner("schedule").step, stage.learner("schedule").pace = 100_000, 500
    for place in ("split", "breaker"):
        for mode in ("fast", "creative"):
            stage.places[place].deployment(mode, replicas=1)
    measured = {"interval": "1s", "window": "20s"}
    breaker = {"mode": "creative", "window": "20s", "cooldown": "1h"}
    weights = {"fast": 60, "creative": 40}
    stage.places["split"].policy("split", weights, monitoring=measured)
    stage.places["breaker"].policy("breaker", weights, monitoring=measured, circuitBreaker=breaker)

    for step in (1000, 1500, 2000):
        for place in TRAINED:
            stage.learner(place).step = stage.learner(place).saved = step
        for place in TRAINED:
            cp.until_served(stage.places[place], step, 120)
    wait_until(lambda: len(stage.learner("suspect").updates) > 40, 120, "the learner is not scraped")
    until(stage.places["suspect"], "p", cp.POLICIES, "Healthy", "True")
    until(stage.places["schedule"], "r", cp.RUNS, "OnSchedule", "True")
    until(stage.places["split"], "split", "trafficpolicies", "WithinTarget", "True")
    until(stage.places["breaker"], "breaker", "trafficpolicies", "CircuitsClosed", "True")
    # No proxy runs here, so that a TrafficPolicy is never Ready.
    assert stage.alerts.names() <= {"AccordNotReady"}


def until(namespace: Namespace, name: str, collection: str, type_: str, status: str) -> None:
    found = lambda: namespace.condition(name, type_, collection)  # noqa: E731
    wait_until(lambda: found().get("status") == status, 60, f"{type_} is not {status}: {found()}")


def test_faults_of_objects_fire(stage: Stage) -> None:
    healthy(stage)
    places, began = stage.places, {}

    def fault(*names: str) -> None:
        began.update(dict.fromkeys(names, time.monotonic()))

    fault("PPOEntropyNotDecreasing", "AccordTrainingOffSchedule")
    stage.learner("schedule").entropy = ENTROPY.initial
    fault("AccordCheckpointNoSpace")
    stage.learner("schedule").free = 1_500_000_000
    fault("AccordTrafficDeviation")
    stage.traffic("split").rates["creative"] = 120
    fault("AccordDownshift")
    stage.traffic("breaker").failures["creative"] = 5
    fault("AccordTrainingNotChecked")
    cp.serving_deployment(places["unseen"])
    cp.run(places["unseen"])
    cp.policy(places["unseen"])
    fault("AccordTrafficNotMeasured")
    places["pods"].deployment("a", replicas=1)
    places["pods"].policy("blind", {"a": 100}, monitoring={"endpoint": "gone", "interval": "1s", "window": "20s"})
    fault("AccordStalled")
    places["pods"].policy("lost", {"nowhere": 100})
    fault("AccordNotReady")
    places["pods"].deployment("none", replicas=0)
    places["pods"].policy("down", {"none": 100})
    fault("AccordCheckpointWaits")
    stage.scarce.no_room = "0/1 nodes are available: 1 Insufficient cpu."
    stage.learner("no-room").step = stage.learner("no-room").saved = 2500
    for place, alert in (
        ("manual", "AccordRollbackAwaitsApproval"),
        ("disabled", "AccordTrainingUnhealthy"),
        ("rolled-back", "CheckpointRollback"),
    ):
        fault(alert)
        stage.learner(place).step, stage.learner(place).sick = 2100, True

    fault("AccordTrainingSuspect")
    until_suspect(stage)
    once_more(stage, lambda: fault("FrequentRollbacks", "AccordRollbackBudgetSpent"))

    about = {
        "AccordNotReady": {"name": "down"},
        "AccordStalled": {"name": "lost"},
        "AccordTrafficDeviation": {"name": "split"},
        "AccordTrafficNotMeasured": {"name": "blind"},
        "AccordDownshift": {"policy": "breaker", "mode": "creative"},
    }
    show({alert: stage.alerts.fired(alert, began[alert], **about.get(alert, {})) for alert in OF_OBJECTS})


def once_more(stage: Stage, fault: Callable[[], None]) -> None:
    """After the first rollback the training gets better, and goes wrong a second time."""
    namespace, learner = stage.places["rolled-back"], stage.learner("rolled-back")
    cp.finished(namespace)
    learner.attempt, learner.step, learner.saved, learner.sick = 2, 1500, 1500, False
    cp.save(namespace, learner, 2000, 2500)
    fault()
    learner.step, learner.sick = 2600, True
    cp.finished(namespace, 2, 3)


def until_suspect(stage: Stage) -> None:
    """Updates that diverge, until the check says so. Then nothing more is learnt, and nothing takes it back."""
    namespace, learner = stage.places["suspect"], stage.learner("suspect")
    suspect = lambda: cp.condition(namespace, "Healthy") == ("Unknown", "SuspectedKLSpike")  # noqa: E731
    for _ in range(5):
        learner.kl = 0.3
        wait_until(suspect, 60, f"not suspect: {cp.status(namespace)}")
        learner.kl = None
        # It may be the update after the one that was judged.
        time.sleep(6)
        if suspect():
            return
    raise AssertionError(f"not suspect for long: {cp.status(namespace)}")


# The operator itself

ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles"


@dataclass
class Account:
    """A service account of one namespace, what its role lacks, and a kubeconfig with its token."""

    api: Api
    namespace: Namespace
    kubeconfig: Path
    _head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "operator"}}

    @classmethod
    def make(cls, api: Api, namespace: Namespace, plane: ControlPlane, directory: Path) -> Account:
        accounts = f"/api/v1/namespaces/{namespace.name}/serviceaccounts"
        api.create(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}})
        roles = ROLES.format(namespace.name)
        api.create(roles, {**cls._head, "kind": "Role", "rules": []})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
        subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace.name}
        binding = {**cls._head, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
        api.create(roles.replace("/roles", "/rolebindings"), binding)
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = api.create(f"{accounts}/operator/token", asked)["status"]["token"]
        file = directory / "operator.kubeconfig"
        write_kubeconfig(file, plane.server, plane.directory / "pki" / "apiserver.crt", token)
        return cls(api, namespace, file)

    def may_all_but(self, resource: str = "", *verbs: str) -> None:
        """What the chart grants, without these verbs on this resource."""
        granted = rbac.permissions()
        rules = [
            {
                "apiGroups": rule["apiGroups"],
                "resources": [each],
                "verbs": [verb for verb in rule["verbs"] if each != resource or verb not in verbs],
            }
            for rule in (*granted["watched"], *granted["release"])
            for each in rule["resources"]
        ]
        rules = [rule for rule in rules if rule["verbs"]]
        self.api.patch(f"{ROLES.format(self.namespace.name)}/operator", {"rules": rules})


@pytest.fixture
def webhook(api: Api, namespace: Namespace, control_plane: ControlPlane) -> Iterator[Webhook]:
    """Asked about each Service of the namespace."""
    pki = control_plane.directory / "pki"
    asked = Webhook(pki)
    authority = base64.b64encode((pki / "apiserver.crt").read_bytes()).decode()
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace.name},
        "webhooks": [
            {
                "name": "slow.example.com",
                "clientConfig": {"url": asked.url, "caBundle": authority},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["services"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 30,
            }
        ],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    api.create(path, configuration)
    try:
        yield asked
    finally:
        api.delete(f"{path}/{namespace.name}")
        asked.close()


def keeps_changing(namespace: Namespace, name: str, stop: threading.Event) -> None:
    number = 0
    while not stop.wait(0.5):
        number += 1
        namespace.patch("trafficpolicies", name, {"spec": {"monitoring": {"window": f"{60 + number}s"}}})


def test_faults_of_the_operator_fire(
    api: Api, namespace: Namespace, control_plane: ControlPlane, webhook: Webhook, tmp_path: Path
) -> None:
    account = Account.make(api, namespace, control_plane, tmp_path)
    times: dict[str, float] = {}
    with alerts(tmp_path / "alerts", Sources()) as book:

        def start(name: str) -> OperatorProcess:
            return OperatorProcess(
                account.kubeconfig,
                tmp_path,
                name=name,
                namespaces=[namespace.name],
                http={"port": book.operator_port},
                prometheus={"endpoints": book.endpoints},
            )

        account.may_all_but("leases", "get", "create", "update")
        began = time.monotonic()
        with start("one") as operator:
            times["AccordNoLeader"] = book.fired("AccordNoLeader", began)
            account.may_all_but()
            wait_until(lambda: operator.leads, 60, "it does not lead")
            book.ends("AccordNoLeader")

            webhook.delay = 5.0
            began = time.monotonic()
            namespace.deployment("a")
            for number in range(100):
                namespace.policy(f"p{number}", {"a": 100})
            times["AccordQueueStuck"] = book.fired("AccordQueueStuck", began)
            webhook.delay = 0.0
            book.ends("AccordQueueStuck")

            account.may_all_but("services", "create", "patch")
            began, stop = time.monotonic(), threading.Event()
            namespace.policy("changes", {"a": 100})
            changing = threading.Thread(target=keeps_changing, args=(namespace, "changes", stop))
            changing.start()
            try:
                times["AccordReconcileErrors"] = book.fired("AccordReconcileErrors", began, kind="TrafficPolicy")
            finally:
                stop.set()
                changing.join()
            account.may_all_but()
            began = time.monotonic()
        times["AccordOperatorDown"] = book.fired("AccordOperatorDown", began)

        account.may_all_but(cp.RUNS, "list")
        began = time.monotonic()
        with start("two") as operator:
            times["AccordReplicaNotSynced"] = book.fired("AccordReplicaNotSynced", began)
            book.ends("AccordOperatorDown")
            account.may_all_but()
            operator.ready()
            book.ends("AccordReplicaNotSynced")
    assert times.keys() == OF_THE_OPERATOR.keys()
    show(times)
