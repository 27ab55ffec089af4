"""`make check`: every check, as many at a time as there are processors; all of them, even when one fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from devcluster.errors import DevclusterError

from tools.generate import CHART
from tools.programs import ROOT, CommandError, debian_program, go_program

BIN = ROOT / ".venv" / "bin"
RULES = "tests/chart/rules/accord_test.yaml"


class Check(NamedTuple):
    """A command that succeeds when all is well, and what to do when it is not."""

    name: str
    command: tuple[object, ...]
    remedy: str = ""


class Result(NamedTuple):
    """How a check ended."""

    check: Check
    seconds: float
    problem: str


def checks() -> Iterator[Check]:
    """The slow ones first, so that they do not run alone at the end."""
    python = BIN / "python"
    yield Check("types (mypy --strict)", (BIN / "mypy",))
    yield Check("the chart's own tests", (BIN / "pytest", "-q", "-p", "no:cacheprovider", "tests/chart"))
    yield Check("manifests against schemas", (python, "-m", "tools.manifests"))
    # Two modules of one name, or an import that fails, would otherwise show only in a whole run.
    yield Check(
        "all tests can be collected", (BIN / "pytest", "-qq", "-p", "no:cacheprovider", "--collect-only", "tests")
    )
    yield Check(
        "no secret in any commit (gitleaks)",
        (go_program("gitleaks"), "git", "--no-banner", "--redact", "--verbose", "."),
        "replace the secret where it is valid: it is known to whoever has the commit",
    )
    yield Check("form (ruff format)", (BIN / "ruff", "format", "--check", "--quiet", "."), "make format")
    yield Check("lint (ruff check)", (BIN / "ruff", "check", "--quiet", "."), "make format mends what can be")
    yield Check("imports point inwards", (BIN / "lint-imports",))
    yield Check("CRDs are those of the models", (BIN / "accord", "crds", "--check", "crds"), "make crds")
    yield Check("reference is that of the code", (python, "-m", "tools.reference", "--check"), "make crds")
    yield Check("other generated files", (python, "-m", "tools.generate", "--check"), "make crds")
    yield Check("chart (helm lint)", (go_program("helm"), "lint", "--strict", "--quiet", CHART))
    yield Check("alerts (promtool)", (debian_program("promtool", "prometheus"), "test", "rules", RULES))
    yield Check("paths and leftovers", (python, "-m", "tools.hygiene"))
    yield Check("words that users read", (python, "-m", "tools.words"), "the list is in tools/words.py")
    yield Check("links of the documentation", (python, "-m", "tools.links"))
    for script in (".ci/run", "tools/docker-cluster.sh"):
        yield Check(f"shell: {script}", ("bash", "-n", script))


def run(check: Check) -> Result:
    """One check, with what it printed where it failed."""
    began = time.monotonic()
    command = [str(part) for part in check.command]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    failed = done.returncode != 0
    return Result(check, time.monotonic() - began, (done.stdout.strip() or "no output") if failed else "")


def main() -> int:
    """Run all; returns the exit code."""
    began = time.monotonic()
    try:
        todo = list(checks())
    except (CommandError, DevclusterError) as error:
        print(f"make check: {error}", file=sys.stderr)
        return 1
    failed = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for result in pool.map(run, todo):
            print(
                f"  {'failed' if result.problem else 'ok':<6} {result.check.name:<36} {result.seconds:5.1f} s",
                flush=True,
            )
            if result.problem:
                failed.append(result)
    for result in failed:
        print(f"\n--- {result.check.name}" + (f" (remedy: {result.check.remedy})" if result.check.remedy else ""))
        print(result.problem)
    took = f"in {time.monotonic() - began:.0f} s"
    print(
        f"\n{len(failed)} of {len(todo)} checks failed {took}" if failed else f"\nall {len(todo)} checks passed {took}"
    )
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
