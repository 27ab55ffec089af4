"""The operator goes, comes back, changes hands, is uninstalled: the traffic does not need it."""

from __future__ import annotations

import time

from demo.steps import experiments
from demo.steps.cluster import wait_until
from demo.steps.environment import RELEASE, SYSTEM_NAMESPACE, helm, install_with
from demo.steps.world import World


def test_a_minute_without_the_operator_loses_no_request(world: World) -> None:
    outcome = experiments.operator_down(world, 60)
    assert outcome.holds, outcome.sentence


def test_of_two_replicas_one_leads_and_the_other_takes_over(world: World) -> None:
    outcome = experiments.failover(world, within=300)  # how fast it is, the demo says
    assert outcome.holds, outcome.sentence


def test_the_charts_own_test_passes(world: World) -> None:
    said = helm(world.cluster.kubeconfig, "test", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--timeout=4m")
    assert "Succeeded" in said


def test_everything_runs_under_restricted_pod_security(world: World) -> None:
    for namespace in (world.namespace, SYSTEM_NAMESPACE):
        live = world.cluster.get("Namespace", namespace) or {}
        assert live["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        forbidden = [
            event["message"]
            for event in world.cluster.find("Event", namespace)
            if "violates PodSecurity" in (event.get("message") or "")
        ]
        assert forbidden == []
    wait_until("both proxies are ready", lambda: len(world.ready_proxies()) == 2, 60)
    wait_until("both replicas are ready", lambda: len(world.operator.pods()) == 2, 60)


def test_a_deleted_policy_takes_its_children_along_and_can_come_back(world: World) -> None:
    # Given a second policy beside the first
    twin = world.policy.renamed("twin")
    twin.apply()
    twin.wait_settled()
    report = world.run_load("--users=4", "--requests=200", url=f"http://{twin.router}/generate")
    assert report["failed"] == 0, report
    # When it is deleted
    world.cluster.delete("TrafficPolicy", twin.name, world.namespace)

    # Then all that it made goes, and nothing of its neighbour
    def children() -> list[str]:
        labels = f"accord.dev/traffic-policy={twin.name}"
        kinds = ("Service", "Deployment", "PodDisruptionBudget", "Pod")
        return [kind for kind in kinds if world.cluster.find(kind, world.namespace, labels)]

    wait_until("the children of the deleted policy are gone", lambda: not children(), 60, lambda: str(children()))
    assert world.cluster.get("Service", world.policy.router, world.namespace)


def test_uninstalling_leaves_the_routing_and_the_crds(world: World) -> None:
    # Given an installation under load
    kubeconfig, before = world.cluster.kubeconfig, world.background.fresh_tally()
    values = helm(kubeconfig, "get", "values", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--output=yaml")
    # When the chart is uninstalled
    helm(kubeconfig, "uninstall", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--wait", "--timeout=4m")
    try:
        # Then the operator is gone, policies and routers are not, and requests go on
        assert world.cluster.get("Deployment", RELEASE, SYSTEM_NAMESPACE) is None
        assert world.cluster.get("CustomResourceDefinition", "trafficpolicies.accord.dev")
        assert world.policy.live()["metadata"].get("deletionTimestamp") is None
        time.sleep(5)
        whole = world.background.fresh_tally().since(before)
        assert whole.failed == 0, world.explain_failures()
        assert whole.answered > 0
    finally:
        install_with(kubeconfig, values)
        world.cluster.wait_rolled_out(RELEASE, SYSTEM_NAMESPACE)
    # And installed again it goes on where it was
    world.policy.set_weights({"fast": 20, "balanced": 20, "creative": 60})
    world.policy.wait_settled()
