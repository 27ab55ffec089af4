"""What goes wrong around a training or a service, with real pods: nothing is blamed for it that did not do it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.steps.cluster import condition, wait_until
from demo.steps.world import World
from tests.e2e.stories import POD, Story, readiness

HERE = Path(__file__).parent
NODES = "kubernetes.io/os"
"""Every node carries this label: pods that must not share its value must not share the cluster."""


@pytest.fixture(scope="module")
def stories(installation: World) -> Iterator[dict[str, Story]]:
    """All of them begin together: most of each is waiting."""
    names = ("no-room", "paused", "one-pod", "crashes", "sidecar", "own-health")
    found = {name: Story(installation.cluster, installation.images, f"story-{name}") for name in names}
    for story in found.values():
        story.begin()

    keeps_away = {"labelSelector": {"matchLabels": {"hog": "true"}}, "topologyKey": NODES}
    found["no-room"].serves(
        affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [keeps_away]}}
    )
    found["paused"].serves()
    found["one-pod"].serves(replicas=2)
    found["crashes"].serves(
        command=["sh", "-c", 'if [ "${STEP:-0}" -gt 500 ]; then exit 3; fi; exec python -m modeservice']
    )
    for name in ("no-room", "paused", "crashes"):
        found[name].learns()
    found["one-pod"].learns(claim={"accessModes": ["ReadWriteOncePod"]})

    story = found["sidecar"]
    shipper = story.container("log-shipper", {}, command=["sleep", "infinity"])
    story.run(env={}, command=["sh", "-c", "sleep 5; exit 1"], others=[shipper])
    story.cluster.patch("TrainingRun", "r", story.namespace, {"spec": {"backoffLimit": 20}})  # until it is looked at
    _answers_by_itself(found["own-health"])
    yield found
    for story in found.values():
        story.ask_to_go()
    for story in found.values():
        story.end()


def test_without_room_for_a_pod_nothing_is_blamed_and_the_rollback_is_made_when_there_is(
    stories: dict[str, Story],
) -> None:
    story = stories["no-room"]
    story.until("a later checkpoint is served", lambda: story.served() >= 1000, 180, "CheckpointPolicy", "p")
    story.lose_patience()
    # Given a cluster that takes no further pod of this Deployment
    (pod,) = story.cluster.ready_pods(story.namespace, "app=serve")
    # The scheduler would not put it beside such a pod either.
    sleeps, node = story.container("hog", {}, command=["sleep", "3600"]), pod["spec"]["nodeName"]
    story.pod("hog", sleeps, labels={"hog": "true"}, nodeName=node, terminationGracePeriodSeconds=1)
    wait_until("the hog runs", lambda: _phase(story, "hog") == "Running", 60)
    # When somebody asks for an earlier checkpoint
    story.cluster.patch("CheckpointPolicy", "p", story.namespace, {"spec": {"rollbackTo": 500}})
    # Then the policy waits with the scheduler's words, also when the Deployment controller waits no longer
    story.until(
        "the scheduler's words are in a condition",
        lambda: "anti-affinity" in story.said("CheckpointPolicy", "p"),
        60,
        "CheckpointPolicy",
        "p",
    )
    story.until("the progress deadline is over", story.gave_up, 60, "CheckpointPolicy", "p")
    time.sleep(5)
    assert story.quarantined() == [], "nothing is known of a checkpoint that never ran"
    assert story.live("Deployment", "serve")["status"]["availableReplicas"] == 1, "what was served still is"
    # And when there is room, it is done without a further word
    story.cluster.delete("Pod", "hog", story.namespace)
    story.until("step 500 is served", lambda: story.served() == 500, 90, "CheckpointPolicy", "p")
    story.cluster.wait_rolled_out("serve", story.namespace)


def test_a_rollout_that_is_paused_is_waited_for(stories: dict[str, Story]) -> None:
    story = stories["paused"]
    story.until("a checkpoint is served", lambda: story.served() >= 500, 180, "CheckpointPolicy", "p")
    story.lose_patience()
    story.cluster.patch("Deployment", "serve", story.namespace, {"spec": {"paused": True}})
    story.until(
        "the policy says so",
        lambda: "kubectl rollout resume deployment serve" in story.said("CheckpointPolicy", "p"),
        90,
        "CheckpointPolicy",
        "p",
    )
    time.sleep(25)  # longer than the progress deadline
    assert story.quarantined() == []
    served = story.served()
    story.cluster.patch("Deployment", "serve", story.namespace, {"spec": {"paused": False}})
    story.until("it goes on", lambda: story.served() > served, 90, "CheckpointPolicy", "p")
    assert story.quarantined() == []


def test_two_pods_on_a_volume_that_takes_one_are_refused_before_anything_is_touched(stories: dict[str, Story]) -> None:
    story = stories["one-pod"]
    story.until(
        "the policy says why",
        lambda: "ReadWriteOncePod" in story.said("CheckpointPolicy", "p"),
        180,
        "CheckpointPolicy",
        "p",
    )
    template = story.live("Deployment", "serve")["spec"]["template"]
    assert "accord.dev/checkpoint-step" not in template["metadata"].get("annotations", {})
    assert story.quarantined() == []


def test_a_checkpoint_whose_pods_crash_is_put_back_and_never_served_again(stories: dict[str, Story]) -> None:
    story = stories["crashes"]
    story.until("step 500 is served", lambda: story.served() >= 500, 180, "CheckpointPolicy", "p")
    story.lose_patience()
    story.until("a checkpoint is quarantined", story.quarantined, 300, "CheckpointPolicy", "p")
    story.until("step 500 is served again", lambda: story.served() == 500, 90, "CheckpointPolicy", "p")
    assert "p-500" not in story.quarantined()
    story.cluster.wait_rolled_out("serve", story.namespace)


def test_a_trainer_that_ended_beside_a_sidecar_that_did_not_is_named_and_replaced(stories: dict[str, Story]) -> None:
    story = stories["sidecar"]

    def held() -> bool:
        ready = condition(story.live("TrainingRun", "r"), "Ready")
        named = set(str(ready.get("message")).replace(",", " ").replace(";", " ").split())
        return ready.get("status") == "False" and {"trainer", "log-shipper"} <= named

    def failed() -> int:
        return int((story.live("TrainingRun", "r").get("status") or {}).get("failedPods") or 0)

    # That is so for half a minute with each pod, and then another one trains.
    story.until("the run is not Ready and both containers are named", held, 180, "TrainingRun", "r")
    story.until("the pod counts as failed", lambda: failed() >= 1, 180, "TrainingRun", "r")


def test_a_mode_with_a_health_path_of_its_own_gets_its_share_behind_a_gateway_and_of_old_clients(
    stories: dict[str, Story],
) -> None:
    story = stories["own-health"]
    story.until_condition("TrafficPolicy", "shop", "Ready", "True", "Ready", 120)
    source = (HERE / "asking.py").read_text(encoding="utf-8")
    story.pod("asks", story.container("asks", {}, command=["python", "-c", source, "http://shop-router/"]))
    story.until("the client has asked", lambda: _phase(story, "asks") == "Succeeded", 240, "TrafficPolicy", "shop")
    path = f"/api/v1/namespaces/{story.namespace}/pods/asks/log"
    counts = dict(line.split() for line in story.cluster.request("GET", path).splitlines())
    assert set(counts) == {"fast", "balanced", "creative", "HTTP/1.0", "X-Forwarded-Proto"}, counts
    # Of 600 requests: six standard deviations of a binomial distribution are 72.
    assert abs(int(counts["fast"]) - 360) < 72, counts
    assert (counts["HTTP/1.0"], counts["X-Forwarded-Proto"]) == ("200", "https")


def _phase(story: Story, pod: str) -> str:
    return str(story.live("Pod", pod).get("status", {}).get("phase"))


def _answers_by_itself(story: Story) -> None:
    """Three modes of a server whose readiness is at another path in each, as vLLM and TGI have it."""
    source = (HERE / "answering.py").read_text(encoding="utf-8")
    modes = []
    for mode, weight, path in (("fast", 60, "/health"), ("balanced", 30, "/healthz"), ("creative", 10, "/v1/ready")):
        container = story.container(
            "app",
            {"MODE": mode, "HEALTH": path},
            command=["python", "-c", source],
            readinessProbe=readiness(path),
            ports=[{"containerPort": 8080}],
        )
        story.deployment(mode, {"securityContext": POD, "containers": [container]})
        modes.append({"name": mode, "weight": weight, "port": 8080, "deploymentRef": {"name": mode}})
    spec = {
        "modes": modes,
        "stickySession": {"enabled": False},
        "loadBalancing": {"healthCheck": {"interval": "2s"}},
        "router": {"envoy": {"trustedHops": 1}},
    }
    story.apply("accord.dev/v1alpha1", "TrafficPolicy", "shop", spec)
