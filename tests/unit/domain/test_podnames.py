"""What pods are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import accord
from accord.domain import podnames


@pytest.mark.parametrize(("pod", "job"), [("r-1-x7k2p", "r-1"), ("r-1-X", ""), ("r-1-", ""), ("pod", ""), ("", "")])
def test_a_pod_of_a_job_is_known_by_its_name(pod: str, job: str) -> None:
    assert podnames.job_of(pod) == job
    assert bool(re.fullmatch(podnames.of_job("r-[0-9]+"), pod)) == bool(job)


def test_the_pattern_of_pod_names_is_written_once() -> None:
    root = Path(accord.__file__).parent
    written = re.compile(r"[\"'}(-]\[a-z0-9\]\+[\"'-]")
    found = [str(each.relative_to(root)) for each in root.rglob("*.py") if written.search(each.read_text("utf-8"))]
    assert found == ["domain/podnames.py"]
