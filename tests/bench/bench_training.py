"""Whether the reference trainer learns, how fast, and what a checkpoint costs it, with real PyTorch.

    python -m tests.bench.bench_training [--seeds 3] [--only ENVIRONMENT]

Everything runs in the file system of the trainer's image, which is built where it is not yet. Prints Markdown tables;
the returns do not depend on the machine, the times do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo.steps import images

from devcluster import rootfs

INSIDE = Path(__file__).parent / "inside"
TUNED = ("n_epochs=10", "update_frequency=250", "learning_rate=0.001,0.0003,Cosine")
"""Hyperparameters of manifests/examples/trainingrun-cartpole.yaml."""
CASES = {
    "accord/Ratings-v0": (2000, {"defaults": (), "10 epochs over 250 steps, 1e-3 → 3e-4": TUNED}),
    "CartPole-v1": (100, {"defaults": (), "10 epochs over 250 steps, 1e-3 → 3e-4": TUNED}),
}
"""Episodes to play before and after, and hyperparameters."""


def inside(root: rootfs.RootFilesystem, *program: str) -> Any:
    """What a program of `inside/` prints in the image, as JSON."""
    command = root.command(["python", *program], binds={"/bench": INSIDE}, directory="/bench")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(program)}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def learning(root: rootfs.RootFilesystem, seeds: int, only: str | None) -> None:
    print(
        "| environment | hyperparameters | seed | untrained, drawn | trained, drawn | untrained, best | trained, best |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    seconds = []
    for environment, (episodes, settings) in CASES.items():
        for name, fields in settings.items() if only in (None, environment) else ():
            for seed in range(1, seeds + 1):
                found = inside(root, "learning.py", environment, str(seed), str(episodes), *fields)
                seconds.append(found["seconds"])
                cells = [
                    "{:.2f} ± {:.2f}".format(*found[f"{when} {how}"])
                    for how in ("drawn", "best")
                    for when in ("untrained", "trained")
                ]
                print(f"| {environment} | {name} | {seed} | {' | '.join(cells)} |", flush=True)
    print(f"\n10,000 steps with a checkpoint every 500 took {min(seconds):.0f} to {max(seconds):.0f} s.\n")


def saving(root: rootfs.RootFilesystem) -> None:
    found = inside(root, "saving.py")
    print("| what | ms |\n| --- | --- |")
    for what, figure in found["milliseconds"].items():
        print(f"| {what} | {figure} |")
    print("\n| file | bytes |\n| --- | --- |")
    for what, figure in found["bytes"].items():
        print(f"| {what} | {figure:,} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=CASES)
    parsed = parser.parse_args()
    root = rootfs.unpack(images.build("trainer"))
    saving(root)
    print()
    learning(root, parsed.seeds, parsed.only)


if __name__ == "__main__":
    main()
