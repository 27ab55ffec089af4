"""Which of the rights that the chart grants no test of an operator has needed: a pytest plugin.

`--every-right-used`, which is for runs of all tests, makes the run fail where there is one. A right that a test lacks
is found by that test itself (tests/apiserver/rights.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.apiserver import rights
from tests.apiserver.rights import Right

from accord.rbac import watched

NOT_SHOWN = {
    ("accord.dev", "trafficpolicies/finalizers", "update"): "an admission plugin asks, as OpenShift has it",
    ("accord.dev", "trainingruns/finalizers", "update"): "an admission plugin asks, as OpenShift has it",
    ("kueue.x-k8s.io", "workloads", "get"): "it is read who keeps reverting `active`, where somebody does",
}
"""What no test asks for, and why it is granted."""
_OUTPUT = "rights_used"


def granted() -> set[Right]:
    """In each namespace that an operator watches."""
    return {(*resource, verb) for resource, verbs in watched().items() for verb in verbs}


def unused(counts: Counter[Right]) -> list[Right]:
    """Rights that are granted for nothing, as far as these requests show."""
    return sorted(right for right in granted() - NOT_SHOWN.keys() if not counts[right])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-right-used", action="store_true", help="fail where a right is granted and never used")


class Grants:
    """Counts in each process, adds up in the one that reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._counts: Counter[Right] = Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = [[*right, count] for right, count in rights.used.items()]
            return
        self._counts.update(rights.used)
        if self._config.getoption("--every-right-used") and session.exitstatus == 0 and unused(self._counts):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for *right, count in getattr(node, "workeroutput", {}).get(_OUTPUT, ()):
            self._counts[tuple(right)] += count

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._config.getoption("--every-right-used"):
            terminalreporter.section("rights of the operator")
            for line in self._lines():
                terminalreporter.write_line(line)

    def _lines(self) -> Iterator[str]:
        seldom = sorted(granted() & self._counts.keys(), key=lambda right: self._counts[right])[:5]
        yield f"{len(granted())} granted, {len(granted() & self._counts.keys())} used"
        yield "seldom used: " + ", ".join(f"{_named(right)} ({self._counts[right]})" for right in seldom)
        for right in unused(self._counts):
            yield f"granted and never used: {_named(right)}"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Grants(config), "accord-grants")


def _named(right: Right) -> str:
    group, resource, verb = right
    return f"{verb} {resource}" + (f".{group}" if group else "")
