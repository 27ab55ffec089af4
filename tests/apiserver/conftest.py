"""The API server with our CRDs, and operators that live as long as one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver import rights
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api, Namespace, OperatorProcess

StartOperator = Callable[..., OperatorProcess]


@pytest.fixture(scope="session")
def api(control_plane: Any) -> Api:
    """A client of the API server, which knows our kinds."""
    return install_kinds(control_plane)


@pytest.fixture
def namespace(api: Api) -> Namespace:
    """An empty namespace. It is left behind: the control plane is thrown away as a whole."""
    return Namespace(api)


@pytest.fixture
def operators_kubeconfig(api: Api, control_plane: Any, namespace: Namespace, tmp_path: Path) -> Iterator[Path]:
    """With the rights that the chart gives to an operator of the test's namespace. At the end: it needed no others."""
    with rights.account(api, control_plane, namespace.name, tmp_path) as written:
        yield written


@pytest.fixture
def start_operator(
    api: Api, operators_kubeconfig: Path, namespace: Namespace, tmp_path: Path
) -> Iterator[StartOperator]:
    """Starts operators that watch only the test's namespace, without an election unless asked for."""
    with ExitStack() as stack:

        def start(**config: Any) -> OperatorProcess:
            settings = {"namespaces": [namespace.name], "leaderElection": {"enabled": False}, **config}
            for watched in settings["namespaces"]:
                rights.give(api, namespace.name, watched)
            if not settings["namespaces"]:
                rights.give_everywhere(api, namespace.name)
            settings.setdefault("pod_namespace", namespace.name)
            operator = OperatorProcess(operators_kubeconfig, tmp_path, **settings)
            stack.enter_context(operator)
            return operator

        yield start


@pytest.fixture
def operator(start_operator: StartOperator) -> OperatorProcess:
    """One running operator."""
    return start_operator().ready()
