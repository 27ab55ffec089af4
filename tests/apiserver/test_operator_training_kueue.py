"""A Job that Kueue holds although its run names no queue, against a real API server that mutates it as Kueue does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until
from tests.apiserver.test_operator_training import (
    JOBS,
    RUNS,
    create,
    edit,
    jobs,
    kubelet,
    pod_of,
    pods,
    set_status,
    until_ready,
)

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
LABEL = "kueue.x-k8s.io/queue-name"
WITH_DEFAULT_QUEUE = f'Object{{metadata: Object.metadata{{labels: {{"{LABEL}": "default"}}}}, '
WITHOUT_QUEUES = "Object{"
SUSPENDED = "spec: Object.spec{suspend: true}}"


@pytest.fixture
def webhook(request: pytest.FixtureRequest, namespace: Namespace) -> Iterator[None]:
    """What becomes of new Jobs: the queue called default takes them, or they are only suspended."""
    name, policies, bindings = (
        f"like-kueue-{namespace.name}",
        f"{ADMISSION}/mutatingadmissionpolicies",
        f"{ADMISSION}/mutatingadmissionpolicybindings",
    )
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}
    expression = request.param + SUSPENDED
    namespace.api.create(
        policies,
        {
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"namespaceSelector": selector, "resourceRules": [rule]},
                "failurePolicy": "Fail",
                "reinvocationPolicy": "IfNeeded",
                "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
            },
        },
    )
    namespace.api.create(bindings, {"metadata": {"name": name}, "spec": {"policyName": name}})
    probe = {
        "metadata": {"generateName": "probe-"},
        "spec": {
            "suspend": False,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}},
        },
    }
    path = namespace.path(JOBS)
    wait_until(
        lambda: namespace.api.call("POST", path, probe, dryRun="All")["spec"]["suspend"], 30, "the policy does nothing"
    )
    yield
    namespace.api.delete(f"{bindings}/{name}")
    namespace.api.delete(f"{policies}/{name}")


def kueue(namespace: Namespace, name: str, *, suspend: bool) -> Any:
    """Kueue's controller starts or stops a Job."""
    return namespace.api.call(
        "PATCH",
        namespace.path(JOBS, name),
        {"spec": {"suspend": suspend}},
        "application/merge-patch+json",
        fieldManager="kueue",
    )


@pytest.mark.parametrize("webhook", [WITH_DEFAULT_QUEUE, WITHOUT_QUEUES], indirect=True, ids=["label", "no label"])
def test_a_job_that_kueue_holds_unasked_is_never_fought_over(
    namespace: Namespace, webhook: None, operator: OperatorProcess
) -> None:
    create(namespace)
    until_ready(namespace, "False", "Queued")
    told = namespace.condition("r", "Ready", RUNS)["message"]
    assert "set spec.queueName" in told
    labelled = LABEL in jobs(namespace)["r-1"]["metadata"]["labels"]
    assert ("queue default" in told) == labelled
    kueue(namespace, "r-1", suspend=False)
    pod = pod_of(namespace, 1)
    set_status(namespace, pod, phase="Running")
    until_ready(namespace, "True", "Running")
    kueue(namespace, "r-1", suspend=True)
    until_ready(namespace, "False", "Queued")
    wait_until(lambda: kubelet(namespace) or pods(namespace) == [], 60, "the pod stays")
    time.sleep(2)
    job = jobs(namespace)["r-1"]
    # Made, started, stopped: the operator has written nothing in between.
    assert (job["metadata"]["generation"], job["spec"]["suspend"]) == (3, True)
    edit(namespace, suspend=True)
    until_ready(namespace, "True", "Suspended")
    assert jobs(namespace) == {}
