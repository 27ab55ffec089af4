"""What the how-to tells users of Argo CD to write, read from it."""

from __future__ import annotations

import re
import shutil
from typing import Any

import yaml
from tests.gitops.repository import Repository
from tools.programs import ROOT

HOW_TO = ROOT / "docs" / "how-to" / "argo-cd.md"
NAMESPACE = "accord-system"


def installation(repository: Repository) -> dict[str, Any]:
    """The Application with the chart, which is committed to this repository."""
    (found,) = (block for block in _blocks() if block.get("kind") == "Application")
    source = found["spec"]["source"]
    shutil.copytree(ROOT / source["path"], repository.folder / source["path"])
    repository.commit("Accord")
    source["repoURL"] = repository.url
    assert found["spec"]["destination"]["namespace"] == NAMESPACE
    found["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    return found


def ignored(deployment: str) -> dict[str, Any]:
    """The snippet for what a CheckpointPolicy writes, as fields of an Application's spec, for this Deployment."""
    (found,) = (block for block in _blocks() if "ignoreDifferences" in (block.get("spec") or {}))
    (rule,) = found["spec"]["ignoreDifferences"]
    rule["name"] = deployment
    return {"ignoreDifferences": [rule], "syncOptions": found["spec"]["syncPolicy"]["syncOptions"]}


def _blocks() -> list[dict[str, Any]]:
    found = re.findall(r"^```yaml\n(.*?)^```", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in map(yaml.safe_load, found) if isinstance(block, dict)]
