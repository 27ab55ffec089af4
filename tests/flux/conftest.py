"""Flux on a control plane of its own, with Accord installed by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver.checkpoints import Cluster
from tests.apiserver.planes import plane
from tests.apiserver.rig import Api
from tests.flux.documented import NAMESPACE, installation, of_operator
from tests.flux.rig import Flux, GitServer, Kustomization
from tests.gitops.repository import timed
from tests.gitops.scene import Existing, Scene, playing

from devcluster import snapshots

__all__ = ["accord", "flux", "flux_api", "git", "manifests", "plane", "team"]


@pytest.fixture(scope="module")
def flux_api(plane: ControlPlane) -> Api:
    """A client of it. Our kinds come by Flux."""
    snapshots.install(plane.kubectl)
    return Api(plane.kubeconfig)


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """All repositories of these tests."""
    server = GitServer(tmp_path_factory.getbasetemp())
    yield server
    server.close()


@pytest.fixture(scope="module")
def flux(plane: ControlPlane, flux_api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flux]:
    """Flux, at work."""
    made = Flux(plane, flux_api, tmp_path_factory.mktemp("flux"))
    made.install()
    try:
        made.start()
        yield made
    finally:
        made.processes.stop()


@pytest.fixture(scope="module")
def manifests(flux_api: Api, git: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Accord's repository is. The pods of what is installed from it are played, and do nothing."""
    repository = installation(tmp_path_factory.mktemp("accord"))
    with Cluster(flux_api, Existing(flux_api, NAMESPACE)):
        yield git.url(repository)


@pytest.fixture
def accord(flux: Flux, manifests: str) -> Kustomization:
    """Accord, installed as the how-to shows; once more where a test has taken it away."""
    with timed("from Accord's Kustomization to all of it there and Ready"):
        found = Kustomization(flux, of_operator(), manifests)
        found.until_ready(180)
    return found


@pytest.fixture
def team(plane: ControlPlane, flux_api: Api, accord: Kustomization, tmp_path: Path) -> Iterator[Scene]:
    """An empty namespace where Flux and Accord are, and the manifests."""
    with playing(plane, flux_api, tmp_path) as made:
        yield made
