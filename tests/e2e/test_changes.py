"""The cluster changes under the policy, and the policy under the load."""

from __future__ import annotations

import pytest
from demo.steps import experiments
from demo.steps.cluster import ApiError, wait_until
from demo.steps.world import World


def test_a_rollout_of_a_mode_loses_no_request(world: World) -> None:
    outcome = experiments.rollout(world)
    assert outcome.holds, outcome.sentence


def test_a_mode_scaled_to_zero_falls_back_and_comes_back(world: World) -> None:
    outcome = experiments.mode_without_pods(world)
    assert outcome.holds, outcome.sentence


def test_a_deleted_service_is_put_back_and_no_request_notices(world: World) -> None:
    outcome = experiments.service_deleted(world, within=100)  # how fast it is, the demo says
    assert outcome.holds, outcome.sentence


def test_a_mode_that_answers_500_is_left_out(world: World) -> None:
    # Given a pod of one mode that fails every request from now on
    labels = "app.kubernetes.io/name=example,app.kubernetes.io/component=creative"
    pods = [pod["metadata"]["name"] for pod in world.cluster.ready_pods(world.namespace, labels)]
    path = f"/api/v1/namespaces/{world.namespace}/pods/{pods[0]}:8080/proxy/fault"
    before = world.background.fresh_tally()
    world.cluster.request("POST", f"{path}?mode=500&for=3600")
    try:
        # When requests go on
        report = world.run_load("--users=8", "--requests=2000")
        whole = world.background.fresh_tally().since(before)
    finally:
        world.cluster.request("POST", f"{path}?mode=off")
    # Then other modes answer in its place, and no user sees a failure
    assert (report["failed"], whole.failed) == (0, 0), report
    assert "creative" not in report["modes"]

    # And it is let in again when it has recovered
    check = world.background.fresh_tally()
    wait_until("creative answers again", lambda: "creative" in world.background.tally().since(check).modes, 90)


def test_a_model_that_fails_costs_its_mode_the_share_until_it_is_well(world: World) -> None:
    outcome = experiments.model_fails(world)
    assert outcome.holds, outcome.sentence


def test_a_mode_leaves_and_comes_back_under_load(world: World) -> None:
    # Given three modes under load
    policy, before = world.policy, world.background.fresh_tally()
    modes = policy.live()["spec"]["modes"]
    # When one is taken out of the policy
    policy.set_spec(modes=[{**mode, "weight": weight} for mode, weight in zip(modes[:2], (70, 30), strict=True)])
    policy.wait_settled()
    # Then its Service goes, after the routes
    name = policy.mode_service("creative")
    wait_until("its Service is gone", lambda: world.cluster.get("Service", name, world.namespace) is None, 30)
    # And when it is put back, it is served again
    policy.apply()
    policy.wait_settled()
    check = world.background.fresh_tally()
    wait_until("creative answers again", lambda: "creative" in world.background.tally().since(check).modes, 30)
    # And no request noticed any of it
    whole = world.background.fresh_tally().since(before)
    assert whole.failed == 0, world.explain_failures()


def test_a_proxy_goes_without_losing_a_request(world: World) -> None:
    # Given two proxies under load
    wait_until("both proxies are ready", lambda: len(world.ready_proxies()) == 2, 90)
    leaving, *_ = world.ready_proxies()
    before = world.background.fresh_tally()
    # When one is deleted, as a drained node would
    world.cluster.delete("Pod", leaving, world.namespace)
    wait_until("the old proxy is gone", lambda: leaving not in world.proxies(), 90)
    wait_until("another one is ready", lambda: len(world.ready_proxies()) == 2, 90)
    # Then no request was lost
    whole = world.background.fresh_tally().since(before)
    assert whole.failed == 0, world.explain_failures()


def test_a_missing_deployment_is_named(world: World) -> None:
    # Given a policy that refers to a Deployment that does not exist
    modes = world.policy.live()["spec"]["modes"]
    modes[2]["deploymentRef"]["name"] = "example-nonesuch"
    # When it is applied
    world.policy.set_spec(modes=modes)
    # Then the condition names it
    world.policy.wait_condition("ResolvedRefs", "False", 20)
    assert "example-nonesuch" in world.policy.explain()


def test_wrong_weights_are_refused_by_the_api_server(world: World) -> None:
    with pytest.raises(ApiError, match="the weights of all modes must sum to 100, not 110"):
        world.policy.set_weights({"fast": 60, "balanced": 30, "creative": 20})
