"""CheckpointPolicies against a real API server, its Deployment controller, and a real Prometheus.

Training, snapshots and pods are played by `checkpoints.py`; that a loss is NaN is the fault, which no rule can miss.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver import checkpoints as cp
from tests.apiserver.checkpoints import Cluster, Trainers, Training
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until
from tests.prometheus.rig import Prometheus, prometheus

from devcluster import snapshots as snapshot_kinds


@pytest.fixture(scope="module")
def snapshot_api(control_plane: Any, api: Api) -> None:
    """VolumeSnapshots, as the external-snapshotter has them."""
    snapshot_kinds.install(control_plane.kubectl)


@dataclass
class Stage:
    """A namespace in which a run trains and a Deployment serves."""

    namespace: Namespace
    training: Training
    cluster: Cluster
    prometheus: Prometheus
    operator: OperatorProcess
    start: StartOperator

    def trained(self, **spec: Any) -> None:
        """Three checkpoints, the newest served."""
        cp.policy(self.namespace, **spec)
        cp.save(self.namespace, self.training, 1000, 1500, 2000)

    def break_down(self) -> None:
        """The loss is NaN from step 2100 on."""
        self.training.step, self.training.sick = 2100, True


@pytest.fixture
def stage(
    api: Api, namespace: Namespace, snapshot_api: None, start_operator: StartOperator, tmp_path: Path
) -> Iterator[Stage]:
    training = Training()
    trainers = Trainers(trainings={namespace.name: training})
    cp.serving_deployment(namespace)
    cp.run(namespace)
    with prometheus(tmp_path / "prometheus", trainers) as server, Cluster(api, namespace) as cluster:

        def start(**config: Any) -> OperatorProcess:
            endpoints = {"default": {"url": server.url, "timeout": "30s"}}
            return start_operator(prometheus={"endpoints": endpoints}, **config).ready()

        yield Stage(namespace, training, cluster, server, start(), start)


def test_checkpoints_are_kept_promoted_and_gone_back_to(stage: Stage) -> None:
    namespace = stage.namespace
    stage.trained()
    assert set(cp.snapshots(namespace)) == {1000, 1500, 2000}
    served, step = cp.serves(namespace)
    assert step == "2000"
    wait_until(lambda: cp.claims(namespace) == {served}, 30, f"claims are left: {cp.claims(namespace)}")
    claim = namespace.get(cp.CLAIMS, served)
    assert claim["spec"]["dataSource"]["kind"] == "VolumeSnapshot"
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert "ownerReferences" not in claim["metadata"]
    cp.at_rest(stage.operator, seconds=3)

    stage.break_down()
    began = time.monotonic()
    stage.prometheus.wait_for("ppo_training_step == 2100")
    seen = time.monotonic()
    wait_until(lambda: cp.serves(namespace)[1] == "1500", 30, f"no rollback: {cp.status(namespace)}")
    print(f"scraped after {seen - began:.1f} s, the claim patched {time.monotonic() - seen:.1f} s later (interval 1 s)")
    cp.until_served(namespace, 1500)
    run = namespace.get(cp.RUNS, "r")
    assert run["metadata"]["annotations"]["accord.dev/restart-from"] == "1500"
    assert run["metadata"]["annotations"]["accord.dev/restart-attempt"] == "1"
    assert cp.quarantined(namespace) == {2000}
    live = cp.status(namespace)
    record = live["history"][0]
    assert (record["phase"], record["signal"], record["fromStep"], record["toStep"]) == (
        "Done",
        "NonFinite",
        2000,
        1500,
    )
    assert (live["rollbacks"], cp.condition(namespace, "RolledBack")) == (1, ("True", "RollbackDone"))
    counted = lambda: stage.operator.metric("checkpoint_rollbacks_total", policy="p")  # noqa: E731
    wait_until(lambda: counted() == 1, 5, "the metrics do not count it")
    cp.until_told(namespace, "Promoted", "RollbackStarted", "RollbackDone", "NonFinite")

    # The next attempt goes on from there, and is followed.
    wait_until(lambda: namespace.get(cp.RUNS, "r")["status"]["attempt"] == 2, 20, "no second attempt")
    stage.training.attempt, stage.training.step, stage.training.saved, stage.training.sick = 2, 1500, 1500, False
    cp.save(namespace, stage.training, 2000, 2500)
    assert cp.status(namespace)["rollbacks"] == 1


def test_snapshots_beyond_the_retention_go(stage: Stage) -> None:
    stage.trained(retention={"max": 1})
    cp.save(stage.namespace, stage.training, 2500, 3000)
    wait_until(lambda: 1500 not in cp.snapshots(stage.namespace), 60, "an old snapshot stays")
    assert 3000 in cp.snapshots(stage.namespace)


def test_no_prometheus_no_rollback(stage: Stage) -> None:
    namespace = stage.namespace
    stage.trained()
    stage.prometheus.stop()
    cp.until_condition(namespace, "Healthy", ("Unknown", "QueryFailed"))
    time.sleep(3)
    assert cp.serves(namespace)[1] == "2000"
    assert cp.condition(namespace, "Ready") == ("True", "Serving")


def test_a_checkpoint_that_crashes_when_served_is_left_again(stage: Stage) -> None:
    namespace = stage.namespace
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"progressDeadlineSeconds": 3}})
    cp.policy(namespace)
    cp.save(namespace, stage.training, 500, 1000)
    stage.cluster.crashing.add("1500")
    stage.training.step = stage.training.saved = 1500
    wait_until(lambda: cp.quarantined(namespace) == {1500}, 60, f"not quarantined: {cp.status(namespace)}")
    cp.until_served(namespace, 1000)
    assert cp.serves(namespace)[1] == "1000"
    cp.until_told(namespace, "PromotionFailed")
    cp.save(namespace, stage.training, 2000)


FULL = "0/1 nodes are available: 1 Insufficient example.com/gpu. preemption: 0/1 nodes are available."


@pytest.mark.parametrize("kind", ["fault", "person"])
def test_a_rollback_without_room_waits_and_is_done_when_there_is_some(stage: Stage, kind: str) -> None:
    namespace = stage.namespace
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"progressDeadlineSeconds": 2}})
    stage.trained()
    stage.cluster.no_room = FULL
    if kind == "fault":
        stage.break_down()
    else:
        namespace.patch(cp.POLICIES, "p", {"spec": {"rollbackTo": 1500}})
    cp.until_condition(namespace, "Reconciling", ("True", "Unschedulable"), 60)
    message = namespace.condition("p", "Reconciling", cp.POLICIES)["message"]
    assert "1 Insufficient example.com/gpu" in message
    assert "preemption" not in message

    def gave_up() -> bool:
        conditions = (namespace.get(cp.DEPLOYMENTS, "serve").get("status") or {}).get("conditions") or ()
        return any(c.get("reason") == "ProgressDeadlineExceeded" for c in conditions)

    wait_until(gave_up, 30, "the Deployment's own deadline has not passed")
    cp.at_rest(stage.operator, seconds=3)
    assert cp.condition(namespace, "Reconciling") == ("True", "Unschedulable"), "the deadline is no matter"
    assert cp.quarantined(namespace) == set()
    live = cp.status(namespace)
    assert (live["serving"]["step"], live["rollbacks"]) == (2000, 0)
    assert namespace.get(cp.DEPLOYMENTS, "serve")["status"]["availableReplicas"] == 1, "serving goes on"

    stage.cluster.no_room = ""
    cp.until_served(namespace, 1500, 30)
    assert cp.quarantined(namespace) == {2000}
    assert cp.status(namespace)["rollbacks"] == 1


def test_a_promotion_waits_while_the_rollout_is_paused(stage: Stage) -> None:
    namespace = stage.namespace
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"progressDeadlineSeconds": 2}})
    cp.policy(namespace)
    cp.save(namespace, stage.training, 500, 1000)
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"paused": True}})
    stage.training.step = stage.training.saved = 1500
    cp.until_condition(namespace, "Reconciling", ("True", "RolloutPaused"))
    cp.at_rest(stage.operator, seconds=4)
    assert cp.condition(namespace, "Reconciling") == ("True", "RolloutPaused")
    assert cp.quarantined(namespace) == set()
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"paused": False}})
    cp.until_served(namespace, 1500)
    assert cp.quarantined(namespace) == set()


def test_a_quota_that_leaves_no_pod_is_told_and_waited_for(stage: Stage) -> None:
    namespace = stage.namespace
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"progressDeadlineSeconds": 2}})
    cp.policy(namespace)
    cp.save(namespace, stage.training, 500)
    quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "1"}}}
    namespace.create("resourcequotas", {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    wait_until(lambda: (namespace.get("resourcequotas", "pods").get("status") or {}).get("used"), 30, "no quota")
    stage.training.step = stage.training.saved = 1000
    cp.until_condition(namespace, "Reconciling", ("True", "QuotaExceeded"))
    assert "exceeded quota: pods" in namespace.condition("p", "Reconciling", cp.POLICIES)["message"]
    namespace.delete("resourcequotas", "pods")
    cp.until_served(namespace, 1000, 90)
    assert cp.quarantined(namespace) == set()


def test_two_replicas_and_a_claim_for_one_pod_are_refused_before_anything_is_touched(stage: Stage) -> None:
    namespace = stage.namespace
    source = {
        "metadata": {"name": "once"},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    namespace.create(cp.CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **source})
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"replicas": 2}})
    cp.policy(namespace, source={"claimName": "once", "selector": {"pod": "r-1-abcde"}})
    cp.until_condition(namespace, "Accepted", ("False", "OnePodOnly"))
    stage.training.step = stage.training.saved = 500
    wait_until(lambda: 500 in cp.snapshots(namespace), 30, "no snapshot")
    cp.at_rest(stage.operator)
    assert cp.condition(namespace, "Promoted") == ("False", "OnePodOnly")
    assert cp.serves(namespace) == (cp.UNTRAINED, None)
    assert cp.quarantined(namespace) == set()


def test_a_served_claim_whose_labels_were_taken_away_is_adopted_again(stage: Stage) -> None:
    namespace = stage.namespace
    stage.trained()
    served, _ = cp.serves(namespace)
    before = namespace.get(cp.CLAIMS, served)["metadata"]
    nothing = dict.fromkeys(before["labels"])
    namespace.patch(cp.CLAIMS, served, {"metadata": {"labels": nothing}})
    labels = lambda: namespace.get(cp.CLAIMS, served)["metadata"].get("labels")  # noqa: E731
    wait_until(lambda: labels() == before["labels"], 30, f"the labels are not back: {cp.status(namespace)}")
    cp.until_condition(namespace, "Ready", ("True", "Serving"))
    assert namespace.get(cp.CLAIMS, served)["metadata"]["uid"] == before["uid"]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_a_snapshot_without_its_label_is_known_and_labelled_again(stage: Stage, restart: bool) -> None:
    namespace = stage.namespace
    stage.trained()
    before, serves = cp.snapshots(namespace), cp.serves(namespace)
    if restart:
        stage.operator.terminate()
    for step in (1500, 2000):
        name = before[step]["metadata"]["name"]
        namespace.patch(cp.SNAPSHOTS, name, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    if restart:
        stage.operator = stage.start()
        stage.operator.ready()

    def labelled() -> bool:
        found = cp.snapshots(namespace)
        return all(found[step]["metadata"]["labels"] == before[step]["metadata"]["labels"] for step in (1500, 2000))

    wait_until(labelled, 30, f"the labels are not back: {cp.status(namespace)}")
    cp.at_rest(stage.operator)
    assert {s: v["metadata"]["uid"] for s, v in cp.snapshots(namespace).items()} == {
        s: v["metadata"]["uid"] for s, v in before.items()
    }
    assert cp.serves(namespace) == serves
    assert cp.condition(namespace, "Ready") == ("True", "Serving")


def test_the_target_does_not_start_and_the_one_before_is_tried(stage: Stage) -> None:
    namespace = stage.namespace
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"progressDeadlineSeconds": 3}})
    stage.trained()
    stage.cluster.crashing.add("1500")
    stage.break_down()
    cp.until_served(namespace, 1000, 60)
    assert cp.quarantined(namespace) == {1500, 2000}
    assert cp.status(namespace)["rollbacks"] == 1
    assert namespace.get(cp.RUNS, "r")["metadata"]["annotations"]["accord.dev/restart-from"] == "1000"
    cp.until_told(namespace, "RollbackReverting")


def test_no_target_starts_and_what_was_served_comes_back(stage: Stage) -> None:
    namespace = stage.namespace
    namespace.patch(cp.DEPLOYMENTS, "serve", {"spec": {"progressDeadlineSeconds": 3}})
    cp.policy(namespace)
    cp.save(namespace, stage.training, 1500, 2000)
    stage.cluster.crashing.add("1500")
    stage.break_down()
    cp.until_condition(namespace, "Stalled", ("True", "RollbackFailed"), 60)
    assert cp.serves(namespace)[1] == "2000"
    assert cp.quarantined(namespace) == {1500}
    assert cp.status(namespace)["rollbacks"] == 0
    assert "accord.dev/restart-from" not in namespace.get(cp.RUNS, "r")["metadata"].get("annotations", {})


def test_a_snapshot_that_is_never_ready_holds_nothing_else_up(stage: Stage) -> None:
    namespace = stage.namespace
    cp.policy(namespace)
    cp.save(namespace, stage.training, 500, 1000)
    stage.cluster.never_ready.add("1500")
    stage.training.step = stage.training.saved = 1500
    wait_until(lambda: 1500 in cp.snapshots(namespace), 20, "no snapshot")
    stage.training.step, stage.training.sick = 1600, True
    cp.until_served(namespace, 500)
    assert cp.status(namespace)["history"][0]["toStep"] == 500, "one that is not ready is no step back"


def test_somebody_who_insists_is_named(stage: Stage) -> None:
    namespace, api = stage.namespace, stage.namespace.api
    stage.trained()
    served = cp.serves(namespace)
    volume = {"name": "model", "persistentVolumeClaim": {"claimName": cp.UNTRAINED}}
    part = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "serve"},
        "spec": {"template": {"spec": {"volumes": [volume]}}},
    }

    def sync() -> None:
        path = namespace.path(cp.DEPLOYMENTS, "serve")
        api.call("PATCH", path, part, "application/apply-patch+yaml", fieldManager="argocd-controller", force="true")

    for _ in range(3):
        sync()
        wait_until(lambda: cp.serves(namespace) == served, 20, "not put back")
        cp.at_rest(stage.operator, seconds=0.5)
    sync()
    cp.until_condition(namespace, "Stalled", ("True", "OwnershipConflict"))
    assert "argocd-controller" in namespace.condition("p", "Stalled", cp.POLICIES)["message"]
    # And from then on nothing is written of it; the run's progress is reported all the same, every ten seconds
    cp.at_rest(stage.operator)
    concerned = ("deployments", "checkpointpolicies", "persistentvolumeclaims", "volumesnapshots", "events")
    writes = stage.operator.writes(*concerned)
    assert writes > 0
    time.sleep(2)
    assert (cp.serves(namespace)[0], stage.operator.writes(*concerned)) == (cp.UNTRAINED, writes)
    entry = next(
        e for e in namespace.get(cp.DEPLOYMENTS, "serve")["metadata"]["managedFields"] if e["manager"] == "accord"
    )
    assert set(entry["fieldsV1"]["f:spec"]["f:template"]) == {"f:metadata", "f:spec"}, "one field and one annotation"


def test_a_deployment_that_comes_back_with_gits_claim_is_put_right(stage: Stage) -> None:
    namespace = stage.namespace
    stage.trained()
    served = cp.serves(namespace)
    namespace.delete(cp.DEPLOYMENTS, "serve")
    cp.until_condition(namespace, "Ready", ("False", "DeploymentNotFound"))
    wait_until(lambda: namespace.get(cp.DEPLOYMENTS, "serve") is None, 20, "still there")
    cp.serving_deployment(namespace)
    wait_until(lambda: cp.serves(namespace) == served, 20, "not put right")


def test_a_policy_that_goes_leaves_what_is_served_and_one_that_comes_finds_it(stage: Stage) -> None:
    namespace = stage.namespace
    stage.trained()
    served, kept = cp.serves(namespace), set(cp.snapshots(namespace))
    namespace.delete(cp.POLICIES, "p")
    time.sleep(2)
    assert (cp.serves(namespace), set(cp.snapshots(namespace))) == (served, kept)
    assert namespace.get(cp.CLAIMS, served[0])["metadata"].get("deletionTimestamp") is None
    cp.policy(namespace)
    cp.until_served(namespace, 2000)
    assert cp.serves(namespace) == served


def test_a_run_made_anew_does_not_replace_what_an_earlier_one_has_learnt(stage: Stage) -> None:
    namespace = stage.namespace
    stage.trained()
    served = cp.serves(namespace)
    earlier = cp.status(namespace)["serving"]["training"]
    # When a run of the same name begins anew, and has saved nothing. Its pods are told from those before by their age,
    # as far as clocks may be apart.
    series = f'ppo_training_step{{namespace="{namespace.name}"}}'
    stage.prometheus.wait_for(f"time() - min_over_time(timestamp({series})[5m:1s]) > 32")
    namespace.delete(cp.RUNS, "r")
    stage.training.step, stage.training.saved, stage.training.reward, stage.training.pod = 0, 0, 1.0, "fghij"
    cp.run(namespace)
    cp.until_condition(namespace, "Promoted", ("False", "NoCheckpoint"))
    assert "latestStep" not in cp.status(namespace)
    # Then what is served stays, also when its first checkpoint comes, which is not as good
    stage.training.step = stage.training.saved = 500
    cp.until_condition(namespace, "Promoted", ("False", "EarlierTraining"))
    assert (cp.serves(namespace), cp.status(namespace)["latestStep"]) == (served, 500)
    labels = cp.snapshots(namespace)[500]["metadata"]["labels"]
    assert labels["accord.dev/run-uid"] == namespace.get(cp.RUNS, "r")["metadata"]["uid"]
    # When somebody asks for it, it is served
    namespace.patch(cp.POLICIES, "p", {"spec": {"serving": {"newRun": "Immediately"}}})
    cp.until_served(namespace, 500)
    assert cp.status(namespace)["serving"]["training"] != earlier


def test_approval_by_the_command(stage: Stage, control_plane: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from accord.cli import main

    namespace = stage.namespace
    stage.trained(rollback={"approval": "Manual"})
    approve = ["approve", "p", "-n", namespace.name, "--kubeconfig", str(control_plane.kubeconfig)]
    assert main(approve) == 1
    assert "no rollback of p is in progress" in capsys.readouterr().err
    stage.break_down()
    cp.until_condition(namespace, "Stalled", ("True", "AwaitingApproval"))
    time.sleep(2)
    assert cp.serves(namespace)[1] == "2000"
    assert main(approve) == 0
    assert "back to step 1500" in capsys.readouterr().out
    cp.until_served(namespace, 1500)


def test_a_training_rests_while_its_rollback_waits_and_goes_on_when_that_is_rejected(
    stage: Stage, control_plane: Any
) -> None:
    from accord.cli import main

    namespace = stage.namespace
    stage.trained(rollback={"approval": "Manual"})

    def suspended() -> bool:
        return bool(namespace.get("batch/v1/jobs", "r-1")["spec"]["suspend"])

    assert not suspended()
    stage.break_down()
    wait_until(suspended, 30, "it trains on")
    until_suspended = "the run does not say why it rests"
    wait_until(lambda: namespace.condition("r", "Suspended", cp.RUNS).get("status") == "True", 20, until_suspended)
    said = namespace.condition("r", "Suspended", cp.RUNS)
    assert said["reason"] == "AwaitingApproval"
    assert "CheckpointPolicy p" in said["message"]
    # An operator that begins anew keeps it as it is.
    stage.operator.kill()
    operator = stage.start()
    cp.at_rest(operator)
    assert suspended()
    assert namespace.get(cp.RUNS, "r")["spec"]["suspend"] is False, "the field is the user's"
    approve = ["approve", "p", "-n", namespace.name, "--kubeconfig", str(control_plane.kubeconfig), "--reject"]
    assert main(approve) == 0
    wait_until(lambda: not suspended(), 20, f"it does not go on: {namespace.get(cp.RUNS, 'r')['status']}")
    assert namespace.get(cp.RUNS, "r")["status"]["attempt"] == 1


def test_two_replicas_make_one_rollback(stage: Stage) -> None:
    """The leader dies in the middle of it; the other one ends it."""
    namespace = stage.namespace
    stage.trained()
    stage.operator.terminate()
    election = {"enabled": True, "leaseDuration": "2s", "renewDeadline": "1500ms", "retryPeriod": "200ms"}
    replicas = [stage.start(name=name, leaderElection=election) for name in ("one", "two")]
    stage.break_down()
    wait_until(lambda: "rollback" in cp.status(namespace), 30, "no rollback")
    # On a busy machine a Lease this short may be nobody's for a moment.
    leader = wait_until(lambda: next((r for r in replicas if r.leads), None), 20, "nobody leads")
    leader.kill()
    cp.until_served(namespace, 1500)
    live = cp.status(namespace)
    assert (live["rollbacks"], len(live["history"])) == (1, 1)
    wait_until(lambda: namespace.get(cp.RUNS, "r")["status"]["attempt"] == 2, 20, "no second attempt")
    time.sleep(1)
    assert namespace.get(cp.RUNS, "r")["status"]["attempt"] == 2


def test_the_snapshot_api_comes_and_goes(
    api: Api, namespace: Namespace, control_plane: Any, start_operator: StartOperator
) -> None:
    """On a cluster without it the operator works, and says what is missing."""
    kinds = [f"{kind}.{snapshot_kinds.GROUP}" for kind in snapshot_kinds.KINDS]
    control_plane.kubectl("delete", "crd", "--ignore-not-found", *kinds)
    operator = start_operator().ready()
    cp.serving_deployment(namespace)
    cp.run(namespace)
    cp.policy(namespace)
    cp.until_condition(namespace, "Accepted", ("False", "SnapshotsUnavailable"))
    namespace.deployment("a")
    namespace.policy("traffic", {"a": 100})
    namespace.settled("traffic")
    snapshot_kinds.install(control_plane.kubectl)
    cp.until_condition(namespace, "Accepted", ("True", "Accepted"), 60)
    control_plane.kubectl("delete", "crd", *kinds)
    cp.until_condition(namespace, "Accepted", ("False", "SnapshotsUnavailable"), 90)
    namespace.delete("services", "traffic-a")
    wait_until(lambda: namespace.get("services", "traffic-a"), 60, "the other watches do not work any more")
    snapshot_kinds.install(control_plane.kubectl)
    cp.until_condition(namespace, "Accepted", ("True", "Accepted"), 90)
    assert operator.process.poll() is None
