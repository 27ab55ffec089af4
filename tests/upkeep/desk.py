"""Where reports are read on a cluster on which the demo was told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Set
from datetime import UTC, datetime

from demo.steps.cluster import Manifest, condition, wait_until
from demo.steps.world import World
from tests.ports import free_port

from accord.domain.conditions import parse_timestamp
from devcluster import programs

Lines = Mapping[tuple[str, str], str]
"""What is said in lines, by object and check: pass, warn, fail or unknown."""


class Desk:
    """Where reports are read: as a user runs them, with Prometheus through a port of this machine."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._port = free_port()
        kubectl = [str(programs.path("kubectl")), f"--kubeconfig={world.cluster.kubeconfig}", f"-n={world.namespace}"]
        self._forward = subprocess.Popen([*kubectl, "port-forward", "service/prometheus", f"{self._port}:9090"])

    def close(self) -> None:
        """Prometheus can no longer be reached."""
        self._forward.kill()
        self._forward.wait()

    def report(self, *more: str) -> tuple[int, list[Manifest]]:
        """Exit code, and the lines of the time since the operator came back from the minute without it."""
        where = [f"--namespace={self.world.namespace}", f"--kubeconfig={self.world.cluster.kubeconfig}"]
        asked = [f"--prometheus=http://127.0.0.1:{self._port}", f"--range={self._range()}s", "--output=json", *more]
        done = subprocess.run(
            [sys.executable, "-m", "accord", "report", *where, *asked], capture_output=True, text=True, check=False
        )
        assert done.stdout, done.stderr
        return done.returncode, list(json.loads(done.stdout)["lines"])

    def _range(self) -> int:
        """Seconds, and not less than some scrapes. Where no operator is ready, what was before counts as well."""
        ready = [parse_timestamp(condition(pod, "Ready")["lastTransitionTime"]) for pod in self.world.operator.pods()]
        if ready:
            self._since = max(ready)
        return max(10, int((datetime.now(UTC) - self._since).total_seconds()))

    def until(self, what: str, wanted: Lines, code: int, may: Set[tuple[str, str]] = frozenset()) -> float:
        """Until those lines are so, and all others but those of `may` pass; the seconds that took."""
        said = ""

        def so() -> bool:
            nonlocal said
            returned, lines = self.report()
            found = {(line["object"], line["check"]): line for line in lines}
            wrong = [
                line for key, line in found.items() if key not in may and line["result"] != wanted.get(key, "pass")
            ]
            said = "; ".join(f"{line['check']}: {line['result']} {line['figure']} {line['note']}" for line in wrong)
            return not wrong and wanted.keys() <= found.keys() and returned == code

        return wait_until(what, so, 300, lambda: said, every=1)
