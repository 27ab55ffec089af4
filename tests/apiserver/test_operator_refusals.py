"""What the API server does not take, or somebody changes back: said in the object, tried again, and never a storm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until

RUNS, JOBS, DEPLOYMENTS = "trainingruns", "batch/v1/jobs", "apps/v1/deployments"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
Admit = Callable[[str, dict[str, Any]], str]


def trainer(**changes: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "trainer", "image": "example/trainer:1", **changes}]}}


def run(namespace: Namespace, **container: Any) -> Any:
    body = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "r"}}
    return namespace.create(RUNS, {**body, "spec": {"template": trainer(**container)}})


def policy(namespace: Namespace) -> None:
    for mode in ("fast", "slow"):
        namespace.deployment(mode)
    namespace.policy("demo", {"fast": 60, "slow": 40})


def until_stalled(namespace: Namespace, name: str, collection: str, reason: str, seconds: float = 20) -> str:
    """The message of `Stalled`, once it has that reason; `Ready` is False for the same."""

    def said() -> Any:
        ready, stalled = (namespace.condition(name, type_, collection) for type_ in ("Ready", "Stalled"))
        alike = (ready.get("status"), ready.get("reason"), stalled.get("status")) == ("False", reason, "True")
        return stalled if alike and stalled["reason"] == reason else None

    try:
        message = str(wait_until(said, seconds, "")["message"])
    except AssertionError:
        told = (namespace.get(collection, name) or {}).get("status")
        raise AssertionError(f"not stalled for {reason}, but {told}") from None
    assert len(message) <= 500
    return message


def conditions(namespace: Namespace, operator: OperatorProcess) -> dict[tuple[str, str], str]:
    """The reason of each condition that the metrics show, by name and type."""
    found = [labels for labels, _ in operator.series("accord_condition") if labels["namespace"] == namespace.name]
    return {(labels["name"], labels["type"]): labels["reason"] for labels in found}


def events(namespace: Namespace, reason: str) -> list[Any]:
    """What the operator has said for that reason."""
    found = namespace.api.items(namespace.path("events.k8s.io/v1/events"))
    ours = [event for event in found if event["reportingController"] == "accord.dev/operator"]
    return [event for event in ours if event["reason"] == reason]


def until_told(namespace: Namespace, reason: str) -> list[Any]:
    """The events with that reason, once there is one: they are written after the status."""
    wait_until(lambda: events(namespace, reason), 15, f"no event {reason}")
    return events(namespace, reason)


@pytest.fixture
def admit(namespace: Namespace) -> Iterator[Admit]:
    """Adds a configuration of admission for this namespace; returns its path. It goes with the test."""
    with ExitStack() as stack:

        def add(collection: str, body: dict[str, Any]) -> str:
            name = f"{namespace.name}-{collection[:3]}"
            path = f"{ADMISSION}/{collection}"
            namespace.api.create(path, {**body, "metadata": {"name": name}})
            stack.callback(namespace.api.delete, f"{path}/{name}")
            return f"{path}/{name}"

        yield add


def matched(namespace: Namespace, group: str, resource: str) -> dict[str, Any]:
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}
    return {"namespaceSelector": here, "resourceRules": [rule]}


def test_a_quota_on_deployments_is_said_by_a_policy(namespace: Namespace, operator: OperatorProcess) -> None:
    for mode in ("fast", "slow"):
        namespace.deployment(mode)
    hard = {"count/deployments.apps": "2"}
    namespace.create("resourcequotas", {"metadata": {"name": "two"}, "spec": {"hard": hard}})
    wait_until(lambda: namespace.get("resourcequotas", "two").get("status", {}).get("used"), 30, "no quota")
    namespace.policy("demo", {"fast": 60, "slow": 40})
    message = until_stalled(namespace, "demo", "trafficpolicies", "QuotaExceeded")
    assert message.startswith("cannot apply Deployment demo-router: ")
    assert "exceeded quota: two" in message
    assert "PATCH" not in message
    children = namespace.children("demo")
    assert {"services/demo-fast", "services/demo-slow", "policy/v1/poddisruptionbudgets/demo-router"} <= set(children)
    shown = lambda: conditions(namespace, operator).get(("demo", "Stalled"))  # noqa: E731
    wait_until(lambda: shown() == "QuotaExceeded", 5, "the metrics do not show it")
    (event,) = until_told(namespace, "QuotaExceeded")
    assert event["type"] == "Warning"
    # When the quota goes, then so does all that was said of it
    namespace.delete("resourcequotas", "two")
    wait_until(lambda: namespace.get(DEPLOYMENTS, "demo-router"), 75, "not tried again")
    wait_until(lambda: not namespace.condition("demo", "Stalled"), 10, "still said")
    programmed = lambda: namespace.condition("demo", "Programmed")["reason"]  # noqa: E731
    wait_until(lambda: programmed() == "NoReadyProxy", 10, f"still said: {programmed()}")
    wait_until(lambda: shown() is None, 5, "the metrics still show it")


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"resources": {"limits": {"memory": "512MB"}}}, "quantities must match"),
        ({"enviroment": []}, "enviroment: field not declared in schema"),
        ({"env": [{"name": "X", "value": 7}]}, "value: expected string"),
    ],
)
def test_a_template_that_server_side_apply_cannot_read_is_said(
    namespace: Namespace, operator: OperatorProcess, container: dict[str, Any], words: str
) -> None:
    run(namespace, **container)
    assert words in until_stalled(namespace, "r", RUNS, "Invalid")
    assert len(until_told(namespace, "Invalid")) == 1
    assert namespace.condition("r", "Accepted", RUNS)["status"] == "False"
    # When it is corrected, then the run starts
    namespace.patch(RUNS, "r", {"spec": {"template": trainer(resources=None, enviroment=None, env=None)}})
    wait_until(lambda: namespace.get(JOBS, "r-1"), 20, "no Job")
    wait_until(lambda: not namespace.condition("r", "Stalled", RUNS), 10, "still said")


def test_every_character_arrives_as_it_was_written(namespace: Namespace, operator: OperatorProcess) -> None:
    text = "🚀 né 名 \x7f \x85 \u2028 \ufeff \uffff \t\n\"'\\ \\ud83d: #{}"
    run(namespace, env=[{"name": "MOTTO", "value": text}])
    job = wait_until(lambda: namespace.get(JOBS, "r-1"), 20, "no Job")
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "MOTTO", "value": text} in env


def test_a_webhook_that_is_down_is_said_and_waited_for(
    namespace: Namespace, operator: OperatorProcess, admit: Admit
) -> None:
    match = matched(namespace, "batch", "jobs")
    hook = {
        "name": "down.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "namespaceSelector": match["namespaceSelector"],
        "rules": match["resourceRules"],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    path = admit("validatingwebhookconfigurations", {"webhooks": [hook]})
    wait_until(lambda: denied(namespace), 20, "the webhook is not asked")
    run(namespace)
    assert 'failed calling webhook "down.example.com"' in until_stalled(namespace, "r", RUNS, "WebhookFailed")
    assert len(until_told(namespace, "WebhookFailed")) == 1
    namespace.api.delete(path)
    wait_until(lambda: namespace.get(JOBS, "r-1"), 75, "not tried again")
    wait_until(lambda: not namespace.condition("r", "Stalled", RUNS), 10, "still said")


def denied(namespace: Namespace) -> bool:
    """Whether a Job is refused here by now. Nothing is kept of the try."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
    try:
        namespace.api.call(
            "POST", namespace.path(JOBS), {"metadata": {"name": "probe"}, "spec": {"template": template}}, dryRun="All"
        )
    except AssertionError:
        return True
    return False


def test_an_admission_policy_is_quoted(namespace: Namespace, operator: OperatorProcess, admit: Admit) -> None:
    words = "Services need a cost center"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": matched(namespace, "", "services"),
        "validations": [{"expression": "has(object.metadata.annotations)", "message": words, "reason": "Forbidden"}],
    }
    path = admit("validatingadmissionpolicies", {"spec": spec})
    binding = {"policyName": path.rpartition("/")[2], "validationActions": ["Deny"]}
    admit("validatingadmissionpolicybindings", {"spec": binding})
    body = {"spec": {"ports": [{"port": 80}]}}

    def is_denied() -> bool:
        try:
            service = {"metadata": {"name": "probe"}, **body}
            namespace.api.call("POST", namespace.path("services"), service, dryRun="All")
        except AssertionError:
            return True
        return False

    wait_until(is_denied, 30, "the policy is not in force")
    policy(namespace)
    message = until_stalled(namespace, "demo", "trafficpolicies", "Forbidden")
    assert message.startswith("cannot apply Service demo-fast: ")
    assert words in message
    # What does not depend on them is made all the same
    assert namespace.get(DEPLOYMENTS, "demo-router") is not None
    assert len(until_told(namespace, "Forbidden")) == 1


def test_a_policy_that_rewrites_a_field_on_each_write_makes_no_storm(
    namespace: Namespace, operator: OperatorProcess, admit: Admit
) -> None:
    patch = '[JSONPatch{op: "replace", path: "/spec/template/spec/containers/0/image", value: "mirror/envoy:1"}]'
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": matched(namespace, "apps", "deployments"),
        "matchConditions": [{"name": "routers", "expression": "object.metadata.name.endsWith('-router')"}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    path = admit("mutatingadmissionpolicies", {"spec": spec})
    admit("mutatingadmissionpolicybindings", {"spec": {"policyName": path.rpartition("/")[2]}})

    def is_rewritten() -> bool:
        labels = {"app": "probe-router"}
        pod = {"containers": [{"name": "c", "image": "x"}]}
        spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
        made = namespace.api.call(
            "POST", namespace.path(DEPLOYMENTS), {"metadata": {"name": "probe-router"}, "spec": spec}, dryRun="All"
        )
        return made["spec"]["template"]["spec"]["containers"][0]["image"] == "mirror/envoy:1"

    wait_until(is_rewritten, 30, "the policy is not in force")
    policy(namespace)
    message = until_stalled(namespace, "demo", "trafficpolicies", "OwnershipConflict")
    assert "spec.template.spec.containers[envoy].image" in message
    assert "admission webhook or policy" in message
    assert namespace.get(DEPLOYMENTS, "demo-router")["metadata"]["generation"] == 1
    written = operator.metric("accord_api_requests_total", verb="apply", resource="deployments")
    assert written <= 6
    time.sleep(3)
    assert operator.metric("accord_api_requests_total", verb="apply", resource="deployments") == written
    assert len(until_told(namespace, "OwnershipConflict")) == 1


def test_who_keeps_changing_a_field_of_a_job_is_named(namespace: Namespace, operator: OperatorProcess) -> None:
    """As a queue does that manages a Job which names none."""
    run(namespace)
    wait_until(lambda: namespace.get(JOBS, "r-1"), 20, "no Job")
    done = time.monotonic() + 300
    while namespace.condition("r", "Stalled", RUNS).get("reason") != "OwnershipConflict":
        assert time.monotonic() < done, "it goes on"
        if not namespace.get(JOBS, "r-1")["spec"].get("suspend"):
            namespace.patch(JOBS, "r-1", {"spec": {"suspend": True}})
    message = until_stalled(namespace, "r", RUNS, "OwnershipConflict")
    assert message.startswith("Job r-1: somebody keeps reverting spec.suspend")
    written = operator.metric("accord_api_requests_total", verb="apply", resource="jobs")
    assert written <= 6
    time.sleep(3)
    assert operator.metric("accord_api_requests_total", verb="apply", resource="jobs") == written
    # When the other side gives in, then nothing is said any more
    namespace.patch(JOBS, "r-1", {"spec": {"suspend": False}})
    wait_until(lambda: not namespace.condition("r", "Stalled", RUNS), 20, "still said")


def test_of_deleted_objects_no_series_is_left(namespace: Namespace, operator: OperatorProcess) -> None:
    names = [f"p{number}" for number in range(5)]
    for name in names:
        namespace.policy(name, {"a": 100})
    run(namespace)
    shown = {(name, "Ready") for name in (*names, "r")}
    wait_until(lambda: shown <= conditions(namespace, operator).keys(), 20, "not all are shown")
    for name in names:
        namespace.delete("trafficpolicies", name)
    namespace.delete(RUNS, "r")
    wait_until(lambda: not conditions(namespace, operator), 10, "series of deleted objects are left")


UNCONFINED = {"container.apparmor.security.beta.kubernetes.io/envoy": "unconfined"}


@pytest.mark.parametrize(
    ("pods", "reason", "words"),
    [
        ({}, "QuotaExceeded", "exceeded quota: no-pods"),
        ({"annotations": UNCONFINED}, "PodsRefused", "violates PodSecurity"),
        ({"priorityClassName": "absent"}, "PodsRefused", "no PriorityClass with name absent was found"),
    ],
)
def test_a_router_whose_pods_are_refused_says_why(
    namespace: Namespace, operator: OperatorProcess, pods: dict[str, Any], reason: str, words: str
) -> None:
    # Given a namespace that lets the router's pods not in
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace.api.patch(f"/api/v1/namespaces/{namespace.name}", {"metadata": {"labels": enforce}})
    if not pods:
        namespace.create("resourcequotas", {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}})
        wait_until(lambda: namespace.get("resourcequotas", "no-pods").get("status", {}).get("used"), 30, "no quota")
    for mode in ("fast", "slow"):
        namespace.deployment(mode)
    namespace.policy("demo", {"fast": 60, "slow": 40}, router={"envoy": {"pods": pods}})

    # Then the condition has the API server's words, and an event tells it
    def told() -> Any:
        said = namespace.condition("demo", "Programmed")
        return said if said.get("reason") == reason else None

    said = wait_until(told, 30, "the condition does not say why")
    assert words in said["message"]
    assert said["status"] == "False"
    assert words in until_told(namespace, reason)[0]["note"]


def test_a_router_whose_image_cannot_be_pulled_says_so(namespace: Namespace, operator: OperatorProcess) -> None:
    policy(namespace)
    labels = "app.kubernetes.io/component=router"
    (pod, *_) = wait_until(lambda: namespace.api.items(namespace.path("pods"), labels), 20, "no pod of the router")
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    # As the kubelet reports it: no kubelet runs here
    status = {
        "phase": "Pending",
        "containerStatuses": [
            {
                "name": "envoy",
                "image": "registry/envoy:1",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": waiting},
            }
        ],
    }
    namespace.api.patch(namespace.path("pods", pod["metadata"]["name"]) + "/status", {"status": status})

    def told() -> Any:
        said = namespace.condition("demo", "Programmed")
        return said if said.get("reason") == "ImagePull" else None

    said = wait_until(told, 30, "the condition does not say why")
    assert "cannot pull image registry/envoy:1" in said["message"]
