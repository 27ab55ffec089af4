"""What is promoted, kept and put back; and who else may have the Deployment."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.unit.checkpoint.checkpoint_world import DEPLOYMENT, NS, POLICY, SOURCE, UNTRAINED, World

from accord.domain.plan import ObjectKey
from accord.ports.cluster import ClusterError


def trained(**spec: Any) -> World:
    world = World(**spec)
    world.save(500, 1000, 1500, 2000)
    return world


def step(world: World) -> str | None:
    return world.serves[1]


def claim_of(world: World) -> Any:
    return world.objects[ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0])]


def test_the_claim_takes_after_the_trainers_and_outlives_the_policy() -> None:
    world = trained()
    claim = claim_of(world)
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "12Gi", "restoreSize is more than the trainer asked for"
    assert claim["spec"]["dataSource"]["kind"] == "VolumeSnapshot"
    labels = claim["metadata"]["labels"]
    assert (labels["accord.dev/step"], labels["accord.dev/attempt"], labels["accord.dev/run"]) == ("2000", "1", "r")
    for manifest in world.objects.values():
        assert "ownerReferences" not in manifest["metadata"]


def test_promotions_keep_their_distance() -> None:
    world = World(serving={"minInterval": "10m"})
    world.save(500)
    assert step(world) == "500", "the first one is not made to wait"
    world.save(1000, 1500)
    assert step(world) == "500"
    assert world.condition("Promoted") == ("False", "Waiting")
    world.advance(600, checked=True)
    assert step(world) == "1500"


def test_the_best_is_served_until_there_is_a_better_one() -> None:
    world = World(serving={"follow": "Best"}, bestModel={"metric": "Loss"})
    world.save(500, 1000)
    assert step(world) == "500", "all have the same loss: the first one stays"
    world = World(serving={"follow": "Best"})
    world.save(500, 1000)
    assert step(world) == "1000"
    assert world.status["bestValue"] == 1.0


def test_by_hand() -> None:
    world = trained(serving={"follow": "Manual"})
    assert world.serves == (UNTRAINED, None)
    assert world.condition("Ready") == ("True", "NoCheckpoint")
    serving = world.objects[POLICY]["spec"]["serving"]
    world.edit(serving={**serving, "step": 1000})
    world.settle()
    assert step(world) == "1000"
    world.edit(serving={**serving, "step": 1234})
    world.settle()
    assert step(world) == "1000"
    assert world.condition("Stalled") == ("True", "NoSuchCheckpoint")


def test_a_checkpoint_that_pods_do_not_start_with_is_quarantined_and_the_next_is_served() -> None:
    world = World()
    world.save(500)
    world.crashing.add(1000)
    world.check(saved=(500, 1000))
    world.settle()
    assert world.condition("Reconciling") == ("True", "RollingOut")
    world.advance(100)
    assert step(world) == "500"
    assert {int(name.split("-")[1]) for name in world.quarantined()} == {1000}
    assert world.condition("Ready") == ("True", "Serving")
    assert "PromotionFailed" in world.reasons()
    world.save(1500)
    assert step(world) == "1500"


def test_the_first_promotion_fails_and_the_users_own_claim_comes_back() -> None:
    world = World()
    world.crashing.add(500)
    world.check(saved=(500,))
    world.settle()
    world.advance(100)
    assert world.serves == (UNTRAINED, "0")


def test_a_deployment_that_comes_back_with_gits_claim_is_put_right() -> None:
    world = trained()
    served = world.serves
    world.delete_object(DEPLOYMENT)
    world.settle()
    assert world.condition("Ready") == ("False", "DeploymentNotFound")
    world.deploy()
    world.settle()
    assert world.serves == served
    assert world.condition("Ready") == ("True", "Serving")


def test_a_change_back_that_is_refused_is_no_contest() -> None:
    """It was never made, so nobody has undone it."""
    world = trained()
    served = world.serves
    denied = 'admission webhook "freeze.example.com" denied the request: no change on a Friday'
    world.refuse_changes["Deployment"] = ClusterError(403, "Forbidden", denied)
    world.set_claim("from-git")
    for _ in range(5):
        world.pass_()
    assert world.condition("Stalled") == ("True", "Forbidden")
    assert "no change on a Friday" in world.message("Stalled")
    world.refuse_changes.clear()
    world.settle()
    assert (world.serves, world.condition("Ready")) == (served, ("True", "Serving"))


def test_somebody_who_insists_gets_his_way_and_is_named() -> None:
    world = trained()
    served = world.serves
    for _ in range(3):
        world.set_claim("from-git")
        world.settle()
        assert world.serves == served
    assert world.condition("Ready") == ("True", "Serving")
    world.set_claim("from-git")
    world.settle()
    assert world.serves[0] == "from-git"
    assert world.condition("Stalled") == ("True", "OwnershipConflict")
    assert "argocd-controller" in world.message("Stalled")
    writes = len(world.writes)
    world.advance(600)
    assert len(world.writes) == writes
    world.advance(3600)
    assert world.serves == served, "after an hour it is tried again"
    world.set_claim("from-git")
    world.settle()
    for _ in range(3):
        world.set_claim("from-git")
        world.settle()
    assert world.condition("Stalled") == ("True", "OwnershipConflict")
    world.edit(retention={"max": 10})
    world.settle()
    assert world.serves == served, "a change of the spec is a person who has looked"


def test_edits_that_are_far_apart_are_just_put_back() -> None:
    world = trained()
    served = world.serves
    for _ in range(6):
        world.set_claim("by-hand", "kubectl-edit")
        world.settle()
        assert world.serves == served
        world.advance(240)


def test_two_policies_do_not_share_a_deployment() -> None:
    world = trained()
    world.advance(5)
    other = ObjectKey(POLICY.api_version, POLICY.kind, NS, "a-later-one")
    spec = copy.deepcopy(world.objects[POLICY]["spec"])
    world.put(other, {"spec": spec})
    policy = world.kind.plan(world.objects[other], {}, world.now_)
    assert policy.status is not None
    said = {c["type"]: (c["status"], c["reason"]) for c in policy.status["conditions"]}
    assert said["Stalled"] == ("True", "DeploymentTaken")
    assert policy.patch == ()
    world.settle()
    assert world.condition("Ready") == ("True", "Serving")


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [([], "VolumeNotFound"), ([{"name": "model", "emptyDir": {}}], "VolumeNotAClaim")],
)
def test_a_deployment_without_that_volume(volumes: list[Any], reason: str) -> None:
    world = World()
    live = copy.deepcopy(world.objects[DEPLOYMENT])
    live["spec"]["template"]["spec"]["volumes"] = volumes
    world.put(DEPLOYMENT, live, changed=True)
    world.save(500)
    assert world.condition("Stalled") == ("True", reason)
    assert len(world.names("VolumeSnapshot")) == 1, "checkpoints are kept all the same"


def test_a_claim_that_is_in_use_is_not_deleted() -> None:
    world = World()
    world.save(500)
    former = world.serves[0]
    world.in_use.add(former)
    world.save(1000)
    assert former in world.names("PersistentVolumeClaim")
    assert world.pass_().requeue_after is not None
    world.in_use.clear()
    world.settle()
    assert former not in world.names("PersistentVolumeClaim")


def test_a_claim_that_another_deployment_mounts_is_not_deleted() -> None:
    world = World()
    world.save(500)
    former = world.serves[0]
    canary = ObjectKey("apps/v1", "Deployment", NS, "canary")
    pod = {"volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": former}}], "containers": []}
    world.put(canary, {"spec": {"replicas": 1, "template": {"metadata": {}, "spec": pod}}})
    world.save(1000)
    assert former in world.names("PersistentVolumeClaim")
    world.delete_object(canary)
    world.settle()
    assert former not in world.names("PersistentVolumeClaim")


def test_a_claim_that_was_deleted_by_hand_is_made_again() -> None:
    world = trained()
    world.delete_object(ObjectKey("v1", "PersistentVolumeClaim", NS, world.serves[0]))
    world.settle()
    assert world.serves[0] in world.names("PersistentVolumeClaim")


def test_a_quota_on_claims_is_told_and_mends() -> None:
    world = World()
    world.refuse["PersistentVolumeClaim"] = ClusterError(403, "Forbidden", "exceeded quota: claims")
    world.check(saved=(500,))
    for _ in range(6):
        world.pass_()
        world.controllers()
    assert world.serves == (UNTRAINED, None)
    assert world.condition("Stalled") == ("True", "QuotaExceeded")
    world.refuse.clear()
    world.settle()
    assert step(world) == "500"


def test_the_deployment_is_gone_when_the_policy_is_made_anew() -> None:
    world = trained()
    served = world.serves
    world.delete_object(POLICY)
    assert world.serves == served
    world.advance(1)
    world.create_policy()
    world.start()
    world.settle()
    assert world.serves == served
    assert world.status["serving"]["step"] == 2000, "what is served is told by the labels of its claim"
    assert SOURCE in world.objects
