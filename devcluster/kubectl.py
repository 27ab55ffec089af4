"""kubectl against one given kubeconfig: never the user's current context, never the user's ~/.kube."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from devcluster import programs
from devcluster.errors import DevclusterError


class KubectlError(DevclusterError):
    """kubectl ended with an error; the text carries what it said on stderr."""

    def __init__(self, arguments: tuple[str, ...], stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)}: {stderr.strip()}")
        self.stderr = stderr


class Kubectl:
    """Callable: `kubectl("get", "pods") -> str`."""

    def __init__(self, kubeconfig: Path, cache: Path | None = None) -> None:
        self._kubeconfig = Path(kubeconfig)
        self._cache = cache if cache is not None else self._kubeconfig.parent / ".kubectl-cache"

    def __call__(self, *arguments: str, input: str | None = None, timeout: float = 120) -> str:  # noqa: A002
        """Run it and return its stdout; `KubectlError` when it fails, `timeout` in seconds."""
        done = subprocess.run(
            [
                _program(),
                f"--kubeconfig={self._kubeconfig}",
                f"--cache-dir={self._cache}",
                *arguments,
            ],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self._kubeconfig)},
        )
        if done.returncode != 0:
            raise KubectlError(arguments, done.stderr or done.stdout)
        return done.stdout


def _program() -> str:
    built = programs.path("kubectl")
    if built.exists():
        return str(built)
    found = shutil.which("kubectl")
    if found is None:
        raise DevclusterError("kubectl is not built yet: run `python3 -m devcluster build`")
    return found
