"""Accord under a real Flux: what it installs, waits for, leaves alone, and takes away."""

from __future__ import annotations

from tests.apiserver import checkpoints as cp
from tests.apiserver.rig import Api, wait_until
from tests.flux.documented import NAMESPACE, of_team
from tests.flux.rig import Flux, GitServer, Kustomization
from tests.gitops.repository import Repository, timed
from tests.gitops.scene import CRDS, KINDS, Scene, only_the_kinds_are_left


class Work:
    """A team's repository and its Kustomization, as the how-to shows it, but for what is named in `without`."""

    def __init__(self, flux: Flux, git: GitServer, team: Scene, without: str = "") -> None:
        self.team, self.namespace = team, team.namespace
        self.repository = Repository(team.manifests.folder.parent)
        self.repository.commit("a policy")
        body = of_team(team.namespace.name, "serve")
        body["spec"].pop(without, None)
        self.kustomization = Kustomization(flux, body, git.url(self.repository))

    def commit(self, file: str, old: str, new: str) -> None:
        """A change, until Flux has applied it and all of it is healthy."""
        self.team.manifests.edit(file, old, new)
        revision = self.repository.commit("a change")
        self.kustomization.until_applied(revision)


def test_it_installs_accord_and_waits_until_a_run_trains(flux: Flux, git: GitServer, team: Scene) -> None:
    namespace = team.namespace
    crd = namespace.api.get(f"{CRDS}/{KINDS[0]}")
    assert "kustomize-controller" in {field["manager"] for field in crd["metadata"]["managedFields"]}
    team.cluster.no_room = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    with timed("from a team's Kustomization to a TrainingRun that waits for room"):
        kustomization = Work(flux, git, team).kustomization
        waits = lambda: namespace.condition("r", "Ready", cp.RUNS).get("reason") == "Unschedulable"  # noqa: E731
        kustomization.until(waits, "the run does not say why it waits")
    kustomization.until(lambda: kustomization.ready[:2] == ("Unknown", "Progressing"), "Flux does not wait")
    with timed("from room for its pod to a Kustomization that is Ready"):
        team.cluster.no_room = ""
        kustomization.until_ready()
    assert cp.condition(namespace, "Promoted") == ("False", "NoCheckpoint")
    team.report(500)
    cp.until_served(namespace, 500, 120)
    kustomization.reconcile()
    assert cp.serves(namespace)[1] == "500"


def test_a_rollback_survives_all_that_flux_does(flux: Flux, git: GitServer, team: Scene) -> None:
    namespace = team.namespace
    work = Work(flux, git, team)
    kustomization = work.kustomization
    cp.until_condition(namespace, "Promoted", ("False", "NoCheckpoint"), 120)
    served = team.rolled_back()
    kustomization.until_ready()
    before = team.revision
    with timed("flux reconcile"):
        kustomization.reconcile()
    assert cp.serves(namespace) == served
    with timed("a commit that changes the image of the serving pods, until it is applied"):
        work.commit("serving.yaml", "example/app:1", "example/app:2")
    assert (team.image, cp.serves(namespace)) == ("example/app:2", served)
    kustomization.reconcile()
    # A claim that was reverted and put back would count as two more.
    assert team.revision == before + 1, "the image is all that anybody has changed"
    assert (team.health, cp.status(namespace)["rollbacks"]) == (("True", "Serving"), 1)
    assert not cp.status(namespace).get("putBack")


def test_without_the_claim_in_git_an_older_flux_leaves_it_alone(flux: Flux, git: GitServer, team: Scene) -> None:
    namespace = team.namespace
    work = Work(flux, git, team, without="ignore")
    kustomization = work.kustomization
    kustomization.until_ready()
    kustomization.suspend(yes=True)
    team.report(500)
    cp.until_served(namespace, 500, 120)
    team.manifests.edit("serving.yaml", "\n          persistentVolumeClaim: {claimName: untrained}", "")
    revision = work.repository.commit("without the claim")
    kustomization.until_fetched(revision)
    kustomization.suspend(yes=False)
    kustomization.until_applied(revision)
    served = team.rolled_back()
    kustomization.reconcile()
    work.commit("serving.yaml", "example/app:1", "example/app:2")
    assert (team.image, cp.serves(namespace)) == ("example/app:2", served)
    assert not cp.status(namespace).get("putBack")


def test_without_either_the_fight_is_named(flux: Flux, git: GitServer, team: Scene) -> None:
    namespace = team.namespace
    Work(flux, git, team, without="ignore")
    cp.until_condition(namespace, "Promoted", ("False", "NoCheckpoint"), 120)
    team.report(500)
    with timed("a fight with Flux, until it is named"):
        cp.until_condition(namespace, "Stalled", ("True", "OwnershipConflict"), 300)
    said = namespace.condition("p", "Stalled", cp.POLICIES)["message"]
    assert said.startswith("kustomize-controller reverted claimName of volume model in Deployment serve 3 times")


def test_an_end_that_leaves_nothing_hanging(flux: Flux, git: GitServer, team: Scene) -> None:
    namespace = team.namespace
    kustomization = Work(flux, git, team).kustomization
    cp.until_condition(namespace, "Promoted", ("False", "NoCheckpoint"), 120)
    team.trained()
    kustomization.until_ready()
    kept = set(cp.snapshots(namespace))
    with timed("from the deletion of the Kustomization until all of it is gone"):
        kustomization.delete()
        team.until_gone()
    # As the how-to says, checkpoints outlive their policy.
    team.keeps(kept)


def test_without_the_operator_the_kinds_stay(accord: Kustomization, flux_api: Api) -> None:
    with timed("from the deletion of Accord's Kustomization until it is gone"):
        accord.delete()
        there = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
        wait_until(lambda: flux_api.items(there) == [], 60, "the operator is left")
    only_the_kinds_are_left(flux_api, NAMESPACE)
