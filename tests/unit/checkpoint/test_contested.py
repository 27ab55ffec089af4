"""Somebody changes back what a policy writes into objects of others: it tries a few times, stops, and says who."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.unit.checkpoint.checkpoint_world import DEPLOYMENT, POLICY, RUN, UNTRAINED, World

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey

TEN_MINUTES = 600


def git_has_it(manifest: Manifest) -> Manifest:
    """A webhook that lets no other claim in than Git's."""
    if manifest["kind"] == "Deployment":
        volume = manifest["spec"]["template"]["spec"]["volumes"][0]
        volume["persistentVolumeClaim"]["claimName"] = UNTRAINED
    return manifest


def written(world: World, key: ObjectKey) -> int:
    return world.writes.count(f"apply {key.kind} {key.name}")


def passes(world: World, number: int, after: Callable[[], None] = lambda: None) -> None:
    """Passes, one a second, whatever they say; `after` is what somebody does after each."""
    for _ in range(number):
        assert not world.pass_().failed
        after()
        world.controllers()
        world.now_ += timedelta(seconds=1)


def about_to_serve(admit: Callable[[Manifest], Manifest] = lambda manifest: manifest) -> World:
    """The first checkpoint has been saved."""
    world = World()
    world.admit = admit
    world.check(saved=(500,))
    return world


def trained() -> World:
    world = World()
    world.save(500, 1000, 1500, 2000)
    return world


def test_a_claim_name_that_a_webhook_puts_back_is_left_alone_and_named() -> None:
    world = about_to_serve(git_has_it)
    passes(world, 100)
    assert written(world, DEPLOYMENT) == 5
    assert world.serves[0] == UNTRAINED
    assert world.condition("Ready") == ("False", "OwnershipConflict")
    assert world.condition("Stalled") == ("True", "OwnershipConflict")
    field = "spec.template.spec.volumes[model].persistentVolumeClaim.claimName"
    assert world.message("Stalled").startswith(f"Deployment serve: {field} is changed by a mutating admission webhook")
    assert world.reasons().count("OwnershipConflict") == 1
    # When ten minutes are over, then it is tried again, a few times
    world.advance(TEN_MINUTES)
    assert written(world, DEPLOYMENT) == 10
    assert world.reasons().count("OwnershipConflict") == 1
    # When the webhook is gone, then that is all there was to it
    world.admit = lambda manifest: manifest
    world.advance(TEN_MINUTES)
    assert written(world, DEPLOYMENT) == 11
    assert (world.serves[1], world.condition("Ready")) == ("500", ("True", "Serving"))
    assert world.condition("Stalled") == ("", "")


def test_what_is_saved_meanwhile_is_kept_all_the_same() -> None:
    world = about_to_serve(git_has_it)
    world.settle()
    world.check(saved=(500, 1000))
    world.settle()
    assert {name.split("-")[1] for name in world.names("VolumeSnapshot")} == {"500", "1000"}


def test_a_client_that_is_faster_than_the_next_look_is_named() -> None:
    """The field is never seen as it was written, so that nothing counts as put back."""
    world = about_to_serve()
    claims: list[str] = []

    def revert() -> None:
        if world.serves[0] != UNTRAINED:
            claims.append(world.serves[0])
            world.set_claim(UNTRAINED, "argocd-controller")

    passes(world, 100, revert)
    assert len(claims) == written(world, DEPLOYMENT) == 5
    assert world.condition("Stalled") == ("True", "OwnershipConflict")
    assert "argocd-controller keeps reverting spec.template.spec.volumes[model]" in world.message("Stalled")
    assert world.status.get("putBack", []) == []


def test_who_reverts_what_was_served_is_counted_once() -> None:
    """Three times in the status, which a new leader reads too; the brake in memory is not reached by that."""
    world = trained()
    before = written(world, DEPLOYMENT)
    for _ in range(4):
        world.set_claim("from-git")
        world.settle()
    assert written(world, DEPLOYMENT) == before + 3
    assert "3 times" in world.message("Stalled")
    # When a person has looked, then it is tried again, however often the person looks
    for number in range(3):
        world.edit(retention={"max": 10 + number})
        world.settle()
        assert written(world, DEPLOYMENT) == before + 4 + number
        world.set_claim("from-git")
        world.settle()
        assert "3 times" in world.message("Stalled")


@pytest.mark.parametrize("by", ["a client", "a webhook"])
def test_annotations_of_the_run_that_are_removed_each_time(by: str) -> None:
    world = trained()

    def bare(manifest: Manifest) -> Manifest:
        if manifest["kind"] == "TrainingRun":
            manifest["metadata"]["annotations"] = {}
        return manifest

    def remove() -> None:
        run = copy.deepcopy(world.objects[RUN])
        if run["metadata"].get("annotations"):
            run["metadata"]["annotations"] = {}
            world.put(RUN, run)

    if by == "a webhook":
        world.admit = bare
    world.fail(1600)
    passes(world, 100, remove)
    assert written(world, RUN) == 5
    assert world.condition("Stalled") == ("True", "OwnershipConflict")
    who = "another client keeps reverting {}" if by == "a client" else "{} is changed by a mutating admission webhook"
    words = who.format("metadata.annotations.accord.dev/restart-from")
    assert world.message("Stalled").startswith(f"TrainingRun r: {words}")
    assert world.status["rollback"]["phase"] == "Restarting"
    # When that ends, then so does the rollback
    world.admit = lambda manifest: manifest
    world.advance(TEN_MINUTES)
    assert world.status["history"][0]["phase"] == "Done"
    assert world.condition("Stalled") == ("", "")


def test_labels_of_the_served_claim_that_are_removed_each_time() -> None:
    world = trained()
    claim = ObjectKey("v1", "PersistentVolumeClaim", POLICY.namespace, world.serves[0])

    def strip() -> None:
        live = copy.deepcopy(world.objects[claim])
        if live["metadata"]["labels"]:
            live["metadata"]["labels"] = {}
            world.put(claim, live)

    before = written(world, claim)
    passes(world, 100, strip)
    assert written(world, claim) == before + 5
    assert world.condition("Stalled") == ("True", "OwnershipConflict")
    assert world.message("Stalled").startswith(f"PersistentVolumeClaim {claim.name}: another client keeps reverting")
    assert world.serves[0] == claim.name
