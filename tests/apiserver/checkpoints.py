"""What CheckpointPolicies need around them, on a real API server and a real Prometheus: a trainer that reports, and the
parts of a cluster that a bare control plane lacks. The snapshot-controller and the kubelet are played here.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until
from tests.prometheus.rig import Exporter, Request, answer

POLICIES, RUNS, CLAIMS, DEPLOYMENTS = (
    "checkpointpolicies",
    "trainingruns",
    "persistentvolumeclaims",
    "apps/v1/deployments",
)
SNAPSHOTS = "snapshot.storage.k8s.io/v1/volumesnapshots"
UNTRAINED = "untrained"
_TRAINING = re.compile(r"-[0-9a-f]{5}\b")
"""Names and ids hold a digest of the run's uid, which no two namespaces share."""


@dataclass
class Training:
    """What the trainer of one namespace reports."""

    attempt: int = 1
    step: int = 0
    saved: int = 0
    sick: bool = False
    """Whether its loss is NaN."""
    reward: float = 4.0
    """Of each step."""
    pod: str = "abcde"
    """The end of its pod's name."""

    def lines(self, namespace: str) -> Iterator[str]:
        labels = f'{{namespace="{namespace}",pod="r-{self.attempt}-{self.pod}"}}'
        loss = "NaN" if self.sick else str(self.step * 0.5)
        values = {
            "training_step": self.step,
            "checkpoint_step": self.saved,
            "loss": "NaN" if self.sick else 0.5,
            "loss_sum": loss,
            "loss_count": self.step,
            "loss_sumsq": "NaN" if self.sick else self.step * 0.26,
            "reward": self.reward,
            "reward_sum": self.step * self.reward,
            "reward_count": self.step,
            "reward_sumsq": self.step * (self.reward**2 + 0.5),
        }
        return (f"ppo_{name}{labels} {value}" for name, value in values.items())


@dataclass
class Trainers(Exporter):
    """The trainers of all namespaces of a test, behind one scrape target."""

    trainings: dict[str, Training] = field(default_factory=dict)

    def show(self, request: Request) -> None:
        lines = [line for namespace, training in self.trainings.items() for line in training.lines(namespace)]
        answer(request, "\n".join([*lines, ""]), kind="text/plain; version=0.0.4")


class Cluster:
    """Plays the snapshot-controller and the kubelet in some namespaces, until the end of the `with`."""

    def __init__(self, api: Api, *namespaces: Namespace) -> None:
        self._api = api
        self._namespaces = namespaces
        self.crashing: set[str] = set()
        """Steps that serving pods do not start with."""
        self.no_room = ""
        """Why the scheduler finds no node for another pod; empty where it does."""
        self.never_ready: set[str] = set()
        """Steps whose snapshot does not become ready."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Cluster:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            # The API server may be away, or an object gone in between.
            with contextlib.suppress(AssertionError, OSError, TypeError):
                for snapshot in self._list("/apis/snapshot.storage.k8s.io/v1/volumesnapshots"):
                    self._make_ready(snapshot)
                for pod in self._list("/api/v1/pods"):
                    self._run_pod(pod)

    def _list(self, path: str) -> list[Any]:
        """Of all namespaces in one request; those of others are left alone."""
        names = {namespace.name for namespace in self._namespaces}
        return [item for item in self._api.items(path) if item["metadata"]["namespace"] in names]

    def _make_ready(self, snapshot: Any) -> None:
        meta = snapshot["metadata"]
        if meta["labels"].get("accord.dev/step") in self.never_ready or (snapshot.get("status") or {}).get(
            "readyToUse"
        ):
            return
        base = f"/apis/snapshot.storage.k8s.io/v1/namespaces/{meta['namespace']}/volumesnapshots/{meta['name']}"
        self._api.patch(f"{base}/status", {"status": {"readyToUse": True, "restoreSize": "1Gi"}})

    def _run_pod(self, pod: Any) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if meta.get("deletionTimestamp"):
            self._api.call("DELETE", path, {"gracePeriodSeconds": 0})
            return
        step = (meta.get("annotations") or {}).get("accord.dev/checkpoint-step")
        status = pod.get("status") or {}
        known = {c["type"]: (c["status"], c.get("message", "")) for c in status.get("conditions") or ()}
        if known.get("Ready") == ("True", ""):
            return
        if self.no_room:
            if known.get("PodScheduled") != ("False", self.no_room):
                reason = {"status": "False", "reason": "Unschedulable", "message": self.no_room}
                self._api.patch(f"{path}/status", {"status": {"conditions": [{"type": "PodScheduled", **reason}]}})
            return
        conditions = [{"type": "PodScheduled", "status": "True"}]
        if step not in self.crashing:
            conditions.append({"type": "Ready", "status": "True"})
            self._api.patch(f"{path}/status", {"status": {"phase": "Running", "conditions": conditions}})
        elif not status.get("containerStatuses"):
            crash = {
                "name": "app",
                "image": "example/app",
                "imageID": "",
                "ready": False,
                "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
            }
            more = {"phase": "Running", "conditions": conditions, "containerStatuses": [crash]}
            self._api.patch(f"{path}/status", {"status": more})


def serving_deployment(namespace: Namespace, claim: str = UNTRAINED, deadline: int = 600) -> Any:
    """The Deployment that serves, with a volume `model`, as a user has it in Git."""
    labels = {"app": "serve"}
    mount = {"name": "model", "mountPath": "/model", "readOnly": True}
    pod = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "app", "image": "example/app", "volumeMounts": [mount]}],
        "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": claim}}],
    }
    spec = {
        "replicas": 1,
        "progressDeadlineSeconds": deadline,
        "minReadySeconds": 0,
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return namespace.create(DEPLOYMENTS, {"metadata": {"name": "serve"}, "spec": spec})


def policy(namespace: Namespace, name: str = "p", **spec: Any) -> Any:
    """A CheckpointPolicy for run `r` and Deployment `serve`, checked every second."""
    more = {key: spec.pop(key, {}) for key in ("serving", "detection")}
    serving = {"deploymentRef": {"name": "serve"}, "volume": "model", "minInterval": "0s", **more["serving"]}
    training = {} if "source" in spec else {"trainingRunRef": {"name": "r"}}
    body = {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "CheckpointPolicy",
        "metadata": {"name": name},
        "spec": {
            **training,
            "serving": serving,
            "detection": {"interval": "1s", **more["detection"]},
            **spec,
        },
    }
    return namespace.create(POLICIES, body)


def run(namespace: Namespace) -> Any:
    """A TrainingRun."""
    template = {"spec": {"containers": [{"name": "trainer", "image": "example/trainer:1"}]}}
    body = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "r"}}
    # No kubelet is there that would end a pod for its logs to stay.
    return namespace.create(RUNS, {**body, "spec": {"template": template, "ttlAfterGivenUp": "0s"}})


def serves(namespace: Namespace) -> tuple[str, str | None]:
    """Claim and step of the Deployment's pod template."""
    template = namespace.get(DEPLOYMENTS, "serve")["spec"]["template"]
    claim = template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    return claim, (template["metadata"].get("annotations") or {}).get("accord.dev/checkpoint-step")


def status(namespace: Namespace, name: str = "p") -> dict[str, Any]:
    return dict(namespace.get(POLICIES, name).get("status") or {})


def condition(namespace: Namespace, type_: str, name: str = "p") -> tuple[str, str]:
    found = namespace.condition(name, type_, POLICIES)
    return found.get("status", ""), found.get("reason", "")


def until_served(namespace: Namespace, step: int, seconds: float = 40) -> None:
    """Until the status says that the step is served, and nothing is under way."""

    def answer_() -> bool:
        live = status(namespace)
        under_way = live.get("switch") or live.get("rollback")
        return live.get("serving", {}).get("step") == step and not under_way

    try:
        wait_until(answer_, seconds, "")
    except AssertionError:
        raise AssertionError(f"step {step} is not served: {status(namespace)}") from None


def until_condition(namespace: Namespace, type_: str, want: tuple[str, str], seconds: float = 30) -> None:
    try:
        wait_until(lambda: condition(namespace, type_) == want, seconds, "")
    except AssertionError:
        raise AssertionError(f"{type_} is not {want}: {status(namespace).get('conditions')}") from None


def save(namespace: Namespace, training: Training, *steps: int) -> None:
    """The trainer commits checkpoints; each is served before the next."""
    for step in steps:
        training.step = training.saved = step
        until_served(namespace, step)


def snapshots(namespace: Namespace) -> dict[int, Any]:
    """Snapshots by step."""
    return {int(s["metadata"]["labels"]["accord.dev/step"]): s for s in namespace.api.items(namespace.path(SNAPSHOTS))}


def quarantined(namespace: Namespace) -> set[int]:
    return {
        step
        for step, s in snapshots(namespace).items()
        if s["metadata"]["labels"].get("accord.dev/quarantined") == "true"
    }


def claims(namespace: Namespace) -> set[str]:
    """Claims that were made from snapshots."""
    return {c["metadata"]["name"] for c in namespace.api.items(namespace.path(CLAIMS), "accord.dev/policy")}


def reasons(namespace: Namespace) -> list[str]:
    """Events about policies."""
    events = namespace.api.items(namespace.path("events.k8s.io/v1/events"))
    return [event["reason"] for event in events if event["regarding"]["kind"] == "CheckpointPolicy"]


def until_told(namespace: Namespace, *wanted: str) -> None:
    """Until there are events with these reasons: they are written after the status."""
    wait_until(lambda: set(wanted) <= set(reasons(namespace)), 10, f"events of {wanted}")


def at_rest(*operators: OperatorProcess, seconds: float = 2.0, limit: float = 60.0) -> None:
    """Until the operators have written nothing for some seconds."""

    def written() -> list[float]:
        return [operator.writes() for operator in operators]

    writes, since = written(), time.monotonic()

    def quiet() -> bool:
        nonlocal writes, since
        if (now := written()) != writes:
            writes, since = now, time.monotonic()
        time.sleep(0.1)
        return time.monotonic() - since > seconds

    wait_until(quiet, limit, "the operators do not come to rest")


def end_state(namespace: Namespace) -> dict[str, Any]:
    """What there is in the end, without times and what differs from namespace to namespace."""
    live, run = status(namespace), namespace.get(RUNS, "r")
    claim, step = serves(namespace)
    annotations = run["metadata"].get("annotations") or {}
    marks = {key: text for key, text in annotations.items() if key.startswith("accord.dev/")}
    records = [(r["phase"], r["signal"], r["fromStep"], r["toStep"], r["attempt"]) for r in live["history"]]
    return {
        "served": (_TRAINING.sub("", claim), step),
        "claims": {_TRAINING.sub("", name) for name in claims(namespace)},
        "snapshots": set(snapshots(namespace)),
        "quarantined": quarantined(namespace),
        "run": (marks, run["status"]["attempt"]),
        "rollbacks": (live["rollbacks"], records),
        "conditions": {
            c["type"]: c["reason"] for c in live["conditions"] if c["type"] not in ("Healthy", "Snapshotted")
        },
    }


def version_now(api: Api) -> str:
    """A resourceVersion to look back to. A kind that was just installed refuses for a moment."""

    def answer_() -> str | None:
        with contextlib.suppress(AssertionError):
            return str(api.get(f"/apis/{SNAPSHOTS}")["metadata"]["resourceVersion"])
        return None

    return str(wait_until(answer_, 30, "snapshots cannot be listed"))


def came_and_went(api: Api, since: str) -> dict[str, Counter[tuple[str, str]]]:
    """By namespace, how often a snapshot, a claim or a Job of each name was made, and deleted, since that version."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for path in (f"/apis/{SNAPSHOTS}", f"/api/v1/{CLAIMS}", "/apis/batch/v1/jobs"):
        for event, each in api.events(path, since):
            what = _TRAINING.sub("", f"{each['kind']} {each['metadata']['name']}")
            if event != "MODIFIED":
                found.setdefault(each["metadata"]["namespace"], Counter())[event, what] += 1
    return found


def done(namespace: Namespace, rollbacks: int = 1) -> bool:
    live = status(namespace)
    return len(live.get("history") or ()) >= rollbacks and not live.get("rollback") and not live.get("switch")


def finished(namespace: Namespace, rollbacks: int = 1, attempt: int = 2) -> None:
    """Until so many rollbacks are over, the run is in that attempt, and the claim that was served before is gone."""
    wait_until(lambda: done(namespace, rollbacks), 120, f"no end of rollback {rollbacks}: {namespace.name}")
    wait_until(lambda: namespace.get(RUNS, "r")["status"]["attempt"] == attempt, 30, f"no attempt {attempt}")
    wait_until(lambda: len(claims(namespace)) == 1, 40, f"claims are left: {claims(namespace)}")


def train(namespaces: list[Namespace], trainers: Trainers) -> None:
    """Three checkpoints everywhere, the newest served. Only that one is promoted: it saves half of the time."""
    for step in (1000, 1500, 2000):
        for training in trainers.trainings.values():
            training.step = training.saved = step
        for namespace in namespaces:
            # One that exists may be unready, and then the one before is the newest that can be served.
            seen = lambda at=namespace, step=step: status(at).get("latestStep") == step  # noqa: E731
            wait_until(seen, 120, f"no snapshot of {step} is ready")
    for namespace in namespaces:
        namespace.patch(POLICIES, "p", {"spec": {"serving": {"follow": "Latest"}}})
    for namespace in namespaces:
        until_served(namespace, 2000, 120)
    for namespace in namespaces:
        wait_until(lambda at=namespace: len(claims(at)) == 1, 60, "claims are left")
