"""Traffic through a gateway of Istio, split by the VirtualService of a policy."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver.rig import Api
from tests.envoy.http1 import Reply
from tests.envoy.load import send, steady_load
from tests.gateways import istio, istiorig
from tests.gateways.failing import Failing, breaker
from tests.gateways.istiorig import DESTINATION_RULES, VIRTUAL_SERVICES, Mesh
from tests.gateways.judging import LIKELY, chi_square, served
from tests.gateways.rig import SPLIT, near
from tests.prometheus.rig import Prometheus, prometheus

from accord.adapters.routers.istio import IstioRouter
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.ports.clock import SystemClock


@pytest.fixture
async def bare(plane: ControlPlane, plane_api: Api, tmp_path: Path) -> AsyncIterator[Mesh]:
    """A cluster without Istio."""
    istio.remove(plane_api, plane.kubectl)
    async with istiorig.mesh(plane, plane_api, tmp_path) as made:
        yield made


@pytest.fixture
async def mesh(plane: ControlPlane, plane_api: Api, tmp_path: Path) -> AsyncIterator[Mesh]:
    """A cluster with its kinds."""
    istio.install(plane_api, plane.kubectl)
    async with istiorig.mesh(plane, plane_api, tmp_path) as made:
        yield made


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def store(tmp_path: Path, failing: Failing) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it."""
    with prometheus(tmp_path / "prometheus", failing) as started:
        yield started


def by_chance(replies: list[Reply]) -> None:
    """Each request is drawn by itself, so a share of few requests may well be some points off."""
    split = served(replies)
    assert split.keys() == SPLIT.keys(), split
    off = chi_square(split, SPLIT, len(replies))
    assert off < LIKELY, f"no chance, but a fault: chi-square {off} of {split}"


async def test_requests_are_split_by_weight_and_a_user_stays(mesh: Mesh) -> None:
    await mesh.start()
    first = await send(mesh.port, 10_000)
    assert near(served(first), SPLIT), served(first)
    by_chance(first)
    assert all(reply.cookie == reply.body for reply in first)
    for mode in SPLIT:
        again = await send(mesh.port, 200, cookie=f"theme=dark; accord-mode={mode}; lang=de")
        assert served(again) == {mode: 100}
        assert {reply.cookie for reply in again} == {None}, "the hour counts from the first answer"
    strangers = await send(mesh.port, 2000, cookie="accord-mode=unknown; x-accord-mode=creative")
    by_chance(strangers)
    by_chance(await send(mesh.port, 2000, method="POST"))
    assert mesh.condition("Ready") == ("True", "Ready", "traffic is split as specified")
    assert "Istio does not report whether its proxies have it" in mesh.condition("Programmed")[2]
    assert mesh.proxy is not None
    assert await mesh.call(mesh.proxy.refused) == 0


async def test_a_wish_wins_in_the_header_before_the_cookie_before_stickiness(mesh: Mesh) -> None:
    await mesh.start(strategy="UserPreference")
    for wished, preferred, stuck in itertools.permutations(SPLIT):
        cookies = f"accord-mode={stuck}; accord-preference={preferred}"
        assert served(await send(mesh.port, 20, cookie=cookies, x_accord_mode=wished)) == {wished: 100}
        assert served(await send(mesh.port, 20, cookie=cookies)) == {preferred: 100}
        assert served(await send(mesh.port, 20, cookie=f"accord-mode={stuck}")) == {stuck: 100}
    nobody = await send(mesh.port, 2000, x_accord_mode="nobody")
    by_chance(nobody)  # a wish for an unknown mode falls through to the weights


async def test_a_mode_without_pods_gets_nothing_and_its_users_return(mesh: Mesh) -> None:
    await mesh.start()
    await mesh.list_pod("creative", ready=False)
    await mesh.ready({"fast": 70, "balanced": 30})
    await mesh.follows({"fast": 70, "balanced": 30})
    users = await send(mesh.port, 200, cookie="accord-mode=creative")
    assert served(users) == {"fast": 100}
    assert {reply.cookie for reply in users} == {None}, "the cookie that they have is left alone"
    await mesh.list_pod("creative", ready=True)
    await mesh.ready(SPLIT)
    await mesh.follows(SPLIT)
    assert served(await send(mesh.port, 200, cookie="accord-mode=creative")) == {"creative": 100}

    suspended = {"spec": {"suspend": True}}
    await mesh.call(mesh.namespace.patch, "trafficpolicies", "shop", suspended)
    for ready, split in ((False, {"fast": 70, "balanced": 30}), (True, SPLIT)):
        await mesh.list_pod("creative", ready=ready)
        await mesh.keeps_up(split)


async def test_a_downshift_moves_the_share_and_the_users_and_gives_them_back(
    mesh: Mesh, store: Prometheus, failing: Failing
) -> None:
    mesh.prometheus = store.url
    await mesh.start(circuitBreaker=breaker("10m"), monitoring={"interval": "1s"})
    failing.failures = 5
    await mesh.ready({"fast": 60, "balanced": 40})
    await mesh.follows({"fast": 60, "balanced": 40})
    users = await send(mesh.port, 1000, cookie="accord-mode=creative")
    assert set(served(users)) == {"fast", "balanced"}
    assert {reply.cookie for reply in users} == {None}, "they return to the mode that they had"
    assert mesh.pods["balanced"].seen[-1]["x-accord-cache-ttl"] == "300"
    failing.failures = 0
    shortened = {"spec": {"circuitBreaker": {"cooldown": "1s"}}}
    await mesh.call(mesh.namespace.patch, "trafficpolicies", "shop", shortened)
    await mesh.ready(SPLIT)
    await mesh.follows(SPLIT)
    assert served(await send(mesh.port, 200, cookie="accord-mode=creative")) == {"creative": 100}
    assert mesh.pods["creative"].seen[-1]["x-accord-cache-ttl"] == "3600"


async def test_only_what_may_be_repeated_is_repeated(mesh: Mesh) -> None:
    await mesh.start()
    pod = mesh.pods["creative"]
    pod.status = 500
    for method, times in (("GET", 3), ("POST", 1)):
        pod.requests.clear()
        (reply,) = await send(mesh.port, 1, clients=1, method=method, cookie="accord-mode=creative")
        assert (reply.status, pod.requests[method]) == (500, times)


async def test_what_somebody_edits_is_put_back(mesh: Mesh) -> None:
    operator = await mesh.start()
    await mesh.call(operator.until_at_rest)
    http = mesh.route()["spec"]["http"]
    http[-1]["route"][0]["weight"] = 99
    http[0]["fault"] = {"abort": {"httpStatus": 500, "percentage": {"value": 100}}}
    await mesh.call(mesh.namespace.patch, VIRTUAL_SERVICES, "shop-router", {"spec": {"http": http}})
    await mesh.until(lambda: mesh.weights() == SPLIT and "fault" not in mesh.route()["spec"]["http"][0], "it stays")
    policy = {"trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    await mesh.call(mesh.namespace.patch, DESTINATION_RULES, "shop-fast", {"spec": policy})

    def put_back() -> bool:
        found = mesh.namespace.get(DESTINATION_RULES, "shop-fast")["spec"]["trafficPolicy"]
        return bool(found["loadBalancer"] == {"simple": "LEAST_REQUEST"})

    await mesh.until(put_back, "the load balancing is not put back")
    await mesh.ready(SPLIT)


async def test_nothing_is_left_for_the_api_server_to_fill_in_and_istioctl_has_no_objection(mesh: Mesh) -> None:
    await mesh.start_pods()
    await mesh.start_operator()
    circuit = {"mode": "creative", "shiftTo": [{"mode": "balanced", "weight": 100}]}
    cookie = {"cookie": "a%b|c`d"}
    await mesh.create_policy(strategy="UserPreference", stickySession=cookie, circuitBreaker=circuit)
    await mesh.ready(SPLIT)
    policy = TrafficPolicy.model_validate(mesh.policy())
    wanted = IstioRouter(lambda: True, SystemClock()).objects(policy, {})
    live = [
        mesh.namespace.get(f"{istio.GROUP}/v1/{each['kind'].lower()}s", each["metadata"]["name"]) for each in wanted
    ]
    assert [each["spec"] for each in live] == [each["spec"] for each in wanted]
    file = mesh.directory / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(wanted)}))
    done = await mesh.call(
        lambda: subprocess.run(
            [str(istio.program("istioctl")), "validate", "-f", str(file)], capture_output=True, text=True, check=False
        )
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr


async def test_no_request_fails_over_a_hundred_changes_of_the_weights(mesh: Mesh) -> None:
    operator = await mesh.start()
    async with steady_load(mesh.port) as replies:
        for number in range(100):
            fast = 50 + number % 11
            modes = mesh.policy()["spec"]["modes"]
            for mode, weight in zip(modes, (fast, 90 - fast, 10), strict=True):
                mode["weight"] = weight
            await mesh.call(mesh.namespace.patch, "trafficpolicies", "shop", {"spec": {"modes": modes}})
            await mesh.ready({"fast": fast, "balanced": 90 - fast, "creative": 10})
            # A change that comes before the last one is done with is delayed, as every storm of writes is.
            await mesh.call(operator.until_at_rest, 0.2)
    assert len(replies) > 100
    assert {reply.status for reply in replies} == {200}


async def test_a_mode_leaves_without_a_failed_request(mesh: Mesh) -> None:
    await mesh.start()
    modes = mesh.policy()["spec"]["modes"]
    async with steady_load(mesh.port) as replies:
        left = [{**modes[0], "weight": 70}, modes[1]]
        await mesh.call(mesh.namespace.patch, "trafficpolicies", "shop", {"spec": {"modes": left}})
        await mesh.until(lambda: mesh.weights() == {"fast": 70, "balanced": 30}, "the mode stays in the route")
        assert mesh.namespace.get("services", "shop-creative") is not None, "the proxies may still send requests to it"
        await mesh.until(
            lambda: mesh.namespace.get("services", "shop-creative") is None, "the Service of the mode stays"
        )
        await mesh.until(
            lambda: mesh.namespace.get(DESTINATION_RULES, "shop-creative") is None, "its DestinationRule stays"
        )
        await mesh.ready({"fast": 70, "balanced": 30})
    assert {reply.status for reply in replies} == {200}


async def test_a_missing_gateway_is_told_where_istio_looks_for_it_and_mended_when_it_comes(mesh: Mesh) -> None:
    await mesh.start_pods()
    await mesh.start_istio()
    await mesh.start_operator()
    await mesh.create_policy()
    await mesh.until(lambda: mesh.condition("Programmed")[1] == "IstioReportsErrors", "nothing is told", 120)
    said = mesh.condition("Programmed")[2]
    assert said.startswith("Istio reports IST0101 for VirtualService shop-router, see https://istio.io/")
    await mesh.create_gateway()
    await mesh.ready(SPLIT)
    await mesh.follows(SPLIT)


async def test_the_objects_come_when_istio_is_installed(bare: Mesh) -> None:
    await bare.start_pods()
    await bare.start_operator()
    await bare.create_policy()
    await bare.until(lambda: bare.condition("Programmed")[1] == "IstioNotInstalled", "nothing is told")
    assert "install Istio, or its CRDs" in bare.condition("Programmed")[2]
    await bare.call(istio.install, bare.api, bare.control_plane.kubectl)
    await bare.start_istio()
    await bare.create_gateway()
    await bare.until(lambda: bare.route() is not None, "no VirtualService", 120)
    await bare.ready(SPLIT)
    await bare.follows(SPLIT)


async def test_a_policy_that_moves_to_the_built_in_router_leaves_nothing_of_istio(mesh: Mesh) -> None:
    await mesh.start_pods()
    await mesh.start_operator()
    await mesh.create_policy()
    await mesh.until(lambda: mesh.route() is not None, "no VirtualService")
    await mesh.call(mesh.namespace.patch, "trafficpolicies", "shop", {"spec": {"router": None}})
    await mesh.until(lambda: mesh.route() is None, "the VirtualService stays")
    rules = mesh.namespace.path(DESTINATION_RULES)
    await mesh.until(lambda: not mesh.api.items(rules), "DestinationRules stay")


async def test_a_virtual_service_of_somebody_else_is_left_to_them(mesh: Mesh) -> None:
    await mesh.start_pods()
    route = [{"destination": {"host": "mine"}}]
    await mesh.apply(
        {
            "apiVersion": f"{istio.GROUP}/v1",
            "kind": "VirtualService",
            "metadata": {"name": "shop-router", "namespace": mesh.namespace.name},
            "spec": {"hosts": ["mine"], "http": [{"route": route}]},
        }
    )
    before = mesh.route()
    await mesh.start_operator()
    await mesh.create_policy()
    await mesh.until(lambda: mesh.condition("ResolvedRefs")[1] == "NameConflict", "nothing is told")
    assert "VirtualService shop-router already exists" in mesh.condition("ResolvedRefs")[2]
    assert mesh.route()["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_what_istio_cannot_do_is_refused_before_anything_is_written(mesh: Mesh) -> None:
    await mesh.start_pods()
    await mesh.start_operator()
    await mesh.create_policy(strategy="RoundRobin")
    await mesh.until(lambda: mesh.condition("Accepted")[0] == "False", "it is not refused")
    assert "spec.strategy: a VirtualService has weights and no order" in mesh.condition("Accepted")[2]
    assert mesh.route() is None
    assert mesh.namespace.get(DESTINATION_RULES, "shop-fast") is None
    assert mesh.namespace.get("services", "shop-fast") is None
