"""The local cluster, through its command line: `python3 -m devcluster`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from demo.steps.errors import StepError

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class LocalCluster:
    """One cluster of this machine. Another `name`, with another `network` (a /14), is another cluster beside it."""

    name: str = ""
    network: str = ""

    def up(self) -> Path:
        """Starts or mends it, with its progress on stdout; its kubeconfig."""
        sys.stdout.flush()
        self._run("up", capture=False)
        return Path(self._run("kubeconfig").strip())

    def down(self) -> None:
        """Removes it."""
        self._run("down")

    def running(self) -> bool:
        """Whether there is one."""
        try:
            self._run("kubeconfig")
        except StepError:
            return False
        return True

    def load(self, archive: Path) -> None:
        """Loads an image, where it is not there yet."""
        self._run("load", str(archive))

    def _run(self, *arguments: str, capture: bool = True) -> str:
        environment = dict(os.environ)
        if self.name:
            environment |= {"ACCORD_DEVCLUSTER_NAME": self.name, "ACCORD_DEVCLUSTER_NETWORK": self.network}
        done = subprocess.run(
            [sys.executable, "-m", "devcluster", *arguments],
            cwd=CHECKOUT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.PIPE if capture else None,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or "").strip() or f"`python3 -m devcluster {arguments[0]}` failed; see above"
            raise StepError(said.removeprefix("devcluster: "))
        return done.stdout or ""
