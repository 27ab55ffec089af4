"""Argo CD on a control plane of its own, with Accord installed by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver.checkpoints import Cluster
from tests.apiserver.planes import plane
from tests.apiserver.rig import Api
from tests.argocd.installation import NAMESPACE, installation
from tests.argocd.rig import Application, ArgoCD
from tests.gitops.repository import Repository, timed
from tests.gitops.scene import Existing, Scene, playing

from devcluster import snapshots

__all__ = ["accord", "argo_api", "argocd", "chart", "plane", "team"]


@pytest.fixture(scope="module")
def argo_api(plane: ControlPlane) -> Api:
    """A client of it. Our kinds come by Argo CD."""
    snapshots.install(plane.kubectl)
    return Api(plane.kubeconfig)


@pytest.fixture(scope="module")
def argocd(plane: ControlPlane, argo_api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArgoCD]:
    """Argo CD, at work."""
    made = ArgoCD(plane, argo_api, tmp_path_factory.mktemp("argocd"))
    made.install()
    try:
        made.start()
        yield made
    finally:
        made.processes.stop()


@pytest.fixture(scope="module")
def chart(argo_api: Api, argocd: ArgoCD, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The Application that the how-to shows. The pods of what it installs are played, and do nothing."""
    found = installation(Repository(tmp_path_factory.mktemp("accord")))
    with Cluster(argo_api, Existing(argo_api, NAMESPACE)):
        yield found


@pytest.fixture
def accord(argocd: ArgoCD, argo_api: Api, chart: dict[str, Any]) -> Application:
    """Accord, installed by it; once more where a test has taken it away."""
    with timed("from Accord's Application to all of it there and Healthy"):
        application = Application(argocd, argo_api, chart)
        application.until_state("Synced", "Healthy", 180)
    return application


@pytest.fixture
def team(plane: ControlPlane, argo_api: Api, argocd: ArgoCD, accord: Application, tmp_path: Path) -> Iterator[Scene]:
    """An empty namespace where Argo CD and Accord are, and the manifests. An Application has the namespace's name."""
    with playing(plane, argo_api, tmp_path) as made:
        yield made
        argocd.forget(made.namespace.name)
