"""Traffic through Traefik, split by the HTTPRoute of a policy."""

from __future__ import annotations

import itertools

from tests.apiserver.rig import Namespace
from tests.envoy.load import send, shares, steady_load
from tests.gateways.judging import served
from tests.gateways.rig import GROUP, SPLIT, World, install, near

from accord.adapters.routers.gatewayapi import GatewayAPIRouter
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy

DEPLOYMENTS, BUDGETS = "apps/v1/deployments", "policy/v1/poddisruptionbudgets"


async def test_requests_are_split_by_weight_and_a_user_stays(world: World) -> None:
    await world.start()
    first = await send(world.port, 10_000)
    assert near(served(first), SPLIT), shares(first)
    assert all(reply.cookie == reply.body for reply in first)
    for mode in SPLIT:
        again = await send(world.port, 200, cookie=f"theme=dark; accord-mode={mode}; lang=de")
        assert served(again) == {mode: 100}
        assert {reply.cookie for reply in again} == {None}, "the hour counts from the first answer"
    strangers = await send(world.port, 2000, cookie="accord-mode=unknown; x-accord-mode=creative")
    assert near(served(strangers), SPLIT)
    assert world.condition("Ready") == ("True", "Ready", "traffic is split as specified")
    assert "is accepted by Gateway" in world.condition("Programmed")[2]


async def test_a_wish_wins_in_the_header_before_the_cookie_before_stickiness(world: World) -> None:
    await world.start(strategy="UserPreference")
    for wished, preferred, stuck in itertools.permutations(SPLIT):
        cookies = f"accord-mode={stuck}; accord-preference={preferred}"
        assert served(await send(world.port, 20, cookie=cookies, x_accord_mode=wished)) == {wished: 100}
        assert served(await send(world.port, 20, cookie=cookies)) == {preferred: 100}
        assert served(await send(world.port, 20, cookie=f"accord-mode={stuck}")) == {stuck: 100}
    nobody = await send(world.port, 2000, x_accord_mode="nobody")
    assert near(served(nobody), SPLIT), "a wish for an unknown mode falls through to the weights"


async def test_a_mode_without_pods_gets_nothing_and_its_users_return(world: World) -> None:
    await world.start()
    await world.list_pod("creative", ready=False)
    await world.ready({"fast": 70, "balanced": 30})
    await world.follows({"fast": 70, "balanced": 30})
    users = await send(world.port, 200, cookie="accord-mode=creative")
    assert served(users) == {"fast": 100}
    assert {reply.cookie for reply in users} == {None}, "the cookie that they have is left alone"
    await world.list_pod("creative", ready=True)
    await world.ready(SPLIT)
    await world.follows(SPLIT)
    assert served(await send(world.port, 200, cookie="accord-mode=creative")) == {"creative": 100}

    suspended = {"spec": {"suspend": True}}
    await world.call(world.namespace.patch, "trafficpolicies", "shop", suspended)
    for ready, split in ((False, {"fast": 70, "balanced": 30}), (True, SPLIT)):
        await world.list_pod("creative", ready=ready)
        await world.keeps_up(split)


async def test_a_weight_that_somebody_edits_is_put_back(world: World) -> None:
    operator = await world.start()
    await world.call(operator.until_at_rest)
    route = world.route()
    rules = route["spec"]["rules"]
    rules[-1]["backendRefs"][0]["weight"] = 99
    rules[-1]["backendRefs"].append({**rules[-1]["backendRefs"][0], "name": "somebody"})
    await world.call(world.namespace.patch, f"{GROUP}/v1/httproutes", "shop-router", {"spec": {"rules": rules}})
    await world.until(lambda: world.weights() == SPLIT, "the weights are not put back")
    await world.ready(SPLIT)


async def test_no_field_is_left_for_the_api_server_to_fill_in(world: World) -> None:
    await world.start(strategy="UserPreference")
    policy = TrafficPolicy.model_validate(world.policy())
    (wanted,) = GatewayAPIRouter(lambda: True).objects(policy, {})
    assert world.route()["spec"] == wanted["spec"]


async def test_no_request_fails_over_a_hundred_changes_of_the_weights(world: World) -> None:
    operator = await world.start()
    async with steady_load(world.port) as replies:
        for number in range(100):
            fast = 50 + number % 11
            modes = world.policy()["spec"]["modes"]
            for mode, weight in zip(modes, (fast, 90 - fast, 10), strict=True):
                mode["weight"] = weight
            await world.call(world.namespace.patch, "trafficpolicies", "shop", {"spec": {"modes": modes}})
            wanted = {"fast": fast, "balanced": 90 - fast, "creative": 10}
            await world.ready(wanted)
            # A change that comes before the last one is done with is delayed, as every storm of writes is.
            await world.call(operator.until_at_rest, 0.2)
    assert len(replies) > 100
    assert {reply.status for reply in replies} == {200}


async def test_a_mode_leaves_without_a_failed_request(world: World) -> None:
    await world.start()
    modes = world.policy()["spec"]["modes"]
    async with steady_load(world.port) as replies:
        left = [{**modes[0], "weight": 70}, modes[1]]
        await world.call(world.namespace.patch, "trafficpolicies", "shop", {"spec": {"modes": left}})
        await world.ready({"fast": 70, "balanced": 30})
        await world.until(
            lambda: world.namespace.get("services", "shop-creative") is None, "the Service of the mode stays"
        )
    assert {reply.status for reply in replies} == {200}


async def test_a_missing_gateway_is_told_and_mended_when_it_comes(world: World) -> None:
    await world.start_pods()
    await world.start_traefik()
    await world.start_operator()
    await world.create_policy()
    await world.until(
        lambda: world.condition("Programmed")[1] in ("GatewayNotFound", "RouteNotAccepted"), "nothing is told"
    )
    status, _, message = world.condition("Programmed")
    assert status == "False"
    assert f"Gateway {world.namespace.name}/public" in message
    assert "make sure that" in message
    await world.create_gateway()
    await world.ready(SPLIT)
    await world.follows(SPLIT)


async def test_a_gateway_of_another_namespace_takes_the_route_once_it_allows_that(world: World) -> None:
    infra = await world.call(Namespace, world.api)
    await world.start_pods()
    await world.start_traefik(infra.name)
    await world.create_gateway(infra.name, routes_from="Same")
    await world.start_operator()
    parent = {"name": "public", "namespace": infra.name, "sectionName": "web"}
    await world.create_policy(router={"type": "GatewayAPI", "gatewayAPI": {"parentRefs": [parent]}})
    await world.until(lambda: world.condition("Programmed")[1] == "RouteNotAccepted", "its refusal is not told")
    status, _, message = world.condition("Programmed")
    assert status == "False"
    assert f"Gateway {infra.name}/public (listener web) does not accept" in message
    await world.create_gateway(infra.name, routes_from="All")
    await world.ready(SPLIT)
    await world.follows(SPLIT)


async def test_the_route_comes_when_the_gateway_api_is_installed(bare: World) -> None:
    await bare.start_pods()
    await bare.start_operator()
    await bare.create_policy()
    await bare.until(lambda: bare.condition("Programmed")[1] == "HTTPRouteNotInstalled", "nothing is told")
    assert "install the CRDs of the Gateway API" in bare.condition("Programmed")[2]
    await bare.call(install, bare.api, bare.control_plane.kubectl)
    await bare.start_traefik()
    await bare.create_gateway()
    await bare.until(lambda: bare.route() is not None, "no route", 120)
    await bare.ready(SPLIT)
    await bare.follows(SPLIT)


async def test_a_policy_that_moves_to_another_router_leaves_nothing_of_the_one_before(world: World) -> None:
    def made(collection: str) -> bool:
        return world.namespace.get(collection, "shop-router") is not None

    await world.start_pods()
    await world.start_operator()
    await world.create_policy()
    await world.until(lambda: world.route() is not None, "no route")
    gateway = world.policy()["spec"]["router"]
    await world.call(world.namespace.patch, "trafficpolicies", "shop", {"spec": {"router": None}})
    await world.until(lambda: world.route() is None, "the route stays")
    await world.until(lambda: made(DEPLOYMENTS) and made(BUDGETS), "no router")
    await world.call(world.namespace.patch, "trafficpolicies", "shop", {"spec": {"router": gateway}})
    await world.until(lambda: world.route() is not None, "no route again")
    await world.until(lambda: not made(DEPLOYMENTS) and not made(BUDGETS), "the router stays")


async def test_a_route_of_somebody_else_is_left_to_them(world: World) -> None:
    await world.start_pods()
    mine = {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": [{"name": "mine", "port": 80}]}]}
    await world.apply(
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "shop-router", "namespace": world.namespace.name},
            "spec": mine,
        }
    )
    before = world.route()
    await world.start_operator()
    await world.create_policy()
    await world.until(lambda: world.condition("ResolvedRefs")[1] == "NameConflict", "nothing is told")
    assert "HTTPRoute shop-router already exists" in world.condition("ResolvedRefs")[2]
    assert world.route()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_what_a_route_cannot_do_is_refused_before_anything_is_written(world: World) -> None:
    await world.start_pods()
    await world.start_operator()
    await world.create_policy(strategy="RoundRobin")
    await world.until(lambda: world.condition("Accepted")[0] == "False", "it is not refused")
    assert "spec.strategy: an HTTPRoute has weights and no order" in world.condition("Accepted")[2]
    assert world.route() is None
    assert world.namespace.get("services", "shop-fast") is None
