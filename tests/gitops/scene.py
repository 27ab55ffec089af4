"""A run that trains, a Deployment that serves, and their manifests as somebody changes them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane
from tests.apiserver import checkpoints as cp
from tests.apiserver import rights
from tests.apiserver.checkpoints import Cluster, Trainers, Training
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until
from tests.prometheus.rig import Prometheus, prometheus

TEAM = Path(__file__).parent / "team"
KINDS = ("checkpointpolicies.accord.dev", "trafficpolicies.accord.dev", "trainingruns.accord.dev")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Existing(Namespace):
    """A namespace that somebody else makes."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name = api, name


class Manifests:
    """A working copy of what `team/` holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(TEAM, folder)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace what is in a file exactly once."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))


@dataclass
class Scene:
    """One namespace."""

    namespace: Namespace
    cluster: Cluster
    trainers: Trainers
    training: Training
    prometheus: Prometheus
    operator: OperatorProcess
    manifests: Manifests

    def report(self, step: int = 0) -> None:
        """The run is there, and its trainer reports from now on; a checkpoint of this step is saved, unless it is 0."""
        self.training.step = self.training.saved = step
        # Not before: series that are half a minute older than a run are those of an earlier one of its name.
        self.trainers.trainings[self.namespace.name] = self.training
        self.prometheus.wait_for("ppo_training_step")

    def trained(self) -> None:
        """Three checkpoints, the newest served."""
        self.report()
        cp.save(self.namespace, self.training, 1000, 1500, 2000)

    def break_down(self) -> None:
        """The loss is NaN from step 2100 on."""
        self.training.step, self.training.sick = 2100, True

    def taken_back(self) -> tuple[str, str | None]:
        """When the way back is over; claim and step that are served then."""
        cp.finished(self.namespace)
        # The next attempt begins where this one is taken back to, and is well.
        self.training.attempt, self.training.step, self.training.saved, self.training.sick = 2, 1500, 1500, False
        served = cp.serves(self.namespace)
        assert served[1] == "1500"
        return served

    def rolled_back(self) -> tuple[str, str | None]:
        """All of this."""
        self.trained()
        self.break_down()
        return self.taken_back()

    @property
    def image(self) -> str:
        """Of the serving pods."""
        template = self.namespace.get(cp.DEPLOYMENTS, "serve")["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    @property
    def revision(self) -> int:
        """How often the template of the serving pods has changed."""
        return int(
            self.namespace.get(cp.DEPLOYMENTS, "serve")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        )

    @property
    def health(self) -> tuple[str, str]:
        """`Ready` of the policy."""
        return cp.condition(self.namespace, "Ready")

    def until_gone(self) -> None:
        """All that the manifests have brought, and what was made of it."""
        brought = ((cp.POLICIES, "p"), (cp.RUNS, "r"), (cp.DEPLOYMENTS, "serve"), ("configmaps", "announcement"))
        gone = lambda: [name for at, name in brought if self.namespace.get(at, name)] == []  # noqa: E731
        wait_until(gone, 60, "something of it is left")
        for collection in ("pods", "batch/v1/jobs", "apps/v1/replicasets"):
            none = lambda at=collection: self._items(at) == []  # noqa: E731
            wait_until(none, 60, f"{collection} are left")

    def keeps(self, snapshots: set[str]) -> None:
        """AssertionError unless these are there, and the claim of what was served, and nobody deletes them."""
        assert set(cp.snapshots(self.namespace)) == snapshots
        assert cp.claims(self.namespace) != set()
        left = [*self._items(cp.SNAPSHOTS), *self._items(cp.CLAIMS)]
        assert [each["metadata"]["name"] for each in left if "deletionTimestamp" in each["metadata"]] == []

    def _items(self, collection: str) -> list[Any]:
        return list(self.namespace.api.items(self.namespace.path(collection)))


def only_the_kinds_are_left(api: Api, namespace: str) -> None:
    """AssertionError unless what was installed into this namespace is gone, but for the kinds, which stay."""
    for name in KINDS:
        assert "deletionTimestamp" not in api.get(f"{CRDS}/{name}")["metadata"]
    assert api.items(f"/apis/apps/v1/namespaces/{namespace}/deployments") == []
    assert api.items("/apis/rbac.authorization.k8s.io/v1/clusterroles", "app.kubernetes.io/name=accord") == []


@contextlib.contextmanager
def playing(control_plane: ControlPlane, api: Api, directory: Path) -> Iterator[Scene]:
    """An empty namespace with its operator, a Prometheus, and a played kubelet and snapshot-controller."""
    namespace, trainers = Namespace(api), Trainers()
    with (
        prometheus(directory / "prometheus", trainers, every="2s") as server,
        Cluster(api, namespace) as cluster,
        rights.account(api, control_plane, namespace.name, directory) as account,
        OperatorProcess(
            account,
            directory,
            namespaces=[namespace.name],
            leaderElection={"enabled": False},
            prometheus={"endpoints": {"default": {"url": server.url, "timeout": "30s"}}},
        ) as operator,
    ):
        operator.ready()
        yield Scene(namespace, cluster, trainers, Training(), server, operator, Manifests(directory / "git" / "team"))
