"""The script for kind and minikube, with stand-ins for what needs Docker: what it calls, in which order, with what."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo.steps import images
from demo.steps.local import CHECKOUT

PROGRAMS = ("docker", "kind", "minikube", "kubectl", "helm", "git", "make")
OUTSIDE = ("bash", "cat", "dirname", "env", "grep", "mkdir")
STAND_IN = """\
#!/bin/sh
echo "${0##*/} $* KUBECONFIG=$KUBECONFIG PREFIX=${ACCORD_IMAGE_PREFIX:-}" >> "$CALLS"
case "${0##*/} $1 $2" in
  "kind get clusters") echo "$CLUSTERS" ;;
  "git clone "*) for last; do :; done; mkdir -p "$last/deploy/kubernetes-latest"
    cp "$0" "$last/deploy/kubernetes-latest/deploy.sh" ;;
esac
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory where the script finds its place, and programs that only write down how they were called."""
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "docker-cluster.sh"
    script.write_text((CHECKOUT / "tools" / "docker-cluster.sh").read_text())
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        program = tmp_path / "bin" / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    return tmp_path


def run(checkout: Path, *arguments: str, clusters: str = "") -> tuple[subprocess.CompletedProcess[str], list[str]]:
    calls = checkout / "calls"
    calls.write_text("")
    done = subprocess.run(
        ["bash", str(checkout / "tools" / "docker-cluster.sh"), *arguments],
        env={
            "PATH": f"{checkout / 'bin'}:/usr/bin:/bin",
            "HOME": str(checkout),
            "CALLS": str(calls),
            "CLUSTERS": clusters,
            "KUBECONFIG": "/of/the/user",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done, calls.read_text().splitlines()


def starting(calls: list[str], start: str) -> list[str]:
    return [call for call in calls if call.startswith(start)]


@pytest.mark.parametrize("tool", ["kind", "minikube"])
def test_a_cluster_is_made_and_the_demo_runs_on_it_with_the_images_that_it_asks_for(
    checkout: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, calls = run(checkout, tool)
    assert done.returncode == 0, done.stderr
    kubeconfig = checkout / "build" / f"{tool}-accord.kubeconfig"
    assert calls[-1] == f"make demo KUBECONFIG={kubeconfig} KUBECONFIG={kubeconfig} PREFIX=localhost"
    # What the demo will look for under that prefix is what was built and loaded.
    monkeypatch.setenv(images.PREFIX_VARIABLE, "localhost")
    wanted = images.from_registry()
    built = [re.search(r"--tag (\S+)", call)[1] for call in starting(calls, "docker build")]  # type: ignore[index]
    assert built == [wanted.operator.reference, wanted.example.reference, wanted.trainer.reference]
    load = {"kind": "kind load docker-image", "minikube": "minikube image load"}[tool]
    assert [call.split()[3] for call in starting(calls, load)] == built
    assert "not tested" in done.stdout
    # No program was told of the user's own kubeconfig, once there is one to tell of.
    assert all(f"KUBECONFIG={kubeconfig}" in call for call in calls if not call.startswith("docker info"))


@pytest.mark.parametrize("tool", ["kind", "minikube"])
def test_the_defaults_are_those_that_can_take_snapshots(checkout: Path, tool: str) -> None:
    _, calls = run(checkout, tool)
    annotated = [call.partition(" KUBECONFIG=")[0] for call in starting(calls, "kubectl annotate")]
    assert annotated == [
        "kubectl annotate storageclass standard storageclass.kubernetes.io/is-default-class=false --overwrite",
        "kubectl annotate storageclass csi-hostpath-sc storageclass.kubernetes.io/is-default-class=true --overwrite",
        "kubectl annotate volumesnapshotclass csi-hostpath-snapclass "
        "snapshot.storage.kubernetes.io/is-default-class=true --overwrite",
    ]


def test_a_cluster_that_is_there_is_used_again(checkout: Path) -> None:
    _, calls = run(checkout, "kind", "mine", clusters="other\nmine")
    assert not starting(calls, "kind create")
    assert starting(calls, "kind export kubeconfig --name mine")
    _, calls = run(checkout, "kind", "mine", clusters="mine-too")
    assert starting(calls, "kind create cluster --name mine")


def test_every_dockerfile_that_it_builds_is_in_the_checkout(checkout: Path) -> None:
    _, calls = run(checkout, "kind")
    files = [re.search(r"--file (\S+)", call) for call in starting(calls, "docker build")]
    assert all((CHECKOUT / (file[1] if file else "Dockerfile")).is_file() for file in files)


def test_what_is_missing_is_named_before_anything_is_done(checkout: Path) -> None:
    # Programs of the machine itself must not fill the gap.
    for name in OUTSIDE:
        found = next(path for path in map(Path, ("/usr/bin", "/bin")) if (path / name).exists()) / name
        (checkout / "bin" / name).symlink_to(found)
    (checkout / "bin" / "helm").unlink()
    done = subprocess.run(
        [str(checkout / "bin" / "bash"), str(checkout / "tools" / "docker-cluster.sh"), "kind"],
        env={"PATH": str(checkout / "bin"), "CALLS": str(checkout / "calls"), "CLUSTERS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "docker-cluster: helm is not installed\n")
    assert not (checkout / "calls").exists()


@pytest.mark.parametrize("arguments", [(), ("k3d",)])
def test_another_tool_is_refused_with_the_usage(checkout: Path, arguments: tuple[str, ...]) -> None:
    done, calls = run(checkout, *arguments)
    assert (done.returncode, calls) == (1, [])
    assert "kind|minikube" in done.stderr


def test_it_can_be_called_as_a_program() -> None:
    assert os.access(CHECKOUT / "tools" / "docker-cluster.sh", os.X_OK)
