"""The lessons of the docs go on where the demo ended: kubectl takes over what the demo applied without a word."""

from __future__ import annotations

import subprocess
from typing import Any

import yaml
from demo.steps.cluster import Cluster, documents
from demo.steps.environment import install_example
from demo.steps.images import EXAMPLE, Image, Images
from tests.apiserver.rig import Api

from devcluster import programs


def test_kubectl_apply_after_the_demo_warns_of_nothing(api: Api, control_plane: Any) -> None:
    kubectl = [str(programs.path("kubectl")), f"--kubeconfig={control_plane.kubeconfig}"]
    learning = subprocess.run(
        [*kubectl, "kustomize", str(EXAMPLE / "learning")], capture_output=True, text=True, check=True
    )
    image = Image("localhost/x:1", "key")
    cluster = Cluster(control_plane.kubeconfig)
    manifests = documents(learning.stdout)
    install_example(cluster, manifests, Images(image, image, image, image, image))
    policy = yaml.safe_load((EXAMPLE / "policy.yaml").read_text())
    cluster.apply(policy)

    for given in (["-k", str(EXAMPLE / "manifests")], ["-f", str(EXAMPLE / "policy.yaml")]):
        done = subprocess.run([*kubectl, "apply", *given], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout
    cluster.delete("TrafficPolicy", policy["metadata"]["name"], policy["metadata"]["namespace"])
    cluster.delete("Namespace", policy["metadata"]["namespace"])
