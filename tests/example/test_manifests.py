"""The manifests of the example fit the kinds, and each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.envoy.rig import make_policy
from tests.example.conftest import EXAMPLE

from accord.adapters.routers.envoy import EnvoySettings
from accord.adapters.routers.envoy.objects import objects
from accord.api.validation import validate
from accord.domain.checkpoint.names import SERVED_STEP_ANNOTATION

KINDS = ("policy.yaml", "training.yaml", "checkpointpolicy.yaml")


def read(path: str) -> Any:
    return yaml.safe_load((EXAMPLE / path).read_text())


@pytest.mark.parametrize("file", KINDS)
def test_the_api_takes_them(file: str) -> None:
    assert validate(read(file)) == []


def test_the_checkpoint_policy_names_what_there_is() -> None:
    policy, run, overlay = read("checkpointpolicy.yaml"), read("training.yaml"), read("learning/serve-policy.yaml")
    serving, pod = policy["spec"]["serving"], overlay["spec"]["template"]["spec"]
    deployments = list(yaml.safe_load_all((EXAMPLE / "manifests/modes.yaml").read_text()))
    assert policy["spec"]["trainingRunRef"]["name"] == run["metadata"]["name"]
    assert serving["deploymentRef"]["name"] == overlay["metadata"]["name"]
    assert overlay["metadata"]["name"] in {each["metadata"]["name"] for each in deployments}
    (volume,) = pod["volumes"]
    assert volume["name"] == serving["volume"] == pod["containers"][0]["volumeMounts"][0]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == read("learning/policy-untrained.yaml")["metadata"]["name"]


def test_the_pod_reads_the_step_from_the_annotation_that_the_operator_writes() -> None:
    pod = read("learning/serve-policy.yaml")["spec"]["template"]["spec"]
    variables = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    path = variables["CHECKPOINT_STEP"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == f"metadata.annotations['{SERVED_STEP_ANNOTATION}']"
    assert Path(variables["CHECKPOINT_DIR"]["value"]) == Path(pod["containers"][0]["volumeMounts"][0]["mountPath"])


def scraped_by(**labels: str) -> list[str]:
    """The scrape jobs of the example's Prometheus that keep a running pod with these labels of its discovery."""
    documents = list(yaml.safe_load_all((EXAMPLE / "manifests/prometheus.yaml").read_text()))
    (configured,) = (each["data"]["prometheus.yml"] for each in documents if each["kind"] == "ConfigMap")
    found = []
    pod = {"pod_phase": "Running", **labels}
    for job in yaml.safe_load(configured)["scrape_configs"]:
        (discovery,) = job["kubernetes_sd_configs"]
        kept = not (discovery.get("namespaces") or {}).get("own_namespace") or labels["namespace"] == "accord-demo"
        for rule in job["relabel_configs"]:
            values = (pod.get(name.removeprefix("__meta_kubernetes_"), "") for name in rule["source_labels"])
            matches = re.fullmatch(str(rule.get("regex", "(.*)")), ";".join(values)) is not None
            kept = kept and {"keep": matches, "drop": not matches}.get(rule.get("action", "replace"), True)
        found += [job["job_name"]] if kept else []
    return found


def test_prometheus_scrapes_the_proxies_of_a_router_where_they_say_and_not_their_traffic() -> None:
    """At the port for the traffic, some mode or other answers: its requests would count twice."""
    documents = yaml.safe_load_all((EXAMPLE / "manifests/prometheus.yaml").read_text())
    (configured,) = (each["data"]["prometheus.yml"] for each in documents if each["kind"] == "ConfigMap")
    jobs = yaml.safe_load(configured)["scrape_configs"]
    (asking,) = (job for job in jobs if job["job_name"] == "asking")
    router = {
        "__meta_kubernetes_pod_ip": "10.0.0.7",
        "__meta_kubernetes_pod_annotation_prometheus_io_port": "8081",
        "__meta_kubernetes_pod_annotation_prometheus_io_path": "/stats/prometheus",
    }
    found = {}
    for rule in asking["relabel_configs"]:
        matches = re.fullmatch(
            str(rule.get("regex", "(.*)")), ";".join(router.get(name, "") for name in rule["source_labels"])
        )
        if rule.get("action", "replace") == "replace" and matches:
            found[rule["target_label"]] = matches.expand(re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1")))
    assert (found["__address__"], found["__metrics_path__"]) == ("10.0.0.7:8081", "/stats/prometheus")
    settings = EnvoySettings(image="envoy")
    (deployment,) = (each for each in objects(make_policy({"fast": 100}), settings) if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]
    named = {port["containerPort"]: port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    asks = {
        f"pod_annotation_{re.sub('[^a-z]', '_', name)}": value for name, value in pod["metadata"]["annotations"].items()
    }
    assert asks["pod_annotation_prometheus_io_port"] == router["__meta_kubernetes_pod_annotation_prometheus_io_port"]
    assert scraped_by(namespace="shop", pod_container_port_name=named[settings.http_port], **asks) == ["asking"]
    assert scraped_by(namespace="shop", pod_container_port_name=named[settings.http_port]) == []
    # Also where somebody runs a policy in the namespace of the example, with its label on the router's pods.
    example = {"namespace": "accord-demo", "pod_label_app_kubernetes_io_name": "example"}
    assert scraped_by(**example, pod_container_port_name=named[settings.http_port]) == []
    assert (
        scraped_by(namespace="shop", pod_container_port_name="sidecar", pod_annotation_prometheus_io_scrape="true")
        == []
    )


def test_prometheus_sees_every_trainer_and_every_pod_that_asks_once() -> None:
    trainer = {"pod_label_accord_dev_training_run": "r", "pod_container_port_name": "metrics"}
    service = {"pod_label_app_kubernetes_io_name": "example", "pod_container_port_name": "http"}
    asks = {"pod_annotation_prometheus_io_scrape": "true"}
    for namespace in ("accord-demo", "shop"):
        assert scraped_by(namespace=namespace, **trainer) == ["trainers"]
        assert scraped_by(namespace=namespace, **trainer, **asks) == ["trainers"]
        assert scraped_by(namespace=namespace, pod_container_port_name="http", **asks) == ["asking"]
        assert scraped_by(namespace=namespace, pod_container_port_name="http") == []
    assert scraped_by(namespace="accord-demo", **service, **asks) == ["example"]
    assert scraped_by(namespace="shop", **service, **asks) == ["asking"]
    assert scraped_by(namespace="shop", **service) == []
    assert scraped_by(namespace="shop", **{**trainer, "pod_phase": "Pending"}) == []
