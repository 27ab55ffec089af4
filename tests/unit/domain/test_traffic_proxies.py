"""Why a router has no ready proxy: said in the condition, in the words of those who know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, ROUTER, condition, observed, programming, reasons, router, settled

from accord.adapters.routers.envoy.pods import Obstacle, obstacle, refused
from accord.adapters.routers.envoy.programming import ProxyState
from accord.api.base import Manifest
from accord.domain.plan import Plan
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import RouterView

POD = "shop-router-6f-x"
SECURITY = (
    f'pods "{POD}" is forbidden: violates PodSecurity "restricted:latest": runAsUser=0 (pod must not set runAsUser=0)'
)


def pod(name: str = POD, **status: Any) -> Manifest:
    return {"metadata": {"name": name}, "status": status}


def waiting(reason: str, **more: str) -> dict[str, Any]:
    return {"name": "envoy", "image": "registry/envoy:1", "state": {"waiting": {"reason": reason, **more}}}


def ended(**how: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    return {"name": "envoy", "restartCount": 3, "state": state, "lastState": {"terminated": how}}


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/2 nodes: too many pods. preemption: 0/2 …"}
PODS: dict[str, tuple[Manifest, Obstacle | None]] = {
    "no node": (
        pod(conditions=[UNSCHEDULED]),
        Obstacle("Unschedulable", f"cannot schedule pod {POD}: 0/2 nodes: too many pods"),
    ),
    "no image": (
        pod(containerStatuses=[waiting("ImagePullBackOff", message="Back-off pulling image, 4th time")]),
        Obstacle("ImagePull", f"cannot pull image registry/envoy:1: see `kubectl describe pod {POD}`"),
    ),
    "root": (
        pod(containerStatuses=[waiting("CreateContainerConfigError", message="runAsNonRoot and image runs as root")]),
        Obstacle("ContainerConfig", f"cannot start container envoy of pod {POD}: runAsNonRoot and image runs as root"),
    ),
    "crash": (
        pod(containerStatuses=[ended(exitCode=137, reason="OOMKilled")]),
        Obstacle(
            "ContainerCrash",
            f"container envoy of pod {POD} ended with exit code 137 (OOMKilled): "
            f"see `kubectl logs --previous {POD} -c envoy`",
        ),
    ),
    "on its way": (pod(containerStatuses=[waiting("ContainerCreating")]), None),
    "no word yet": (pod(), None),
    "told to go": ({**pod(conditions=[UNSCHEDULED]), "metadata": {"name": POD, "deletionTimestamp": "now"}}, None),
}


@pytest.mark.parametrize(("found", "expected"), PODS.values(), ids=PODS)
def test_pods_say_what_keeps_them(found: Manifest, expected: Obstacle | None) -> None:
    assert obstacle([found]) == expected


def test_of_several_pods_the_same_one_speaks_each_time() -> None:
    first, second = pod("a", conditions=[UNSCHEDULED]), pod("b", containerStatuses=[waiting("ErrImagePull")])
    assert obstacle([first, second]) == obstacle([second, first]) != obstacle([second])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (SECURITY, "PodsRefused"),
        (f'pods "{POD}" is forbidden: no PriorityClass with name high was found', "PodsRefused"),
        (f'pods "{POD}" is forbidden: exceeded quota: team, requested: pods=1, used: pods=5', "QuotaExceeded"),
        (f'pods "{POD}" is forbidden: failed quota: team: must specify memory', "QuotaExceeded"),
    ],
)
def test_a_deployment_whose_pods_are_refused_says_so(words: str, reason: str) -> None:
    entry = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    live = {"metadata": {"name": "shop-router"}, "status": {"conditions": [entry]}}
    assert refused(live) == Obstacle(reason, f"the API server refuses pods of Deployment shop-router: {words}")
    assert refused({**live, "status": {"conditions": [{**entry, "status": "False"}]}}) is None
    assert refused(None) is None


def view(ready: bool = False, **more: Any) -> RouterView:
    return router(programming(proxies=(ProxyState("router-a", ready, ready),)), (ROUTER,), **more)


def told(plan: Plan) -> dict[str, tuple[str, str, str]]:
    return {type_: condition(plan, type_) for type_ in ("Programmed", "Ready", "Reconciling", "Stalled")}


def test_the_condition_names_it_and_a_person_is_called_after_a_minute() -> None:
    policy, down = settled(), view(refused=Obstacle("PodsRefused", SECURITY), obstacle=Obstacle("Unschedulable", "x"))
    plan = decide(observed(policy, router=down), NOW)
    said = ("False", "PodsRefused", f"no proxy is ready, nothing answers at status.address: {SECURITY}")
    assert told(plan)["Programmed"] == told(plan)["Ready"] == said
    assert told(plan)["Reconciling"][:2] == ("True", "PodsRefused")
    assert "PodsRefused" in reasons(plan)
    assert plan.requeue_after is not None
    assert plan.requeue_after <= 5
    again = decide(observed({**policy, "status": plan.status}, router=down), NOW + timedelta(seconds=61))
    assert told(again)["Stalled"][:2] == ("True", "PodsRefused")
    assert reasons(again) == []


def test_what_has_lasted_for_hours_is_looked_at_every_few_minutes() -> None:
    """A look is a listing of pods, and there may be a thousand policies without one."""
    policy, down = settled(), view(obstacle=Obstacle("Unschedulable", "cannot schedule pod x"))
    status = decide(observed(policy, router=down), NOW).status

    def pause(lasted: timedelta) -> float | None:
        return decide(observed({**policy, "status": status}, router=down), NOW + lasted).requeue_after

    assert pause(timedelta(seconds=60)) == 30
    assert pause(timedelta(hours=3)) == 300


def test_room_that_an_autoscaler_may_make_is_waited_for() -> None:
    down = view(obstacle=Obstacle("Unschedulable", "cannot schedule pod x"))
    policy = settled()
    first = decide(observed(policy, router=down), NOW)
    later = decide(observed({**policy, "status": first.status}, router=down), NOW + timedelta(minutes=9))
    assert told(later)["Reconciling"][:2] == ("True", "Unschedulable")


def test_proxies_beyond_those_that_run_are_a_note() -> None:
    plan = decide(observed(settled(), router=view(True, refused=Obstacle("QuotaExceeded", "no room"))), NOW)
    assert told(plan)["Programmed"] == (
        "True",
        "Programmed",
        "all ready proxies have accepted the routes; more proxies are needed, but no room",
    )
    assert told(plan)["Ready"][0] == "True"


class TestHiddenAddresses:
    """The network masquerades pods: the operator answers no poll, and says what to set."""

    SAID = (
        "polls of router pod router-a{} are rejected, so it gets no changes: they come from 10.0.0.7, which is not its "
        "address. If the network or a mesh hides pod addresses, set the Helm value xds.verifyPeers to false"
    )

    def decided(self, policy: Manifest, *proxies: ProxyState, **changes: Any) -> Plan:
        state = programming(proxies=proxies, **changes)
        return decide(observed(policy, router=router(state, (ROUTER,), policy=policy)), NOW)

    @pytest.mark.parametrize("ready", [True, False])
    def test_it_is_said_whether_the_proxy_serves_or_never_began(self, ready: bool) -> None:
        hidden = ProxyState("router-a", ready, False, polls_from="10.0.0.7")
        plan = self.decided(settled(), hidden, ProxyState("router-b", True, True))
        assert condition(plan, "Programmed") == ("False", "PeerRejected", self.SAID.format(""))
        assert condition(plan, "Ready")[:2] == ("False", "PeerRejected")
        assert condition(plan, "Reconciling")[0] == "True", "a pod that is new may be faster than the watch"
        assert reasons(plan) == ["PeerRejected"]
        assert plan.requeue_after is not None
        later = self.decided({**settled(), "status": plan.status}, hidden)
        assert condition(later, "Programmed") == condition(plan, "Programmed")

    def test_several_are_one_sentence(self) -> None:
        hidden = [ProxyState(f"router-{name}", True, False, polls_from="10.0.0.7") for name in "cab"]
        assert condition(self.decided(settled(), *hidden), "Programmed")[2] == self.SAID.format(" (and 2 more)")

    def test_a_new_leader_waits_until_the_proxies_have_had_time_to_be_heard(self) -> None:
        hidden = ProxyState("router-a", True, False, polls_from="10.0.0.7")
        plan = self.decided(settled(), hidden, published_at=NOW - timedelta(seconds=5))
        assert condition(plan, "Programmed")[0] == "True"
