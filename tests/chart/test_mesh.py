"""What the page about service meshes says to set is there to be set, and has the effect that the page says."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest
import yaml
from tests.chart.conftest import Rendered, helm_template
from tools.programs import ROOT

from accord.adapters.routers.envoy import EnvoySettings
from accord.adapters.routers.envoy.objects import objects
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.validation import stored, validate
from accord.config import Config

PAGE = (ROOT / "docs" / "how-to" / "service-mesh.md").read_text(encoding="utf-8")
EXAMPLE = yaml.safe_load((ROOT / "manifests" / "examples" / "trafficpolicy-istio.yaml").read_text(encoding="utf-8"))
NETWORK_POLICY, POLICY, PEERS, NO_SIDECAR, EXCLUDED = (
    yaml.safe_load(textwrap.dedent(block))
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
)
OUT_OF_THE_MESH = {"sidecar.istio.io/inject": "false"}


def router_pod(policy: dict[str, Any]) -> Any:
    placed = stored({**policy, "metadata": {"namespace": "shop", **policy["metadata"]}})
    wanted = objects(TrafficPolicy.model_validate(placed), EnvoySettings(image="envoy"))
    (deployment,) = (manifest for manifest in wanted if manifest["kind"] == "Deployment")
    return deployment["spec"]["template"]


def operator_pod(tmp_path: Any, values: dict[str, Any]) -> Any:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    done = helm_template("--values", str(path))
    assert done.returncode == 0, done.stderr
    return Rendered(done.stdout).one("Deployment")["spec"]["template"]


def test_the_router_of_the_example_stays_out_of_the_mesh() -> None:
    assert validate(EXAMPLE) == []
    assert POLICY["spec"]["router"]["envoy"]["pods"] == EXAMPLE["spec"]["router"]["envoy"]["pods"]
    assert router_pod(EXAMPLE)["metadata"]["labels"].items() >= OUT_OF_THE_MESH.items()


def test_the_exception_is_for_the_port_of_the_modes_pods() -> None:
    assert {mode["port"] for mode in EXAMPLE["spec"]["modes"]} == set(PEERS["spec"]["portLevelMtls"])
    assert PEERS["metadata"]["name"] in {mode["deploymentRef"]["name"] for mode in EXAMPLE["spec"]["modes"]}
    assert PEERS["spec"]["selector"]["matchLabels"], "without a selector Istio ignores ports"


def test_the_operators_pods_take_what_keeps_them_out_of_the_mesh(tmp_path: Any) -> None:
    assert operator_pod(tmp_path, NO_SIDECAR)["metadata"]["labels"].items() >= OUT_OF_THE_MESH.items()
    pod = operator_pod(tmp_path, EXCLUDED)
    ((name, port),) = EXCLUDED["podAnnotations"].items()
    assert pod["metadata"]["annotations"][name] == port
    (xds,) = (each for each in pod["spec"]["containers"][0]["ports"] if each["name"] == "xds")
    assert int(port) == xds["containerPort"]


def test_the_network_policy_is_about_the_operators_pods(tmp_path: Any) -> None:
    labels = operator_pod(tmp_path, {})["metadata"]["labels"]
    assert NETWORK_POLICY["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("said", [f"port {Config().xds.port}", f"port {EnvoySettings(image='x').probe_port}"])
def test_the_ports_of_the_page_are_those_of_the_program(said: str) -> None:
    assert said in PAGE


def test_the_page_names_the_routers_pods_as_they_are_labelled() -> None:
    labels = router_pod({**EXAMPLE, "metadata": {"name": "x"}})["metadata"]["labels"]
    assert f"`app.kubernetes.io/name: {labels['app.kubernetes.io/name']}`" in PAGE
    assert labels["app.kubernetes.io/instance"] == "x-router"
    assert "serviceAccountName" not in router_pod(EXAMPLE)["spec"], "so it is the namespace's default"
