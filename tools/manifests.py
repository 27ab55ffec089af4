"""Validates everything that a user applies: the chart for each set of values, the kustomize builds, the examples."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools import schemas
from tools.generate import CHART
from tools.programs import ROOT, CommandError, go_program, run

VALUES = ROOT / "tests" / "chart" / "values"
BUILDS = ("manifests/base", "tests/chart/argocd", "examples/service/manifests", "examples/service/learning")
EXAMPLES = ROOT / "manifests" / "examples"
SERVICE = ROOT / "examples" / "service"


def render(values: Path) -> str:
    """What `helm install` would apply with these values."""
    return run([go_program("helm"), "template", "accord", CHART, "--namespace", "accord-system", "--values", values])


def sources() -> dict[str, str]:
    """Name → manifests, of everything there is to validate."""
    kubectl = go_program("kubectl")
    found = {f"chart with {path.name}": render(path) for path in sorted(VALUES.glob("*.yaml"))}
    found |= {build: run([kubectl, "kustomize", build]) for build in BUILDS}
    files = [path for folder in (EXAMPLES, SERVICE) for path in sorted(folder.glob("*.yaml"))]
    found |= {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files}
    return found


def main() -> int:
    """Validate all; returns the exit code."""
    location = schemas.ensure()
    command = [go_program("kubeconform"), "-strict", "-summary", "-schema-location", location, "-"]
    failed = False
    for name, text in sources().items():
        try:
            print(f"{name}: {_in_short(run(command, input=text))}")
        except CommandError as error:
            failed = True
            print(f"{name}:\n{error}")
    return int(failed)


def _in_short(summary: str) -> str:
    return re.sub(r"^Summary: | - .*", "", summary.strip())


if __name__ == "__main__":
    sys.exit(main())
