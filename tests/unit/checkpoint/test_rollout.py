"""Why pods are not available: what counts against a checkpoint, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from accord.domain.checkpoint.pods import ServingPod, newest, selector
from accord.domain.checkpoint.rollout import Cause, examine
from accord.domain.checkpoint.views import ClaimView, DeploymentView

CLAIM = "p-500-a1-abcde"
SCHEDULED = {"type": "PodScheduled", "status": "True"}


def pod(name: str = "new", *, owner: str = "rs", step: str = "500", claim: str = CLAIM, **status: Any) -> Any:
    mount = {"name": "model", "mountPath": "/model"}
    spec = {
        "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": claim}}, {"name": "tmp", "emptyDir": {}}],
        "initContainers": [{"name": "check", "volumeMounts": [mount]}],
        "containers": [{"name": "app", "volumeMounts": [mount]}, {"name": "proxy"}],
    }
    meta = {
        "name": name,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"accord.dev/checkpoint-step": step},
        "ownerReferences": [{"uid": owner, "controller": True}],
    }
    return {"metadata": meta, "spec": spec, "status": {"phase": "Pending", "conditions": [SCHEDULED], **status}}


def container(name: str = "app", restarts: int = 0, *, ready: bool = False, last: Any = None, **state: Any) -> Any:
    found = {"name": name, "image": "shop/app:2", "ready": ready, "restartCount": restarts, "state": state}
    return {**found, "lastState": {"terminated": last}} if last is not None else found


def unscheduled(words: str) -> Any:
    return pod(
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}],
    )


def running(*containers: Any, **more: Any) -> Any:
    return pod(phase="Running", containerStatuses=list(containers), **more)


def views(*manifests: Any) -> list[ServingPod]:
    found = (ServingPod.of(each, "model") for each in manifests)
    return newest([view for view in found if view is not None], CLAIM, 500)


def deployment(**changes: Any) -> DeploymentView:
    conditions = changes.pop("conditions", [])
    manifest = {
        "metadata": {"name": "serve", "uid": "u", "generation": 2},
        "spec": {"replicas": 1, **changes},
        "status": {"observedGeneration": 2, "availableReplicas": 1, "conditions": conditions},
    }
    return DeploymentView.of(manifest)


def claim(phase: str = "Bound") -> ClaimView:
    return ClaimView.of({"metadata": {"name": CLAIM}, "spec": {}, "status": {"phase": phase}})


CRASH = {"exitCode": 1, "reason": "Error"}
KILLED = {"exitCode": 137, "reason": "Error"}
OUT_OF_MEMORY = {"exitCode": 137, "reason": "OOMKilled"}
COMPLETED = {"exitCode": 0, "reason": "Completed"}
NOT_FOUND = {"exitCode": 128, "reason": "StartError", "message": "no such file"}
BACK_OFF = {"reason": "CrashLoopBackOff"}
NO_SECRET = {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}
RUNS = container(running={}, ready=True)
UNREADY = container(running={})
LOST = [SCHEDULED, {"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False"}]


def waiting(reason: str) -> Any:
    return pod(containerStatuses=[container(waiting={"reason": reason})])


def crashing(restarts: int, last: Any) -> Any:
    return running(container(restarts=restarts, waiting=BACK_OFF, last=last))


def another(manifest: Any) -> Any:
    return {**manifest, "metadata": pod("other")["metadata"]}


def replica_failure(words: str) -> dict[str, Any]:
    return {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": words}]}


ELSEWHERE: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "a GPU that is taken": ([unscheduled("3 Insufficient nvidia.com/gpu.")], {}, "Unschedulable"),
    "the attach limit": ([unscheduled("3 node(s) exceed max volume count.")], {}, "Unschedulable"),
    "a claim for one pod": (
        [unscheduled("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode")],
        {},
        "Unschedulable",
    ),
    "a quota": ([], replica_failure('pods "serve-x" is forbidden: exceeded quota: gpus'), "QuotaExceeded"),
    "an admission policy": ([], replica_failure("admission webhook denied the request"), "PodsRefused"),
    "a paused rollout": ([], {"paused": True}, "RolloutPaused"),
    "an image": ([waiting("ImagePullBackOff")], {}, "ImagePull"),
    "a secret": ([pod(containerStatuses=[container(waiting=NO_SECRET)])], {}, "ContainerConfig"),
    "a command that is not there": ([crashing(4, NOT_FOUND)], {}, "ContainerConfig"),
    "a sidecar": ([running(RUNS, container("proxy", 5, waiting=BACK_OFF, last=CRASH))], {}, "SidecarCrash"),
    "a node that is gone": ([running(RUNS, conditions=LOST)], {}, "NodeLost"),
    "a crash, and no room for the next": (
        [running(container(restarts=1, running={}, last=CRASH)), another(unscheduled("3 Insufficient cpu"))],
        {},
        "Unschedulable",
    ),
}
"""Pods, changes of the Deployment, and the reason. Neither a checkpoint nor its volume has anything to do with it."""

OTHERWISE: dict[str, tuple[list[Any], Cause | None, str | None]] = {
    "a claim that is not bound": (
        [unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.")],
        "Volume",
        "VolumePending",
    ),
    "a claim that cannot be bound": (
        [unscheduled('running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded')],
        "Volume",
        "VolumePending",
    ),
    "a volume in another zone": (
        [unscheduled("0/3 nodes are available: 3 node(s) had volume node affinity conflict.")],
        "Volume",
        "VolumePending",
    ),
    "no volume to be had where nodes are": (
        [unscheduled("0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.")],
        "Volume",
        "VolumePending",
    ),
    "a volume that is not mounted": ([waiting("ContainerCreating")], "Volume", "ContainerCreating"),
    "one end": ([running(container(restarts=1, running={}, last=CRASH))], "OnePod", "PodsCrash"),
    "two ends of one pod": ([running(container(restarts=2, running={}, last=CRASH))], "Checkpoint", "PodsCrash"),
    "an end and one before": ([running(container(restarts=1, terminated=CRASH))], "Checkpoint", "PodsCrash"),
    "ends of two pods": (
        [running(container(terminated=CRASH)), another(running(container(terminated=CRASH)))],
        "Checkpoint",
        "PodsCrash",
    ),
    "a liveness probe": ([crashing(3, KILLED)], "Checkpoint", "PodsCrash"),
    "too little memory": ([crashing(3, OUT_OF_MEMORY)], "Checkpoint", "PodsCrash"),
    "a service that ends by itself": ([crashing(2, COMPLETED)], "Checkpoint", "PodsCrash"),
    "a check before the start": (
        [pod(initContainerStatuses=[container("check", 3, waiting=BACK_OFF, last=CRASH)])],
        "Checkpoint",
        "PodsCrash",
    ),
    "crashes, and no room for the next": (
        [crashing(3, CRASH), another(unscheduled("3 Insufficient cpu"))],
        "Checkpoint",
        "PodsCrash",
    ),
    "a readiness probe": ([running(UNREADY)], "OnePod", "PodsNotReady"),
    "readiness probes of two pods": ([running(UNREADY), another(running(UNREADY))], "Checkpoint", "PodsNotReady"),
    "a check that has passed": (
        [running(RUNS, initContainerStatuses=[container("check", 1, terminated=COMPLETED)])],
        None,
        None,
    ),
    "one that comes up": (
        [
            pod(
                containerStatuses=[container(waiting={"reason": "PodInitializing"})],
                initContainerStatuses=[container("check", running={})],
            )
        ],
        None,
        None,
    ),
    "an evicted pod": (
        [pod(phase="Failed", reason="Evicted", containerStatuses=[container(terminated=KILLED)])],
        None,
        None,
    ),
    "nothing that is known": ([], None, None),
}
"""Pods, the cause and the reason."""


@pytest.mark.parametrize(("pods", "changes", "reason"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_has_nothing_to_do_with_the_checkpoint(pods: list[Any], changes: dict[str, Any], reason: str) -> None:
    finding = examine(deployment(**changes), claim(), views(*pods))
    assert finding is not None
    assert (finding.cause, finding.reason) == ("Elsewhere", reason)


@pytest.mark.parametrize(("pods", "cause", "reason"), OTHERWISE.values(), ids=OTHERWISE)
def test_what_the_volume_or_the_checkpoint_may_have_done(
    pods: list[Any], cause: Cause | None, reason: str | None
) -> None:
    finding = examine(deployment(), claim(), views(*pods))
    assert (finding.cause if finding else None, finding.reason if finding else None) == (cause, reason)


def test_a_container_that_reads_a_copy_of_the_checkpoint_may_be_proof_too() -> None:
    """An init container copies it to an emptyDir; that the service then crashes is no sidecar's affair."""
    crashed = crashing(3, CRASH)
    crashed["spec"]["initContainers"][0]["volumeMounts"].append({"name": "tmp", "mountPath": "/copy"})
    crashed["spec"]["containers"][0]["volumeMounts"] = [{"name": "tmp", "mountPath": "/copy"}]
    finding = examine(deployment(), claim(), views(crashed))
    assert finding is not None
    assert (finding.cause, finding.reason) == ("Checkpoint", "PodsCrash")


def test_an_unbound_claim_is_told_even_before_there_are_pods() -> None:
    finding = examine(deployment(), claim("Pending"), [])
    assert finding is not None
    assert (finding.cause, finding.reason) == ("Volume", "VolumePending")


def test_a_second_pod_that_is_not_ready_counts_with_the_one_of_an_earlier_try() -> None:
    finding = examine(deployment(), claim(), views(running(container(running={}))), 1)
    assert finding is not None
    assert finding.cause == "Checkpoint"


def test_the_schedulers_words_are_told_without_what_repeats_them() -> None:
    words = "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims."
    finding = examine(deployment(), claim(), views(unscheduled(words)))
    assert finding is not None
    assert "0/2 nodes are available: 2 Insufficient cpu;" in finding.message
    assert "preemption" not in finding.message
    assert "maxSurge: 0" in finding.message, "a pod more needs room: there is a way without"
    finding = examine(deployment(strategy={"type": "Recreate"}), claim(), views(unscheduled(words)))
    assert finding is not None
    assert "maxSurge" not in finding.message


def test_only_pods_of_the_newest_replica_set_with_this_checkpoint_are_looked_at() -> None:
    later = {"creationTimestamp": "2026-01-01T00:01:00Z"}
    former, other = pod("former", claim="untrained", step="0"), pod("other", step="1000")
    earlier, leaving = pod("earlier", owner="rs-1"), pod("leaving", owner="rs-2")
    leaving["metadata"].update(later, deletionTimestamp="2026-01-01T00:02:00Z")
    newer = pod("newer", owner="rs-2")
    newer["metadata"].update(later)
    assert [view.name for view in views(former, other, earlier, leaving, newer)] == ["newer"]


@pytest.mark.parametrize(
    ("want", "query"),
    [
        ({}, None),
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        (
            {
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["x", "y"]},
                    {"key": "old", "operator": "DoesNotExist"},
                    {"key": "app", "operator": "Exists"},
                    {"key": "env", "operator": "NotIn", "values": ["dev"]},
                ]
            },
            "tier in (x,y),!old,app,env notin (dev)",
        ),
    ],
)
def test_label_selectors(want: Any, query: str | None) -> None:
    assert selector(want) == query


@pytest.mark.parametrize(
    ("updated", "existing", "available", "renewed"),
    [(1, 2, 1, 0), (2, 3, 2, 1), (2, 2, 2, 2), (0, 2, 2, 0), (2, 2, 1, 1), (1, 3, 1, 0)],
)
def test_pods_of_the_former_template_are_not_counted_as_new(
    updated: int, existing: int, available: int, renewed: int
) -> None:
    status = {"replicas": existing, "updatedReplicas": updated, "availableReplicas": available}
    view = DeploymentView.of({"metadata": {"name": "serve", "uid": "u"}, "spec": {"replicas": 2}, "status": status})
    assert view.progress == f"{renewed} of 2 new pods of Deployment serve are available"
