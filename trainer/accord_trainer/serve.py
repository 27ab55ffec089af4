"""`python -m accord_trainer.serve`: the checkpoint that a pod is to serve, for a service that is not in Python.

As an init container it verifies the checkpoint of CHECKPOINT_STEP in CHECKPOINT_DIR; with `--to DIRECTORY` its files,
and no others, are there when the service starts. The exit code is 1 where it cannot be served, and the last line says
why: with terminationMessagePolicy FallbackToLogsOnError it is in the status of the pod.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from accord_trainer.sdk import serving
from accord_trainer.sdk.contract import ContractError
from accord_trainer.sdk.manifest import CheckpointError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="accord_trainer.serve", description="verify the checkpoint to be served")
    parser.add_argument("--to", type=Path, metavar="DIRECTORY", help="copy its files, and no others, to there")
    to = parser.parse_args(arguments).to
    try:
        checkpoint = serving.served()
        if checkpoint is None:
            sys.stdout.write("no checkpoint is served yet\n")
            return 0
        if to is not None:
            serving.copy(checkpoint, to)
    except (CheckpointError, ContractError) as error:
        sys.stderr.write(f"cannot be served: {error}\n")
        return 1
    where = checkpoint.path if to is None else to
    sys.stdout.write(f"step {checkpoint.step} of attempt {checkpoint.attempt} verified: {where}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
