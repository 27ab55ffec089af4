"""An installation with objects of all kinds is upgraded, taken back, upgraded again and removed, under load."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from demo.steps import environment
from demo.steps.cluster import Manifest, condition, wait_until
from demo.steps.environment import CHART, RELEASE, SYSTEM_NAMESPACE, Ground, helm
from demo.steps.images import build_and_load
from demo.steps.local import CHECKOUT, LocalCluster
from demo.steps.world import World
from devcluster.progress import Progress
from devcluster.waiting import patience
from tests.lessons.reading import steps
from tests.upkeep import earlier, inventory
from tests.upkeep.inventory import Thing

from devcluster import programs

PAGE = CHECKOUT / "docs" / "how-to" / "install.md"
LEARNT = ("PersistentVolumeClaim", "VolumeSnapshot")
STEPS, SAVE = 500_000, 2_000
"""A training that ends long after the test, with a checkpoint about every twelve seconds."""
KEEP = 200
"""Snapshots that the policy may have: more than the test sees, so that retention takes none."""


@dataclasses.dataclass(frozen=True)
class Version:
    """A chart, and the key of the operator's image with it."""

    chart: Path
    key: str

    def schemas(self) -> dict[str, Manifest]:
        """Of each CRD, what its one version says."""
        files = sorted((self.chart / "files" / "crds").glob("*.yaml"))
        crds = [yaml.safe_load(file.read_text()) for file in files]
        return {crd["metadata"]["name"]: crd["spec"]["versions"][0]["schema"] for crd in crds}


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    """One for this test alone: what is left in the end is compared with what was there in the beginning."""
    cluster = LocalCluster("accord-upkeep", "10.204.0.0/14")
    cluster.down()
    try:
        yield cluster
    finally:
        cluster.down()


class Upkeep:
    """The installation, and what must not change in it."""

    def __init__(self, world: World, ground: Ground) -> None:
        self.world, self.ground = world, ground
        self.table: list[str] = []
        self._attempt = world.checkpoints.training.pods_at_work()
        self._snapshots = self._uids()
        self._before = world.background.fresh_tally()

    def move(self, what: str, to: Version, command: Callable[[], object], weights: dict[str, int]) -> None:
        """Another version, under load; then changes of all kinds, which it obeys."""
        world, before, began = self.world, self.world.background.fresh_tally(), time.monotonic()
        command()
        world.cluster.wait_rolled_out(RELEASE, SYSTEM_NAMESPACE, 120)
        wait_until("it leads", lambda: world.operator.leader() in self._replicas(to), 120)
        took = time.monotonic() - began
        for name, schema in to.schemas().items():
            [live] = (world.cluster.get("CustomResourceDefinition", name) or {})["spec"]["versions"]
            assert live["schema"] == schema, f"{what}: the CRD {name} is another version's"

        began = time.monotonic()
        world.policy.set_weights(weights)
        world.policy.wait_settled(120)
        settled = time.monotonic() - began
        came = world.background.await_answers(world.background.fresh_tally(), 600)
        # Of 600 answers a share is good to two points; four times that is no chance.
        assert all(abs(came.shares.get(mode, 0) - share) < 8 for mode, share in weights.items()), (what, came.shares)
        self._obeyed(what, weights["fast"])
        served = world.checkpoints.answered_step() or 0
        wait_until(f"{what}: a later checkpoint is served", lambda: self._served() > served, 180, self._explain)
        self._unharmed(what)
        whole = world.background.fresh_tally().since(before)
        assert whole.failed == 0, f"{what}: {world.explain_failures()}"
        self.table.append(
            f"  {what:<34} {took:6.1f} s   split obeyed {settled:4.1f} s   "
            f"{whole.answered:7,} requests, {whole.failed} failed"
        )

    def sum(self) -> str:
        """All requests since the beginning."""
        whole = self.world.background.fresh_tally().since(self._before)
        assert whole.failed == 0, self.world.explain_failures()
        return f"{whole.answered:,} requests, {whole.failed} failed"

    def _replicas(self, version: Version) -> list[str]:
        """Ready pods of the operator that are of that image; all of them where it is rolled out."""
        key = "example/image-key"
        return [
            pod["metadata"]["name"]
            for pod in self.world.operator.pods()
            if pod["metadata"].get("annotations", {}).get(key) == version.key
        ]

    def _obeyed(self, what: str, number: int) -> None:
        """A field of the other two kinds changes, and their status is of that spec."""
        world = self.world
        changes: dict[str, tuple[str, Manifest]] = {
            "TrainingRun": (world.checkpoints.training.name, {"monitoring": {"interval": f"{2000 + number}ms"}}),
            "CheckpointPolicy": (world.checkpoints.name, {"retention": {"max": KEEP - number}}),
        }
        for kind, (name, spec) in changes.items():
            generation = world.cluster.patch(kind, name, world.namespace, {"spec": spec})["metadata"]["generation"]

            def seen(kind: str = kind, name: str = name, generation: int = generation) -> bool:
                live = world.cluster.get(kind, name, world.namespace) or {}
                ready = condition(live, "Ready")
                return (live["status"].get("observedGeneration"), ready.get("status")) == (generation, "True")

            wait_until(f"{what}: {kind} {name} obeys", seen, 120, self._explain)

    def _unharmed(self, what: str) -> None:
        """The trainer's pod is the one of the beginning, and so are the snapshots."""
        training = self.world.checkpoints.training
        assert (training.pods_at_work(), training.status().get("attempt")) == (self._attempt, 1), what
        now = self._uids()
        gone = {name: uid for name, uid in self._snapshots.items() if now.get(name) != uid}
        assert not gone, f"{what}: snapshots are gone: {gone}"
        self._snapshots = now

    def _uids(self) -> dict[str, str]:
        found = self.world.cluster.find("VolumeSnapshot", self.world.namespace)
        return {each["metadata"]["name"]: each["metadata"]["uid"] for each in found}

    def _served(self) -> int:
        return self.world.checkpoints.answered_step() or 0

    def _explain(self) -> str:
        return f"{self.world.checkpoints.explain()}; {self.world.policy.explain()}"


def section(heading: str) -> str:
    """What the page says under a heading."""
    [found] = re.findall(rf"^### {heading}$(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def run(command: str, kubeconfig: Path) -> None:
    """As a user types it, to its end."""
    places = {str(programs.path(name).parent) for name in ("kubectl", "helm")}
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": ":".join([*places, os.environ["PATH"]])}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=patience(120)
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"


def promised(left: Sequence[Thing], namespace: str) -> list[Thing]:
    """What the page says is kept, among these."""
    system = {
        ("Namespace", "", SYSTEM_NAMESPACE),
        ("ServiceAccount", SYSTEM_NAMESPACE, "default"),
        ("ConfigMap", SYSTEM_NAMESPACE, "kube-root-ca.crt"),
        ("Lease", SYSTEM_NAMESPACE, RELEASE),
    }
    learnt = {each for each in left if each.namespace == namespace and each.kind in LEARNT}
    behind = {f"{prefix}-{each.uid}" for each in learnt for prefix in ("pvc", "snapcontent")}
    return [
        each
        for each in left
        if (each.kind, each.namespace, each.name) in system
        or each in learnt
        or (not each.namespace and each.name in behind)
    ]


def test_upgraded_and_back_under_load_and_removed_without_a_trace(local: LocalCluster, tmp_path: Path) -> None:
    progress, revision = Progress(), earlier.commit()
    checkout = earlier.unpack(revision, tmp_path / "earlier")
    ground = environment.prepare(local, progress)
    with progress.stage("image of the earlier operator"):
        image = build_and_load("operator", local, checkout, "earlier")
    old = Version(checkout / "helm" / "accord", image.key)
    new = Version(CHART, ground.images.operator.key)
    untouched = inventory.take(ground.cluster)

    # Given an earlier version with a split under load, a run that trains, and a policy that serves what it learns
    began = dataclasses.replace(ground, images=dataclasses.replace(ground.images, operator=image))
    world = environment.install(began, progress, old.chart)
    world.background_rate = 60
    learning = world.checkpoints
    learning.training = learning.training.undisturbed(STEPS, SAVE)
    learning.start()
    world.cluster.patch("CheckpointPolicy", learning.name, world.namespace, {"spec": {"retention": {"max": KEEP}}})
    wait_until("a checkpoint is served", learning.answered_step, 240, learning.explain)
    upkeep = Upkeep(world, ground)

    # When it is upgraded, taken back and upgraded again, then each version obeys, and nobody notices
    def upgrade() -> None:
        environment.install_chart(ground.kubeconfig, ground.images, world.namespace)

    def rollback() -> None:
        helm(ground.kubeconfig, "rollback", RELEASE, "1", f"--namespace={SYSTEM_NAMESPACE}")

    upkeep.move("helm upgrade", new, upgrade, {"fast": 20, "balanced": 50, "creative": 30})
    upkeep.move("helm rollback", old, rollback, {"fast": 50, "balanced": 40, "creative": 10})
    upkeep.move("helm upgrade once more", new, upgrade, {"fast": 30, "balanced": 40, "creative": 30})
    whole = upkeep.sum()
    world.stop_background()

    # And when it is removed as the page says, only what the page says is left
    served, start = learning.wanted_step(), time.monotonic()
    for step in steps(section("Remove everything")):
        run(step.command, ground.kubeconfig)
    took = time.monotonic() - start

    def too_much() -> list[str]:
        left = inventory.added(ground.cluster, untouched)
        return [str(each) for each in left if each not in promised(left, world.namespace)]

    wait_until("only what is promised is left", lambda: not too_much(), 180, lambda: ", ".join(too_much()))
    ground.cluster.wait_rolled_out(learning.deployment, world.namespace)
    assert learning.wanted_step() == served, "what was served is served no more"
    left = inventory.added(ground.cluster, untouched)

    print(f"\nfrom {earlier.name(revision)}")
    print("\n".join([*upkeep.table, f"  {'all the time':<34} {whole}", f"  {'removed':<34} {took:6.1f} s"]))
    kinds = Counter(each.kind for each in left)
    print(f"  left, as promised: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}")
