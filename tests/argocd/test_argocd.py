"""Accord under a real Argo CD with self-heal on: what it installs, waits for, leaves alone, shows, and takes away."""

from __future__ import annotations

from typing import Any

import pytest
from tests.apiserver import checkpoints as cp
from tests.apiserver.rig import Api
from tests.argocd.installation import NAMESPACE, ignored
from tests.argocd.rig import Application, ArgoCD, application
from tests.gitops.repository import Repository, timed
from tests.gitops.scene import CRDS, KINDS, Scene, only_the_kinds_are_left


class Work:
    """A team's repository and its Application."""

    def __init__(self, argocd: ArgoCD, team: Scene, **spec: Any) -> None:
        self.team, self.namespace = team, team.namespace
        self.repository = Repository(team.manifests.folder.parent)
        self.repository.commit("a policy")
        name = team.namespace.name
        self.application = Application(
            argocd, team.namespace.api, application(name, self.repository, "team", name, **spec)
        )

    def commit(self, file: str, old: str, new: str) -> None:
        """A change, until Argo CD has synced it."""
        self.team.manifests.edit(file, old, new)
        revision = self.repository.commit("a change")
        self.application.refresh()
        self.application.until(lambda: self.application.revision == revision, "the commit is not synced")

    def until_shown(self, status: str, kind: str = "CheckpointPolicy", saying: str = "") -> None:
        """The only object of this kind, with a message that begins so."""

        def shown() -> bool:
            health = self.application.health(kind)
            return health.get("status") == status and health.get("message", "").startswith(saying)

        self.application.until(shown, f"{kind} is not shown as {status} {saying}")


def test_it_installs_accord_and_sync_waves_wait_until_a_run_trains(
    accord: Application, argocd: ArgoCD, team: Scene
) -> None:
    namespace = team.namespace
    crd = namespace.api.get(f"{CRDS}/{KINDS[0]}")
    assert "argocd-controller" in {field["manager"] for field in crd["metadata"]["managedFields"]}
    team.cluster.no_room = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    work = Work(argocd, team, **ignored("serve"))
    application = work.application
    with timed("from the Application to a TrainingRun that waits for room, shown as Progressing"):
        work.until_shown("Progressing", "TrainingRun")
    waits = lambda: "waiting for healthy state of accord.dev/TrainingRun/r" in application.told  # noqa: E731
    application.until(waits, "it does not wait for the run")
    later = ((cp.DEPLOYMENTS, "serve"), (cp.POLICIES, "p"), ("configmaps", "announcement"))
    assert [name for collection, name in later if namespace.get(collection, name)] == []
    with timed("from room for its pod to three more waves, and an Application that is Healthy"):
        team.cluster.no_room = ""
        application.until_state("Synced", "Healthy")
    assert [name for collection, name in later if not namespace.get(collection, name)] == []
    work.until_shown("Healthy", saying="NoCheckpoint: ")
    team.report(500)
    cp.until_served(namespace, 500, 120)
    work.until_shown("Healthy")


def test_a_rollback_survives_all_that_argo_cd_does(argocd: ArgoCD, team: Scene) -> None:
    namespace = team.namespace
    work = Work(argocd, team, **ignored("serve"))
    application = work.application
    cp.until_condition(namespace, "Promoted", ("False", "NoCheckpoint"), 120)
    served = team.rolled_back()
    application.until_state("Synced", "Healthy")
    before = team.revision
    healed = application.live["status"]["operationState"]["startedAt"]
    looks: set[str] = set()

    def looked() -> bool:
        looks.add(application.live["status"]["reconciledAt"])
        return len(looks) > 1

    # By itself: every ten seconds here.
    application.until(looked, "Argo CD does not look at it again")
    assert application.live["status"]["operationState"]["startedAt"] == healed, "nothing was there to heal"
    with timed("a hard refresh"):
        application.refresh(hard=True)
    assert (application.state[0], cp.serves(namespace)) == ("Synced", served)
    with timed("a commit that changes the image of the serving pods, until it is synced"):
        work.commit("serving.yaml", "example/app:1", "example/app:2")
    assert (team.image, cp.serves(namespace)) == ("example/app:2", served)
    with timed("a manual sync"):
        application.sync()
    application.until_state("Synced", "Healthy")
    # A claim that was reverted and put back would count as two more.
    assert team.revision == before + 1, "the image is all that anybody has changed"
    assert (team.health, cp.status(namespace)["rollbacks"]) == (("True", "Serving"), 1)
    assert not cp.status(namespace).get("putBack")


def test_without_the_snippet_the_fight_is_named(argocd: ArgoCD, team: Scene) -> None:
    namespace = team.namespace
    work = Work(argocd, team)
    cp.until_condition(namespace, "Promoted", ("False", "NoCheckpoint"), 120)
    team.report(500)
    with timed("a fight with self-heal, until it is named"):
        cp.until_condition(namespace, "Stalled", ("True", "OwnershipConflict"), 300)
    said = namespace.condition("p", "Stalled", cp.POLICIES)["message"]
    assert said.startswith("argocd-controller reverted claimName of volume model in Deployment serve 3 times")
    with timed("until Argo CD shows it"):
        work.until_shown("Degraded", saying=f"OwnershipConflict: {said}")


def test_actions_and_an_end_that_leaves_nothing_hanging(argocd: ArgoCD, team: Scene) -> None:
    namespace = team.namespace
    team.manifests.edit("checkpoints.yaml", "  detection:", "  rollback: {approval: Manual}\n  detection:")
    work = Work(argocd, team, **ignored("serve"))
    application = work.application

    def act(action: str, kind: str = "CheckpointPolicy", **parameters: str) -> None:
        application.act(namespace, kind, "p" if kind == "CheckpointPolicy" else "r", action, **parameters)

    cp.until_condition(namespace, "Promoted", ("False", "NoCheckpoint"), 120)
    team.trained()
    team.break_down()
    cp.until_condition(namespace, "Stalled", ("True", "AwaitingApproval"), 60)
    work.until_shown("Degraded")
    with timed("from the action approve to the earlier checkpoint"):
        act("approve")
        cp.until_served(namespace, 1500, 60)
    team.taken_back()
    work.until_shown("Healthy")
    for kind, collection in (("CheckpointPolicy", cp.POLICIES), ("TrainingRun", cp.RUNS)):
        name = "p" if kind == "CheckpointPolicy" else "r"
        act("pause", kind)
        work.until_shown("Suspended", kind)
        assert namespace.get(collection, name)["spec"]["suspend"] is True
        application.refresh(hard=True)
        assert namespace.get(collection, name)["spec"]["suspend"] is True, "what Git does not say is left alone"
        act("resume", kind)
        work.until_shown("Healthy", kind)
    with pytest.raises(AssertionError, match="step 700 is not a usable checkpoint"):
        act("rollback-to", step="700")
    act("rollback-to", step="1000")
    cp.until_served(namespace, 1000, 60)
    work.until_shown("Healthy")
    assert application.state[0] == "Synced"

    kept = set(cp.snapshots(namespace))
    with timed("from the deletion of the Application until all of it is gone"):
        application.delete()
    team.until_gone()
    # As the how-to says, checkpoints outlive their policy.
    team.keeps(kept)


def test_without_the_chart_the_kinds_stay(accord: Application, argo_api: Api) -> None:
    with timed("from the deletion of Accord's Application until it is gone"):
        accord.delete()
    only_the_kinds_are_left(argo_api, NAMESPACE)
