"""How the pods of a mode are checked: as the spec says, as the readinessProbe does, or by a connection."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.domain.builders import (
    NOW,
    condition,
    edited,
    effective,
    manifest,
    observed,
    programming,
    reasons,
    router,
    settled,
)

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic import health
from accord.domain.traffic.decide import decide
from accord.domain.traffic.health import Check
from accord.domain.traffic.observed import CutOff, DeploymentView, RouterView, Sight
from accord.domain.traffic.routing import routing_intent

PORTS = [{"name": "http", "containerPort": 8080}, {"name": "admin", "containerPort": 9000}]


def live(
    probe: dict[str, Any] | None = None, *more: dict[str, Any], status: dict[str, Any] | None = None, **pod: Any
) -> DeploymentView:
    container = {"name": "app", "ports": PORTS, **({"readinessProbe": probe} if probe else {})}
    return DeploymentView.of(
        {
            "metadata": {"name": "fast", "generation": 2},
            "spec": {
                "selector": {"matchLabels": {"app": "fast"}},
                "template": {"spec": {"containers": [container, *more], **pod}},
            },
            "status": {"readyReplicas": 1, **(status or {})},
        }
    )


def get(path: str | None = "/health", port: Any = 8080, **more: Any) -> dict[str, Any]:
    return {"httpGet": {**({"path": path} if path else {}), "port": port, **more}}


def one(own: dict[str, Any] | None = None, shared: str | None = None, **spec: Any) -> dict[str, Any]:
    policy = manifest({"fast": 100}, **spec)
    if own is not None:
        policy["spec"]["modes"][0]["healthCheck"] = own
    if shared is not None:
        policy["spec"]["loadBalancing"] = {"healthCheck": {"path": shared}}
    return policy


def check(policy: dict[str, Any], deployment: DeploymentView | None, *recorded: Check) -> Check:
    before = health.record({"fast": recorded[0]}) if recorded else []
    spec = TrafficPolicy.model_validate(policy).spec
    return health.wanted(spec, {"fast": deployment} if deployment else {}, before)["fast"]


HOST = {"httpHeaders": [{"name": "Host", "value": "shop.example.com"}]}


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (get(), Check("/health")),
        (get(None), Check("/")),
        (get("health"), Check("/health")),
        (get("/a b/ä?x=1#y"), Check("/a%20b/%C3%A4?x=1%23y")),
        (get("/\x7f"), Check("/%7F")),
        (get(port="http"), Check("/health")),
        (get(port="8080"), Check("/health")),
        (get(port="admin"), Check("/health", 9000)),
        (get(port="nobody"), Check()),
        (get(scheme="HTTPS"), Check("/health", scheme="HTTPS")),
        (get(**HOST), Check("/health", host="shop.example.com")),
        (get(httpHeaders=[{"name": "Host", "value": "a\nb"}]), Check()),
        (get(httpHeaders=[{"name": "Authorization", "value": "x"}]), Check()),
        (get(host="127.0.0.1"), Check()),
        ({"tcpSocket": {"port": 8080}}, Check()),
        ({"grpc": {"port": 8080}}, Check()),
        ({"exec": {"command": ["true"]}}, Check()),
        (None, Check()),
    ],
)
def test_the_check_repeats_a_readiness_probe_that_a_proxy_can_repeat(probe: Any, expected: Check) -> None:
    assert check(one(), live(probe)) == expected


def test_of_several_containers_the_one_that_declares_the_port_counts() -> None:
    sidecar = {"name": "proxy", "ports": [{"containerPort": 15000}], "readinessProbe": get("/sidecar", 15000)}
    assert check(one(), live(get(), sidecar)) == Check("/health")
    undeclared = {"name": "other", "readinessProbe": get("/other")}
    pod = {"containers": [undeclared, sidecar]}
    view = DeploymentView.of({"metadata": {"name": "fast"}, "spec": {"template": {"spec": pod}}})
    assert check(one(), view) == Check()


def test_a_native_sidecar_may_serve_the_mode() -> None:
    serving = {"restartPolicy": "Always", "ports": [{"containerPort": 8080}], "readinessProbe": get("/front")}
    plain = {"ports": [{"containerPort": 8080}], "readinessProbe": get("/never")}
    pod = {"containers": [{"name": "app"}], "initContainers": [plain, serving]}
    view = DeploymentView.of({"metadata": {"name": "fast"}, "spec": {"template": {"spec": pod}}})
    assert check(one(), view) == Check("/front")


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        ({"path": "/own"}, "/shared", Check("/own")),
        (None, "/shared", Check("/shared")),
        ({"port": 9000}, "/shared", Check("/shared", 9000)),
        ({"port": 9000}, None, Check("/health", 9000, "shop.example.com")),
        ({"port": 8080}, None, Check("/health", None, "shop.example.com")),
        ({"type": "TCP"}, "/shared", Check()),
        (
            {"path": "/own", "port": 9000, "host": "x", "scheme": "HTTPS"},
            None,
            Check("/own", 9000, "x", "HTTPS"),
        ),
    ],
)
def test_what_the_spec_gives_wins(own: Any, shared: str | None, expected: Check) -> None:
    assert check(one(own, shared), live(get(**HOST))) == expected


def test_pods_that_speak_http_2_are_checked_so() -> None:
    def spoken(protocol: str, probe: Any) -> Check:
        policy = one()
        policy["spec"]["modes"][0]["appProtocol"] = protocol
        return check(policy, live(probe))

    assert spoken("grpc", {"grpc": {"port": 8080, "service": "x"}}) == Check(service="x", http2=True)
    assert spoken("kubernetes.io/h2c", {"grpc": {"port": 8080}}) == Check(service="", http2=True)
    assert spoken("grpc", {"grpc": {"port": 9000}}) == Check(http2=True), "another port may speak something else"
    assert spoken("grpc", get()) == Check("/health", http2=True)
    assert str(Check(service="x")) == "gRPC health check of x"
    assert health.read(health.record({"a": Check(service="", http2=True)})) == {"a": Check(service="", http2=True)}


def test_while_a_rollout_changes_the_probe_a_connection_is_enough() -> None:
    rolling = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1}
    done = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}
    unseen = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
    former = Check("/healthz")
    assert check(one(), live(get(), status=rolling), former) == Check()
    assert check(one(), live(get(), status=unseen), former) == Check()
    assert check(one(), live(get(), status=rolling), Check()) == Check()
    assert check(one(), live(get(), status=done), former) == Check("/health")
    assert check(one(), live(get("/healthz"), status=rolling), former) == former, "the probe did not change"


def test_a_deployment_that_is_away_changes_no_check() -> None:
    assert check(one(), None, Check("/health")) == Check("/health")
    assert check(one(), None) == Check()


def test_every_replica_reads_the_check_from_the_policy_alone() -> None:
    policy = one()
    fresh = routing_intent(TrafficPolicy.model_validate(policy), accepted=True)
    assert fresh is not None
    assert fresh.checks == {"fast": Check()}
    done = settled(policy, deployments={"fast": live(get(**HOST))})
    intent = routing_intent(TrafficPolicy.model_validate(done), accepted=True)
    assert intent is not None
    assert intent.checks == {"fast": Check("/health", host="shop.example.com")}
    again = decide(observed(done, deployments={"fast": live(get(**HOST))}), NOW)
    assert again.status == done["status"], "nothing is written where nothing changed"


def test_a_suspended_policy_keeps_its_checks() -> None:
    done = settled(one(), deployments={"fast": live(get())})
    frozen = edited(done, suspend=True, loadBalancing={"healthCheck": {"path": "/other"}})
    intent = routing_intent(TrafficPolicy.model_validate(frozen), accepted=True)
    assert intent is not None
    assert intent.checks == {"fast": Check("/health")}


def seen(**sights: Sight) -> RouterView:
    return router(programming(sights=sights))


class TestSights:
    def test_a_mode_whose_ready_pods_fail_the_proxies_checks_is_named(self) -> None:
        policy = settled(manifest(loadBalancing={"healthCheck": {"path": "/healthz"}}))
        well, dead = Sight(2, 2, 2), Sight(2, 0, 0)
        plan = decide(observed(policy, router=seen(fast=dead, balanced=well, creative=well)), NOW)
        assert condition(plan, "ModesAvailable") == (
            "False",
            "HealthCheckFailing",
            "mode fast: its pods are ready but fail the proxies' health check (GET /healthz); its 60% goes to balanced",
        )
        assert condition(plan, "Ready")[:2] == ("False", "HealthCheckFailing")
        assert effective(plan) == {"fast": 0, "balanced": 90, "creative": 10}
        assert reasons(plan) == ["HealthCheckFailing"]
        assert plan.status is not None
        assert [mode.get("healthyPods") for mode in plan.status["modes"]] == [0, 2, 2]

    def test_an_ejected_mode_is_told_apart(self) -> None:
        plan = decide(observed(settled(), router=seen(creative=Sight(1, 1, 0))), NOW)
        status, reason, message = condition(plan, "ModesAvailable")
        assert (status, reason) == ("False", "PodsEjected")
        assert "mode creative: its ready pods are ejected after failed requests; its 10% goes to fast" in message

    def test_where_no_mode_is_healthy_all_are_tried(self) -> None:
        dead = Sight(1, 0, 0)
        plan = decide(observed(settled(), router=seen(fast=dead, balanced=dead, creative=dead)), NOW)
        assert "it still gets requests" in condition(plan, "ModesAvailable")[2]
        assert effective(plan) == {"fast": 60, "balanced": 30, "creative": 10}

    def test_a_part_of_the_pods_is_a_note(self) -> None:
        plan = decide(observed(settled(), router=seen(fast=Sight(3, 1, 1))), NOW)
        status, _, message = condition(plan, "ModesAvailable")
        assert status == "True"
        assert message.endswith("mode fast: some ready pods fail the proxies' health check")

    @pytest.mark.parametrize("sight", [Sight(1, 0, 0), Sight(1, 1, 0), Sight(1, 1, 1)])
    def test_a_new_leader_takes_nothing_back_before_it_has_asked(self, sight: Sight) -> None:
        told = settled(router=seen(fast=sight))
        new = router(programming(looked=False))
        again = decide(observed(told, router=seen(fast=sight)), NOW)
        assert decide(observed(told, router=new), NOW).status == again.status
        unreachable = decide(observed(told, router=seen()), NOW)
        assert condition(unreachable, "ModesAvailable")[0] == "True"

    def test_a_mode_that_is_dead_for_one_proxy_of_several_is_said(self) -> None:
        well, said = Sight(2, 2, 2), "1 of 2 proxies reaches no pod of mode fast: router-b. There its health check"
        sights = {"fast": well, "balanced": well, "creative": well}

        def looking(**changes: Any) -> RouterView:
            return router(programming(sights=sights, **changes))

        policy = settled(router=looking())
        first = decide(observed(policy, router=looking(cut_off={"fast": CutOff(("router-b",), 2)})), NOW)
        status, reason, message = condition(first, "ModesAvailable")
        assert (status, reason) == ("True", "Available")
        assert f"; {said} (TCP connection) fails and its 60% goes to balanced" in message
        assert condition(first, "Ready")[0] == "True", "a new proxy takes a moment"
        assert effective(first) == {"fast": 60, "balanced": 30, "creative": 10}
        lasting = looking(cut_off={"fast": CutOff(("router-b",), 2, lasting=True)})
        plan = decide(observed(policy, router=lasting), NOW)
        status, reason, message = condition(plan, "ModesAvailable")
        assert (status, reason) == ("False", "HealthCheckFailing")
        assert message.startswith(said)
        assert condition(plan, "Ready")[:2] == ("False", "HealthCheckFailing")
        assert reasons(plan) == ["HealthCheckFailing"]
        told = {**policy, "status": plan.status}
        new = router(programming(looked=False))
        for view in (new, looking(cut_off={"fast": CutOff(("router-b",), 2)})):
            again = decide(observed(told, router=view), NOW)
            assert condition(again, "ModesAvailable") == condition(plan, "ModesAvailable"), "a new leader agrees"
        assert condition(decide(observed(told, router=looking()), NOW), "Ready")[0] == "True"

    def test_a_cut_off_proxy_gives_the_share_to_a_mode_that_it_reaches(self) -> None:
        cut = {name: CutOff(("a", "b", "c", "d"), 5, lasting=True) for name in ("fast", "balanced")}
        plan = decide(observed(settled(), router=router(programming(cut_off=cut))), NOW)
        message = condition(plan, "ModesAvailable")[2]
        assert "4 of 5 proxies reach no pod of mode fast: a, b, c and others. " in message
        assert message.count("goes to creative") == 2
        everywhere = {name: CutOff(("a",), 2) for name in ("fast", "balanced", "creative")}
        plan = decide(observed(settled(), router=router(programming(cut_off=everywhere))), NOW)
        assert "goes to" not in condition(plan, "ModesAvailable")[2]

    def test_what_is_not_known_fails_nothing(self) -> None:
        plan = decide(observed(settled(), router=seen(fast=Sight(0, 0, 0))), NOW)
        assert condition(plan, "ModesAvailable")[0] == "True"


class TestNotes:
    def note(self, policy: dict[str, Any], probe: dict[str, Any] | None) -> str:
        plan = decide(observed(policy, deployments={"fast": live(probe)}), NOW)
        return condition(plan, "ResolvedRefs")[2]

    def test_a_path_that_the_pods_do_not_answer_for_kubernetes_is_told(self) -> None:
        said = self.note(one(shared="/healthz"), get("/health"))
        assert "the health check of mode fast is GET /healthz, but its readinessProbe is GET /health" in said
        assert "has no HTTP readinessProbe" in self.note(one(shared="/healthz"), None)

    def test_the_same_path_is_not(self) -> None:
        assert self.note(one(shared="/health"), get("/health")) == "all Deployments found"
        assert self.note(one(), get("/health")) == "all Deployments found"
