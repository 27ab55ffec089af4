"""From nothing, or from a cluster that is given, to an installation with traffic on it. Every step can be repeated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml
from devcluster.kubectl import Kubectl
from devcluster.progress import Progress

from demo.steps.checkpoints import Checkpoints
from demo.steps.cluster import Cluster, Manifest, documents
from demo.steps.errors import StepError
from demo.steps.images import EXAMPLE, NAMES, Image, Images, build_and_load, from_registry
from demo.steps.local import CHECKOUT, LocalCluster
from demo.steps.operator import Operator
from demo.steps.policy import Policy
from demo.steps.prometheus import Prometheus
from demo.steps.training import Training
from demo.steps.world import World
from devcluster import programs

SYSTEM_NAMESPACE = "accord-system"
RELEASE = "accord"
SYSTEM = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": SYSTEM_NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}
CHART = CHECKOUT / "helm" / "accord"


@dataclass(frozen=True)
class Ground:
    """A cluster with the example service and Prometheus, without Accord."""

    kubeconfig: Path
    cluster: Cluster
    images: Images
    manifests: list[Manifest]
    """The example, as it was applied."""
    load: Manifest
    """Template of a load pod."""
    policy: Policy
    checkpoints: Checkpoints


def bring_up(where: Path | LocalCluster, progress: Progress) -> World:
    """Everything that the demo and the tests start from, on a local cluster or on the one that a kubeconfig names."""
    return install(prepare(where, progress), progress)


def prepare(where: Path | LocalCluster, progress: Progress) -> Ground:
    """All of it but Accord."""
    if isinstance(where, LocalCluster):
        kubeconfig = where.up()
        images = _local_images(where, progress)
    else:
        kubeconfig = where
        images = from_registry()
    cluster = Cluster(kubeconfig)
    manifests = _example(cluster, images)
    policy = Policy(cluster, yaml.safe_load((EXAMPLE / "policy.yaml").read_text()))
    checkpoints = _checkpoints(cluster, manifests, images, policy)
    with progress.stage("example service and Prometheus"):
        checkpoints.let_go()  # of an earlier run
        template = install_example(cluster, manifests, images)
    return Ground(kubeconfig, cluster, images, manifests, template, policy, checkpoints)


def install(ground: Ground, progress: Progress, chart: Path = CHART) -> World:
    """Accord on it, by this chart, and the example's policy in force."""
    with progress.stage("install the chart with helm"):
        ground.cluster.apply(SYSTEM)
        install_chart(ground.kubeconfig, ground.images, ground.policy.namespace, chart)
        ground.cluster.wait_rolled_out(RELEASE, SYSTEM_NAMESPACE, 90)
    with progress.stage("everything is ready"):
        return _ready(ground)


def _local_images(local: LocalCluster, progress: Progress) -> Images:
    built: dict[str, Image] = {}
    for name in NAMES:
        with progress.stage(f"image accord-{name}"):
            built[name] = build_and_load(name, local)
    return Images(**built)


def install_example(cluster: Cluster, manifests: list[Manifest], images: Images) -> Manifest:
    """The example service and Prometheus; returns the template of a load pod."""
    for manifest in manifests:
        cluster.apply(manifest)
    return _with_images(yaml.safe_load((EXAMPLE / "manifests" / "load.yaml").read_text()), images)


def _example(cluster: Cluster, images: Images) -> list[Manifest]:
    """The example service with a policy that learns, and Prometheus, in the order in which they are applied."""
    told = Kubectl(cluster.kubeconfig)("kustomize", str(EXAMPLE / "learning"))
    return [_with_images(manifest, images) for manifest in documents(told)]


def _checkpoints(cluster: Cluster, manifests: list[Manifest], images: Images, traffic: Policy) -> Checkpoints:
    """Handles on what learns and what is served of it."""
    policy = yaml.safe_load((EXAMPLE / "checkpointpolicy.yaml").read_text())
    run = yaml.safe_load((EXAMPLE / "training.yaml").read_text())
    run["spec"]["template"] = _with_images(run, images)["spec"]["template"]
    training = Training(cluster, Prometheus(cluster, run["metadata"]["namespace"]), run)
    serving = policy["spec"]["serving"]["deploymentRef"]["name"]
    [deployment] = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == ("Deployment", serving)]
    [mode] = [mode for mode in traffic.file_weights() if traffic.deployment_of(mode) == serving]
    return Checkpoints(cluster, policy, training, deployment, traffic.mode_service(mode))


def _with_images(manifest: Manifest, images: Images) -> Manifest:
    """The manifest with its images as they are to be had here, and pods that are renewed when those change."""
    filled: Manifest = json.loads(json.dumps(manifest))
    known = {
        "localhost/accord-example:dev": images.example,
        "localhost/accord-prometheus:dev": images.prometheus,
        "localhost/accord-trainer:dev": images.trainer,
    }
    template = filled if filled["kind"] == "Pod" else filled.get("spec", {}).get("template", {})
    for container in template.get("spec", {}).get("containers", []):
        image = known.get(container["image"])
        if image:
            container["image"] = image.reference
            if image.key:
                metadata = template.setdefault("metadata", {})
                metadata.setdefault("annotations", {})["example/image-key"] = image.key
    return filled


def install_chart(kubeconfig: Path, images: Images, namespace: str, chart: Path = CHART) -> None:
    """`helm upgrade --install`, without waiting: `wait_rolled_out` can say why something is not ready."""
    values = {
        "image": _chart_image(images.operator),
        "envoy": {"image": _chart_image(images.envoy)},
        "prometheus": {"endpoints": {"default": {"url": f"http://prometheus.{namespace}.svc:9090"}}},
        "podAnnotations": {
            "prometheus.io/scrape": "true",  # for the example's Prometheus, which goes by that
            **({"example/image-key": images.operator.key} if images.operator.key else {}),
        },
    }
    install_with(kubeconfig, yaml.safe_dump(values), chart)


def install_with(kubeconfig: Path, values: str, chart: Path = CHART) -> None:
    """The chart with these values (YAML), over whatever was there."""
    where = f"--namespace={SYSTEM_NAMESPACE}"
    helm(kubeconfig, "upgrade", "--install", RELEASE, str(chart), where, "--values=-", stdin=values)


def _chart_image(image: Image) -> Manifest:
    return {"registry": image.registry, "repository": image.repository, "tag": image.tag}


def helm(kubeconfig: Path, *arguments: str, stdin: str = "", timeout: float = 300) -> str:
    """Runs helm on this cluster and returns its stdout; `StepError` with what it said where it failed."""
    built = programs.path("helm")
    program = str(built) if built.exists() else shutil.which("helm")
    if program is None:
        raise StepError("helm is not installed: get it from your distribution, or run: python3 -m devcluster build")
    done = subprocess.run(
        [program, f"--kubeconfig={kubeconfig}", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
    if done.returncode:
        raise StepError(f"helm {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _ready(ground: Ground) -> World:
    """Policy applied, everything rolled out, all modes answering, nothing left of an earlier run."""
    cluster, policy, namespace = ground.cluster, ground.policy, ground.policy.namespace
    world = World(
        cluster=cluster,
        namespace=namespace,
        policy=policy,
        checkpoints=ground.checkpoints,
        prometheus=Prometheus(cluster, namespace),
        operator=Operator(cluster, SYSTEM_NAMESPACE, RELEASE),
        load_template=ground.load,
        images=ground.images,
    )
    for pod in cluster.find("Pod", namespace, "app.kubernetes.io/name=load"):
        cluster.delete("Pod", pod["metadata"]["name"], namespace)  # of an earlier run
    for mode in policy.file_weights():
        cluster.wait_rolled_out(policy.deployment_of(mode), namespace)
    for name in ("prometheus", "llm"):
        cluster.wait_rolled_out(name, namespace)
    ground.checkpoints.clear()
    policy.apply()
    policy.wait_settled(120)
    cluster.wait_rolled_out(policy.router, namespace)
    return world
