"""The API server with operators of `tests/apiserver`."""

from tests.apiserver.conftest import api, namespace, operators_kubeconfig, start_operator

__all__ = ["api", "namespace", "operators_kubeconfig", "start_operator"]
