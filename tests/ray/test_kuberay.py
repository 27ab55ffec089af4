"""TrainingRuns as RayJobs of a real KubeRay: what it makes of them, how their attempts end, and never two at work."""

from __future__ import annotations

from pathlib import Path

from devcluster.controlplane import ControlPlane
from tests.apiserver import rights
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, wait_until
from tests.apiserver.test_operator_training import RUNS
from tests.ray.rig import (
    ENOUGH,
    JOBS,
    RAY_CLUSTERS,
    RAY_JOBS,
    Dashboard,
    end_as_told,
    ends,
    most_at_work,
    pods,
    run,
    submitted,
    train,
    training,
    until,
)


def version(namespace: Namespace) -> str:
    return str(namespace.api.get(namespace.path("pods"))["metadata"]["resourceVersion"])


def test_a_run_outlives_its_head_finishes_and_leaves_nothing(
    namespace: Namespace, start: StartOperator, dashboard: Dashboard
) -> None:
    since = version(namespace)
    operator = start().ready()
    train(namespace, backoffLimit=1)
    first = submitted(namespace, dashboard, 1)

    # What KubeRay has made of it.
    assert first["head"]["metadata"]["name"].startswith("r-1-")
    container = first["head"]["spec"]["containers"][0]
    assert container["name"] == "trainer"
    assert "ray start --head" in container["args"][0]
    assert "train.py" not in container["args"][0]
    assert container["lifecycle"]["preStop"]["exec"]["command"][-1] == "r-1"
    assert {"name": "RAY_AUTH_MODE", "value": "disabled"} in first["worker"]["spec"]["containers"][0]["env"]
    (command,) = first["submitter"]["spec"]["containers"][0]["args"]
    assert "--submission-id r-1" in command
    assert "-- python train.py --name 'a b' ;" in command
    status = until(namespace, "Starting", "RayJob r-1 is starting")
    assert (status["phase"], status["jobRef"]) == ("Pending", {"name": "r-1"})

    run(namespace, first["submitter"])
    dashboard.jobs["r-1"] = "RUNNING"
    status = until(namespace, "Running", "attempt 1 is training, 1 of 1 workers running")
    assert status["phase"] == "Running"
    operator.until_at_rest()

    # A worker that is lost is made anew, and the training goes on.
    ends(namespace, first["worker"], 1)
    wait_until(
        lambda: (
            pods(namespace, 1).get("worker", first["worker"])["metadata"]["uid"] != first["worker"]["metadata"]["uid"]
        ),
        ENOUGH,
        "KubeRay makes no other worker",
    )
    until(namespace, "Running", "attempt 1 is training, 0 of 1 workers running")
    run(namespace, pods(namespace, 1)["worker"])
    until(namespace, "Running", "attempt 1 is training, 1 of 1 workers running")

    # The head is lost. Nothing answers any more, and to KubeRay the job runs. A worker works on for a while.
    dashboard.is_silent = True
    ends(namespace, first["head"], 137)
    status = until(namespace, "Retrying", "attempt 2 resumes from the newest checkpoint when all pods")
    assert status["failedPods"] == 1
    wait_until(lambda: namespace.get(RAY_JOBS, "r-1") is None, ENOUGH, "the RayJob of a lost head stays")
    end_as_told(namespace, 1, "submitter")
    until(namespace, "Retrying")
    assert not namespace.api.items(namespace.path(RAY_JOBS)), "a worker is still at work"
    end_as_told(namespace, 1, "worker")

    # The next attempt runs to its end.
    dashboard.is_silent = False
    second = training(namespace, dashboard, 2)
    made = namespace.get(RAY_JOBS, "r-2")
    assert made["metadata"]["annotations"]["accord.dev/failed-pods-before"] == "1"
    dashboard.jobs["r-2"] = "SUCCEEDED"
    ends(namespace, second["submitter"], 0)
    status = until(namespace, "Succeeded")
    assert (status["phase"], status["attempt"], status["failedPods"]) == ("Succeeded", 2, 1)
    end_as_told(namespace, 2, "head", "worker")
    assert most_at_work(namespace, since) == 1

    # Deleted, it leaves nothing but its checkpoints.
    namespace.delete(RUNS, "r")

    def left() -> list[str]:
        collections = (RAY_JOBS, RAY_CLUSTERS, JOBS, "pods", "services")
        found = [item for each in collections for item in namespace.api.items(namespace.path(each))]
        return [item["metadata"]["name"] for item in found]

    wait_until(lambda: not left(), ENOUGH, "something is left of the run")
    (claim,) = namespace.api.items(namespace.path("persistentvolumeclaims"))
    assert claim["metadata"]["name"] == "r-checkpoints"


def test_a_failed_submission_a_suspension_and_a_failed_driver(
    namespace: Namespace, start: StartOperator, dashboard: Dashboard
) -> None:
    since = version(namespace)
    start().ready()
    train(namespace, backoffLimit=1)

    # A submission that fails is a failed attempt. The next one waits for the last pod of the cluster to end.
    first = submitted(namespace, dashboard, 1)
    ends(namespace, first["submitter"], 1)
    status = until(namespace, "Retrying", "the Ray job failed (SubmissionFailed)")
    assert status["failedPods"] == 1
    end_as_told(namespace, 1, "head")
    until(namespace, "Retrying")
    assert len(namespace.api.items(namespace.path(RAY_JOBS))) == 1, "a worker is still at work"
    end_as_told(namespace, 1, "worker")
    training(namespace, dashboard, 2)

    # Suspended, the job is told to stop, the RayJob goes, and its pods end.
    namespace.patch(RUNS, "r", {"spec": {"suspend": True}})
    until(namespace, "Suspending")
    wait_until(lambda: "r-2" in dashboard.stopped, ENOUGH, "the driver is not told to stop")
    end_as_told(namespace, 2, "head", "worker", "submitter")
    status = until(namespace, "Suspended")
    assert (status["phase"], status["attempt"], status["failedPods"]) == ("Suspended", 2, 1)

    # Resumed, the next attempt goes on; its driver fails once too often.
    namespace.patch(RUNS, "r", {"spec": {"suspend": False}})
    third = training(namespace, dashboard, 3)
    dashboard.jobs["r-3"] = "FAILED"
    ends(namespace, third["submitter"], 1)
    status = until(namespace, "AppFailed", "the Ray job failed (AppFailed)")
    assert (status["phase"], status["attempt"], status["failedPods"]) == ("Failed", 3, 2)
    end_as_told(namespace, 3, "head", "worker")
    assert most_at_work(namespace, since) == 1
    assert not pods(namespace, 4)


def test_of_ray_jobs_the_operators_account_writes_only_those_of_runs(
    plane: ControlPlane, plane_api: Api, namespace: Namespace, tmp_path: Path
) -> None:
    rights.give(plane_api, namespace.name, namespace.name)
    try:
        held = Api(rights.kubeconfig(plane_api, plane.kubeconfig, namespace.name, tmp_path))
        template = {"template": {"spec": {"containers": [{"name": "ray", "image": "example/ray:1"}]}}}
        cluster = {"headGroupSpec": {"rayStartParams": {}, **template}}
        spec = {"entrypoint": "true", "suspend": True, "shutdownAfterJobFinishes": True, "rayClusterSpec": cluster}
        body = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "theirs"}, "spec": spec}
        namespace.create(RAY_JOBS, body)
        theirs = namespace.path(RAY_JOBS, "theirs")
        more, only = "only if a policy or run controls them", "only rayjobs that it created"

        def is_held(why: str, method: str, path: str, body: object = None) -> bool:
            """The API server takes a moment to know of the policy, and of the account's role."""
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            try:
                held.call(method, path, body, kind, dryRun="All")
            except AssertionError as refused:
                return why in str(refused)
            return False

        another = {**body, "metadata": {"name": "another"}}
        owner = {
            "apiVersion": "accord.dev/v1alpha1",
            "kind": "TrainingRun",
            "name": "r",
            "uid": "u",
            "controller": True,
        }
        change = {"metadata": {"ownerReferences": [owner]}, "spec": {"entrypoint": "false"}}
        wait_until(lambda: is_held(more, "POST", namespace.path(RAY_JOBS), another), 60, "it may make any")
        wait_until(lambda: is_held(only, "PATCH", theirs, change), 60, "it may change any")
        wait_until(lambda: is_held(only, "DELETE", theirs), 60, "it may delete any")
    finally:
        rights.take_away(plane_api, namespace.name)
