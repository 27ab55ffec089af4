"""Reading Deployments, live ones and manifests."""

from __future__ import annotations

from accord.domain.traffic.observed import ContainerView, DeploymentView


def test_a_manifest_with_little_in_it() -> None:
    manifest = {"metadata": {"name": "fast"}, "spec": {"selector": {"matchLabels": {"app": "x"}}}}
    assert DeploymentView.of(manifest) == DeploymentView("fast", {"app": "x"}, replicas=1)
    assert DeploymentView.of({"metadata": {"name": "fast"}, "spec": None}).match_labels == {}


def test_a_live_one() -> None:
    containers = [{"ports": [{"containerPort": 8080}, {"containerPort": 9090}]}, {"name": "sidecar"}]
    live = {
        "metadata": {"name": "fast"},
        "spec": {
            "replicas": 0,
            "selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
            "template": {"spec": {"containers": containers}},
        },
        "status": {"readyReplicas": 3},
    }
    views = (ContainerView({"8080": 8080, "9090": 9090}), ContainerView())
    assert DeploymentView.of(live) == DeploymentView("fast", {}, True, 0, 3, (8080, 9090), views)


def test_why_the_api_server_refuses_pods_is_read_while_it_does() -> None:
    entry = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: team"}

    def refused(**changes: str) -> str | None:
        live = {"metadata": {"name": "fast"}, "spec": {}, "status": {"conditions": [{**entry, **changes}]}}
        return DeploymentView.of(live).refused

    assert refused() == "exceeded quota: team"
    assert refused(message="") == "FailedCreate"
    assert refused(status="False") is None
