"""What the how-to tells users of Flux to write, read from it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import yaml
from tests.gitops.repository import Repository
from tools.programs import ROOT

HOW_TO = ROOT / "docs" / "how-to" / "flux.md"
NAMESPACE = "accord-system"


def installation(folder: Path) -> Repository:
    """A repository with Accord's manifests."""
    repository = Repository(folder)
    for part in ("helm/accord/files", "manifests/base"):
        shutil.copytree(ROOT / part, folder / part)
    repository.commit("Accord")
    return repository


def of_operator() -> dict[str, Any]:
    """The Kustomization with which Flux installs Accord."""
    return _kustomization("accord")


def of_team(namespace: str, deployment: str) -> dict[str, Any]:
    """The Kustomization with a team's policies, for this namespace and the Deployment that serves checkpoints there."""
    found = _kustomization("chat")
    found["metadata"]["name"] = found["spec"]["sourceRef"]["name"] = found["spec"]["targetNamespace"] = namespace
    (rule,) = found["spec"]["ignore"]
    rule["target"]["name"] = deployment
    return found


def _kustomization(name: str) -> dict[str, Any]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    documents = [each for block in blocks for each in yaml.safe_load_all(block) if isinstance(each, dict)]
    found = (each for each in documents if (each.get("kind"), each["metadata"]["name"]) == ("Kustomization", name))
    return next(found)
