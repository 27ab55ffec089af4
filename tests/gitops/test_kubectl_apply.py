"""What `kubectl apply` does to a rollback: from the client, on the server, and with what is left out pruned."""

from __future__ import annotations

from typing import Any

import pytest
from devcluster.kubectl import KubectlError
from tests.apiserver import checkpoints as cp
from tests.apiserver.rig import wait_until
from tests.gitops.scene import Scene

CHANGE = ("serving.yaml", "example/app:1", "example/app:2")


def apply(control_plane: Any, scene: Scene, *options: str) -> str:
    there = ("--namespace", scene.namespace.name, "--filename", str(scene.manifests.folder))
    return str(control_plane.kubectl("apply", *there, *options))


def put_back(scene: Scene, served: tuple[str, str | None]) -> None:
    """Until that is served again, and everybody is content."""
    wait_until(lambda: cp.serves(scene.namespace) == served, 60, f"not put back: {cp.serves(scene.namespace)}")
    cp.until_condition(scene.namespace, "Ready", ("True", "Serving"), 60)


def test_from_the_client_what_it_reverts_is_put_back(scene: Scene, control_plane: Any) -> None:
    namespace = scene.namespace
    apply(control_plane, scene)
    served = scene.rolled_back()
    told = apply(control_plane, scene)
    assert "deployment.apps/serve configured" in told, "the client reverts the field, though no manifest has changed"
    put_back(scene, served)
    scene.manifests.edit(*CHANGE)
    apply(control_plane, scene)
    put_back(scene, served)
    assert (scene.image, cp.status(namespace)["rollbacks"]) == ("example/app:2", 1)
    # Somebody who does it all the time is named, and Accord does not fight.
    for _ in range(12):
        if cp.condition(namespace, "Stalled") == ("True", "OwnershipConflict"):
            break
        apply(control_plane, scene)
        settled = lambda: (  # noqa: E731
            cp.serves(namespace) == served or cp.condition(namespace, "Stalled")[1] == "OwnershipConflict"
        )
        wait_until(settled, 60, "neither put back nor named")
        cp.at_rest(scene.operator, seconds=0.5)
    cp.until_condition(namespace, "Stalled", ("True", "OwnershipConflict"))
    said = namespace.condition("p", "Stalled", cp.POLICIES)["message"]
    assert said.startswith("kubectl-client-side-apply reverted claimName of volume model in Deployment serve")


def test_on_the_server_a_conflict_names_accord_and_nothing_is_changed(scene: Scene, control_plane: Any) -> None:
    apply(control_plane, scene, "--server-side")
    served = scene.rolled_back()
    scene.manifests.edit(*CHANGE)
    with pytest.raises(KubectlError, match="conflict") as refused:
        apply(control_plane, scene, "--server-side")
    assert '"accord"' in refused.value.stderr
    assert "claimName" in refused.value.stderr
    assert (cp.serves(scene.namespace), scene.image) == (served, "example/app:1")
    # One who forces it reverts the claim once, and it is put back.
    apply(control_plane, scene, "--server-side", "--force-conflicts")
    put_back(scene, served)
    assert scene.image == "example/app:2"


def test_on_the_server_a_manifest_without_the_claim_leaves_it_alone(scene: Scene, control_plane: Any) -> None:
    apply(control_plane, scene, "--server-side")
    served = scene.rolled_back()
    scene.manifests.edit("serving.yaml", "\n          persistentVolumeClaim: {claimName: untrained}", "")
    scene.manifests.edit(*CHANGE)
    before = cp.status(scene.namespace)["serving"]
    told = apply(control_plane, scene, "--server-side")
    assert "deployment.apps/serve serverside-applied" in told
    assert (cp.serves(scene.namespace), scene.image) == (served, "example/app:2")
    cp.until_condition(scene.namespace, "Ready", ("True", "Serving"), 60)
    assert cp.status(scene.namespace)["serving"] == before
    assert not cp.status(scene.namespace).get("putBack"), "nothing had to be put back"


def test_pruning_takes_the_policy_and_leaves_what_it_made(scene: Scene, control_plane: Any) -> None:
    """What Accord makes has neither the labels nor the annotation that kubectl prunes by."""
    namespace = scene.namespace
    prune = (
        "--prune",
        "--selector=team=chat",
        "--prune-allowlist=accord.dev/v1alpha1/CheckpointPolicy",
        "--prune-allowlist=core/v1/PersistentVolumeClaim",
        "--prune-allowlist=batch/v1/Job",
        "--prune-allowlist=apps/v1/Deployment",
    )
    apply(control_plane, scene, *prune)
    served = scene.rolled_back()
    kept, claims = set(cp.snapshots(namespace)), cp.claims(namespace)
    jobs = lambda: {job["metadata"]["uid"] for job in namespace.api.items(namespace.path("batch/v1/jobs"))}  # noqa: E731
    trained = jobs()
    assert trained
    told = apply(control_plane, scene, *prune)
    assert "pruned" not in told
    put_back(scene, served)
    assert (set(cp.snapshots(namespace)), cp.claims(namespace), jobs()) == (kept, claims, trained)
    (scene.manifests.folder / "checkpoints.yaml").unlink()
    scene.manifests.edit("serving.yaml", "claimName: untrained", f"claimName: {served[0]}")
    told = apply(control_plane, scene, *prune)
    assert "checkpointpolicy.accord.dev/p pruned" in told
    wait_until(lambda: namespace.get(cp.POLICIES, "p") is None, 60, "the policy does not go")
    cp.at_rest(scene.operator)
    assert (cp.serves(namespace)[0], cp.claims(namespace)) == (served[0], claims)
    assert (set(cp.snapshots(namespace)), jobs()) == (kept, trained)
