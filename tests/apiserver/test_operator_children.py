"""What belongs to a policy is made, kept as it is, and goes with it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until

WEIGHTS = {"fast": 60, "balanced": 30, "creative": 10}
EXPECTED = {
    "services/demo-fast",
    "services/demo-balanced",
    "services/demo-creative",
    "services/demo-router",
    "apps/v1/deployments/demo-router",
    "policy/v1/poddisruptionbudgets/demo-router",
}
EDITS = {
    "services/demo-fast": {"spec": {"selector": {"app": "somebody-elses"}}},
    "services/demo-router": {"metadata": {"labels": {"accord.dev/traffic-policy": "another"}}},
    "services/demo-creative": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}},
    "apps/v1/deployments/demo-router": {"spec": {"replicas": 0}},
    "policy/v1/poddisruptionbudgets/demo-router": {"spec": {"maxUnavailable": 2}},
}


def essence(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a child is, without what the API server and its controllers add each time."""
    meta = manifest["metadata"]
    spec = {k: v for k, v in manifest.get("spec", {}).items() if k not in ("clusterIP", "clusterIPs")}
    annotations = {k: v for k, v in meta.get("annotations", {}).items() if not k.startswith("deployment.kubernetes")}
    return {"labels": meta.get("labels"), "annotations": annotations, "spec": spec, "data": manifest.get("data")}


@pytest.fixture
def demo(namespace: Namespace, operator: OperatorProcess) -> Namespace:
    """A policy with all its children."""
    for mode in WEIGHTS:
        namespace.deployment(mode)
    namespace.policy("demo", WEIGHTS)
    namespace.settled("demo")
    wait_until(lambda: set(namespace.children("demo")) == EXPECTED, 10, "children are missing")
    return namespace


def split(child: str) -> tuple[str, str]:
    collection, name = child.rsplit("/", 1)
    return collection, name


def test_children_are_made_and_controlled_by_the_policy(demo: Namespace) -> None:
    policy = demo.get("trafficpolicies", "demo")
    for child in demo.children("demo").values():
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner["uid"] == policy["metadata"]["uid"]
        assert owner["controller"] is True
        assert child["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "accord"
    assert policy["status"]["target"] == "60/30/10"


def test_a_deleted_child_is_put_back(demo: Namespace) -> None:
    for child in sorted(EXPECTED):
        before = demo.children("demo")[child]
        collection, name = split(child)
        began = time.monotonic()
        demo.delete(collection, name)

        def back(collection: str = collection, name: str = name, uid: str = before["metadata"]["uid"]) -> Any:
            live = demo.get(collection, name)
            return live if live and live["metadata"]["uid"] != uid else None

        live = wait_until(back, 10, f"{child} did not come back")
        took = time.monotonic() - began
        print(f"deleted {child}: back after {took * 1000:.0f} ms")
        assert essence(live) == essence(before)


def test_an_edited_child_is_put_right(demo: Namespace) -> None:
    for child, edit in EDITS.items():
        before = essence(demo.children("demo")[child])
        collection, name = split(child)
        began = time.monotonic()
        edited = demo.patch(collection, name, edit)
        assert essence(edited) != before

        def right(collection: str = collection, name: str = name, want: Any = before) -> bool:
            return essence(demo.get(collection, name)) == want

        wait_until(right, 10, f"{child} was not put right")
        took = time.monotonic() - began
        print(f"edited {child}: right after {took * 1000:.0f} ms")


def test_a_mode_whose_service_lost_its_label_is_in_service_again(demo: Namespace) -> None:
    """For the watch by label the Service, and then its slice, were deleted; both come back with their old uid."""
    slices = "discovery.k8s.io/v1/endpointslices"
    ready = {"addresses": ["10.0.0.9"], "conditions": {"ready": True}}

    def of_fast() -> list[Any]:
        return demo.api.items(demo.path(slices), "kubernetes.io/service-name=demo-fast")

    def pods_of_fast() -> int:
        modes = demo.get("trafficpolicies", "demo")["status"]["modes"]
        return next(mode.get("readyPods", 0) for mode in modes if mode["name"] == "fast")

    # Given a mode with a ready pod: a slice like those that the EndpointSlice controller makes
    service = demo.get("services", "demo-fast")
    owner = {"apiVersion": "v1", "kind": "Service", "name": "demo-fast", "uid": service["metadata"]["uid"]}
    labels = {**service["metadata"]["labels"], "kubernetes.io/service-name": "demo-fast"}
    meta = {"name": "demo-fast-x", "labels": labels, "ownerReferences": [{**owner, "controller": True}]}
    port = {"name": "http", "port": 8000, "protocol": "TCP"}
    demo.create(slices, {"metadata": meta, "addressType": "IPv4", "ports": [port], "endpoints": [ready]})
    wait_until(lambda: pods_of_fast() == 1, 10, "the pod is not counted")
    # When Service and slice lose the label, and get it back
    for collection, name in (("services", "demo-fast"), (slices, "demo-fast-x")):
        demo.patch(collection, name, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    wait_until(
        lambda: demo.get("services", "demo-fast")["metadata"]["labels"] == service["metadata"]["labels"],
        10,
        "the Service has no label again",
    )
    assert demo.get("services", "demo-fast")["metadata"]["uid"] == service["metadata"]["uid"]
    live = demo.get(slices, "demo-fast-x")["metadata"]["labels"]
    demo.patch(slices, "demo-fast-x", {"metadata": {"labels": {**live, "app.kubernetes.io/managed-by": "accord"}}})
    # Then what becomes of the slice is heard of, as before
    for number in (2, 1, 3):
        pods = [{**ready, "addresses": [f"10.0.0.{pod}"]} for pod in range(number)]
        demo.patch(slices, "demo-fast-x", {"endpoints": pods})
        wait_until(lambda: pods_of_fast() == number, 10, "the slice is not followed any more")  # noqa: B023


def test_labels_that_were_lost_while_no_operator_ran_are_put_back(
    demo: Namespace, operator: OperatorProcess, start_operator: StartOperator
) -> None:
    operator.terminate()
    uids = {name: child["metadata"]["uid"] for name, child in demo.children("demo").items()}
    for child in sorted(EXPECTED):
        demo.patch(*split(child), {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    start_operator().ready()

    def labelled() -> bool:
        children = demo.children("demo").values()
        return all(child["metadata"]["labels"].get("app.kubernetes.io/managed-by") == "accord" for child in children)

    wait_until(labelled, 10, "the labels were not put back")
    assert {name: child["metadata"]["uid"] for name, child in demo.children("demo").items()} == uids


def test_a_suspended_policy_finds_its_children_again_and_changes_nothing_else_of_them(
    demo: Namespace, operator: OperatorProcess, start_operator: StartOperator
) -> None:
    # Given a suspended policy, the spec of which asks for something else by now
    demo.patch("trafficpolicies", "demo", {"spec": {"suspend": True, "router": {"envoy": {"port": 8888}}}})
    demo.settled("demo")
    before = demo.children("demo")
    fast, router = before["services/demo-fast"], before["services/demo-router"]

    def spoil() -> None:
        demo.patch("services", "demo-fast", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
        demo.patch("services", "demo-router", {"metadata": {"ownerReferences": None}})

    def mended() -> bool:
        now = demo.children("demo")
        return all(
            now[f"services/{each['metadata']['name']}"]["metadata"].get(part) == each["metadata"][part]
            for each in (fast, router)
            for part in ("labels", "ownerReferences")
        )

    # When labels and owners go while it runs, and while no operator does
    spoil()
    wait_until(mended, 10, "they were not put back")
    operator.terminate()
    demo.patch("services", "demo-fast", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    start_operator().ready()
    wait_until(mended, 10, "the label that went while no operator ran was not put back")
    # Then nothing else of them has changed, and the end of the suspension leaves no trace of the repair
    assert {name: essence(child) for name, child in demo.children("demo").items()} == {
        name: essence(child) for name, child in before.items()
    }
    demo.patch("trafficpolicies", "demo", {"spec": {"suspend": False}})
    wait_until(
        lambda: [port["port"] for port in demo.get("services", "demo-router")["spec"]["ports"]] == [8888],
        10,
        "the spec has no effect again",
    )
    assert demo.get("services", "demo-router")["spec"]["clusterIP"] == router["spec"]["clusterIP"]


def test_a_removed_owner_reference_is_put_back(demo: Namespace) -> None:
    demo.patch("services", "demo-fast", {"metadata": {"ownerReferences": None}})
    wait_until(lambda: demo.get("services", "demo-fast")["metadata"].get("ownerReferences"), 5, "no owner again")


def test_children_go_with_the_policy_and_nothing_holds_it(demo: Namespace, operator: OperatorProcess) -> None:
    assert "finalizers" not in demo.get("trafficpolicies", "demo")["metadata"]
    target = lambda: operator.metric("accord_traffic_target_ratio", mode="fast", namespace=demo.name)  # noqa: E731
    wait_until(lambda: target() == 0.6, 5, "the gauge does not show the target")
    demo.delete("trafficpolicies", "demo")
    # The garbage collector of the controller manager learns of a new kind within half a minute.
    wait_until(lambda: not demo.children("demo"), 90, "children are left")
    wait_until(lambda: not list(operator.series("accord_traffic_target_ratio")), 5, "gauges are left")
    assert demo.get("apps/v1/deployments", "fast") is not None


def test_a_service_of_somebody_else_is_not_taken_over(namespace: Namespace, operator: OperatorProcess) -> None:
    foreign = {"metadata": {"name": "demo-fast"}, "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 9}]}}
    made = namespace.create("services", foreign)
    for mode in WEIGHTS:
        namespace.deployment(mode)
    namespace.policy("demo", WEIGHTS)
    refs = wait_until(
        lambda: (found := namespace.condition("demo", "ResolvedRefs")).get("reason") == "NameConflict" and found,
        10,
        "the conflict is not said",
    )
    assert "demo-fast" in refs["message"]
    live = namespace.get("services", "demo-fast")
    assert live["spec"] == made["spec"]
    assert live["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    namespace.delete("services", "demo-fast")
    wait_until(
        lambda: (namespace.get("services", "demo-fast") or {}).get("metadata", {}).get("ownerReferences"),
        30,
        "the name is free, and the Service is not made",
    )
    wait_until(lambda: namespace.condition("demo", "ResolvedRefs").get("status") == "True", 10, "still unresolved")


def test_a_policy_recreated_under_its_name_gets_children_of_its_own(demo: Namespace) -> None:
    old = demo.get("trafficpolicies", "demo")["metadata"]["uid"]
    demo.delete("trafficpolicies", "demo")
    demo.policy("demo", WEIGHTS)
    new = demo.get("trafficpolicies", "demo")["metadata"]["uid"]
    assert new != old

    def replaced() -> bool:
        children = demo.children("demo")
        owners = {owner["uid"] for child in children.values() for owner in child["metadata"]["ownerReferences"]}
        return set(children) == EXPECTED and owners == {new}

    wait_until(replaced, 90, "children of the new policy")


def test_at_rest_nothing_is_written(demo: Namespace, operator: OperatorProcess) -> None:
    operator.until_at_rest(4)
    before = operator.writes()
    versions = {name: child["metadata"]["resourceVersion"] for name, child in demo.children("demo").items()}
    policy = demo.get("trafficpolicies", "demo")["metadata"]["resourceVersion"]
    # An event about a Deployment that changes nothing for us makes a pass, and the pass must find nothing to do.
    demo.patch("apps/v1/deployments", "fast", {"metadata": {"labels": {"touched": "yes"}}})
    time.sleep(3)
    assert operator.writes() == before
    assert demo.get("trafficpolicies", "demo")["metadata"]["resourceVersion"] == policy
    assert {name: child["metadata"]["resourceVersion"] for name, child in demo.children("demo").items()} == versions


def test_a_router_with_its_bootstrap_in_a_config_map_is_taken_over_and_the_map_left_to_its_owner(
    demo: Namespace,
) -> None:
    """As an earlier version made it: the Deployment mounts a ConfigMap, on which the operator has no right any more."""
    live = demo.get("apps/v1/deployments", "demo-router")
    meta = {name: live["metadata"][name] for name in ("name", "namespace", "labels", "ownerReferences")}
    earlier = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"envoy.json": "{}"}}
    demo.create("configmaps", earlier)
    template = live["spec"]["template"]
    (container,) = template["spec"]["containers"]
    mount = {"name": "bootstrap", "mountPath": "/etc/envoy", "readOnly": True}
    args = ["--config-path", "/etc/envoy/envoy.json", *container["args"][2:]]
    volume = {"name": "bootstrap", "configMap": {"name": "demo-router", "defaultMode": 0o444}}
    spec = {
        **template["spec"],
        "containers": [{**container, "args": args, "volumeMounts": [mount]}],
        "volumes": [volume],
    }
    old = {"metadata": {**template["metadata"], "annotations": {"accord.dev/bootstrap-checksum": "x"}}, "spec": spec}
    demo.api.call(
        "PATCH",
        demo.path("apps/v1/deployments", "demo-router"),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**meta, "annotations": {"accord.dev/spec-hash": "of-then"}},
            "spec": {**live["spec"], "template": old},
        },
        "application/apply-patch+yaml",
        fieldManager="accord",
        force="true",
    )

    def rolled() -> bool:
        made = demo.get("apps/v1/deployments", "demo-router")["spec"]["template"]
        return made == template

    wait_until(rolled, 10, "the Deployment still is that of the earlier version")
    kept = demo.get("configmaps", "demo-router")
    assert kept["metadata"]["ownerReferences"][0]["kind"] == "TrafficPolicy", "it goes with its policy"
    assert kept["metadata"].get("deletionTimestamp") is None


def test_what_is_taken_out_of_the_spec_leaves_the_status(demo: Namespace) -> None:
    breaker = {"mode": "creative", "shiftTo": [{"mode": "fast", "weight": 100}]}
    phase = {"name": "launch", "duration": "1s", "weights": [{"mode": "fast", "weight": 100}]}
    last = {**phase, "name": "steady", "duration": "8760h"}

    def shown() -> tuple[bool, bool]:
        status = demo.get("trafficpolicies", "demo")["status"]
        return bool(status.get("circuitBreakers")), bool((status.get("phase") or {}).get("completed"))

    # Twice: what is written the first time may stand in the way of the second.
    for turn in ("first", "second"):
        phases = [{**each, "name": f"{each['name']}-{turn}"} for each in (phase, last)]
        demo.patch("trafficpolicies", "demo", {"spec": {"circuitBreaker": breaker, "phases": phases}})
        wait_until(lambda: shown() == (True, True), 20, f"{turn}: it shows neither")
        demo.patch("trafficpolicies", "demo", {"spec": {"circuitBreaker": None, "phases": None}})
        wait_until(lambda: shown() == (False, False), 10, f"{turn}: it keeps them")
        demo.settled("demo")
