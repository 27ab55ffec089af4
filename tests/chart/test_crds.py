"""The CRDs in the chart: the committed ones, kept at uninstall."""

from __future__ import annotations

import yaml
from tests.chart.conftest import Render
from tools.programs import ROOT


def test_the_chart_installs_the_committed_crds_unchanged(render: Render) -> None:
    committed = {crd["metadata"]["name"]: crd["spec"] for crd in _committed()}
    assert {crd["metadata"]["name"]: crd["spec"] for crd in render().all("CustomResourceDefinition")} == committed
    assert len(committed) == 3


def test_uninstall_keeps_them_unless_told_otherwise(render: Render) -> None:
    for crd in render().all("CustomResourceDefinition"):
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for crd in render("default", crds__keep="false").all("CustomResourceDefinition"):
        assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})


def test_they_can_be_left_to_somebody_else(render: Render) -> None:
    assert not render("default", crds__install="false").all("CustomResourceDefinition")


def test_the_folder_of_the_crds_can_be_applied_as_it_is() -> None:
    """`kubectl apply -f crds/` takes every file of these endings for objects."""
    files = [path for path in (ROOT / "crds").iterdir() if path.suffix in (".yaml", ".yml", ".json")]
    kinds = {doc["kind"] for path in files for doc in yaml.safe_load_all(path.read_text())}
    assert kinds == {"CustomResourceDefinition"}


def _committed() -> list[dict]:  # type: ignore[type-arg]
    return [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("accord.dev_*.yaml"))]
