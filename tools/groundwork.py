"""What the tests run on, made before them: long work shows its progress, which in a test nobody would see.

python -m tools.groundwork            programs and images of the local cluster, and what the tests call
python -m tools.groundwork --few      only what the tests call; all else is made where a test needs it
"""

from __future__ import annotations

import sys

from demo.steps import images
from devcluster.errors import DevclusterError, MachineError
from devcluster.progress import Progress

from devcluster import cluster, preflight, programs
from tools.programs import debian_program


def lay(progress: Progress) -> None:
    """Everything; what is there already is left as it is. Raises DevclusterError."""
    preflight.check_machine()
    cluster.prepare(progress)
    programs.ensure((*programs.OF_QUEUES, *programs.OF_GATEWAYS, *programs.OF_GITOPS), progress)
    for name in images.NAMES:
        with progress.stage(f"image accord-{name}"):
            images.build(name)


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    try:
        debian_program("prometheus", "prometheus")
        debian_program("chromium", "chromium")
        debian_program("redis-server", "redis-server")
        if "--few" not in arguments:
            lay(Progress())
    except DevclusterError as error:
        print(f"make test: {error}", file=sys.stderr)
        if isinstance(error, MachineError):
            print(preflight.OWN_CLUSTER, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
