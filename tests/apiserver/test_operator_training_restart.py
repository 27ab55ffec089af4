"""What a rollback asks of a TrainingRun, against a real API server: annotations, kills, two operators."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until
from tests.apiserver.test_operator_training import (
    JOBS,
    RUNS,
    create,
    edit,
    end,
    jobs,
    kubelet,
    ready,
    reasons,
    running,
    set_status,
    until_ready,
    until_told,
)

DYING = str(Path(__file__).with_name("dying_operator.py"))
MOST_WRITES = 10
LEAST_WRITES = 4
AT_A_TIME = 4
"""Operators that are killed side by side: they wait more than they compute."""


def ask(namespace: Namespace, **annotations: str) -> None:
    """As CheckpointPolicy does it: by server-side apply of nothing but the annotations."""
    body = {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {
            "name": "r",
            "annotations": {f"accord.dev/{name.replace('_', '-')}": text for name, text in annotations.items()},
        },
    }
    kind = "application/apply-patch+yaml"
    namespace.api.call("PATCH", namespace.path(RUNS, "r"), body, kind, fieldManager="accord", force="true")


def origin(namespace: Namespace, attempt: int) -> Any:
    """RESUME_FROM, as the Job of an attempt has it."""
    (container,) = namespace.get(JOBS, f"r-{attempt}")["spec"]["template"]["spec"]["containers"]
    return next(entry.get("value", "") for entry in container["env"] if entry["name"] == "RESUME_FROM")


def until_only(namespace: Namespace, job: str) -> None:
    """Pods end when they are told to, until that Job is the only one."""
    wait_until(lambda: kubelet(namespace) or list(jobs(namespace)) == [job], 60, f"{job} is not the only Job")


def test_training_goes_on_from_the_checkpoint_once_the_pod_has_ended(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace)
    before = running(namespace)
    namespace.patch("pods", before["metadata"]["name"], {"metadata": {"finalizers": ["test/saves"]}})
    ask(namespace, restart_from="500", restart_attempt="1")
    wait_until(lambda: ready(namespace) == ("False", "Restarting"), 10, "not restarting")
    assert "step-00000500" in namespace.condition("r", "Ready", RUNS)["message"]
    wait_until(lambda: not jobs(namespace), 30, "the Job stays")
    assert namespace.get(RUNS, "r")["status"]["attempt"] == 1
    namespace.patch("pods", before["metadata"]["name"], {"metadata": {"finalizers": None}})
    until_only(namespace, "r-2")
    running(namespace, 2)
    assert origin(namespace, 2) == "step-00000500"
    live = namespace.get(RUNS, "r")
    assert live["status"]["restart"] == {"fromStep": 500, "endedAttempt": 1, "attempt": 2}
    assert live["metadata"]["annotations"]["tracking"] == "y"
    told = namespace.condition("r", "RolledBack", RUNS)
    assert (told["status"], told["reason"]) == ("True", "RestartedFromCheckpoint")
    wait_until(lambda: "RestartedFromCheckpoint" in reasons(namespace), 5, "no event")
    # It dies before its first save: the newest checkpoints are still those of the attempt that went wrong.
    namespace.api.call("DELETE", namespace.path(JOBS, "r-2"), {"propagationPolicy": "Background"})
    until_only(namespace, "r-3")
    assert origin(namespace, 3) == "step-00000500"


def test_the_pod_of_an_attempt_that_went_wrong_stays_for_its_logs(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace, ttlAfterGivenUp="1h", backoffLimit=3)
    before = running(namespace)
    name = before["metadata"]["name"]
    ask(namespace, restart_from="500", restart_attempt="1")
    wait_until(lambda: namespace.get("pods", name)["spec"].get("activeDeadlineSeconds") == 1, 10, "it is not ended")
    # Until kubelet has ended it, nothing else starts.
    assert (list(jobs(namespace)), jobs(namespace)["r-1"]["spec"]["backoffLimit"]) == (["r-1"], 0)
    end(namespace, before, 143)
    wait_until(lambda: list(jobs(namespace)) == ["r-1", "r-2"], 30, f"no second attempt: {list(jobs(namespace))}")
    running(namespace, 2)
    failed = [c["type"] for c in jobs(namespace)["r-1"]["status"]["conditions"] if c["status"] == "True"]
    assert "Failed" in failed
    assert namespace.get("pods", name)["metadata"].get("deletionTimestamp") is None
    assert f"kubectl logs {name} -c trainer" in namespace.condition("r", "RolledBack", RUNS)["message"]
    assert namespace.get(RUNS, "r")["status"].get("failedPods", 0) == 0
    edit(namespace, ttlAfterGivenUp="0s")
    until_only(namespace, "r-2")
    assert [pod["metadata"]["labels"]["accord.dev/attempt"] for pod in namespace.api.items(namespace.path("pods"))]


def test_a_run_that_is_stopped_rests_and_goes_on_from_the_checkpoint_when_a_person_says_so(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace)
    running(namespace)
    ask(namespace, stop_attempt="1", restart_from="500", restart_attempt="1")
    wait_until(lambda: kubelet(namespace) or ready(namespace) == ("True", "StoppedByRollback"), 30, "not stopped")
    assert jobs(namespace)["r-1"]["spec"]["suspend"] is True
    assert namespace.condition("r", "Suspended", RUNS)["reason"] == "StoppedByRollback"
    assert namespace.get(RUNS, "r")["status"]["phase"] == "Suspended"
    namespace.patch(RUNS, "r", {"metadata": {"annotations": {"accord.dev/stop-attempt": None}}})
    until_only(namespace, "r-2")
    running(namespace, 2)
    assert origin(namespace, 2) == "step-00000500"
    until_told(namespace, "StoppedByRollback", "Resumed")


def test_a_finished_run_is_not_run_again_and_nonsense_is_told(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace)
    pod = running(namespace)
    ask(namespace, restart_from="half-way", restart_attempt="1")
    told = wait_until(lambda: namespace.condition("r", "RolledBack", RUNS), 10, "nonsense is not told")
    assert (told["status"], told["reason"]) == ("False", "Ignored")
    assert "'half-way' is not a step" in told["message"]
    assert namespace.get(RUNS, "r")["status"]["phase"] == "Running"
    end(namespace, pod, 0)
    until_ready(namespace, "True", "Succeeded")
    ask(namespace, restart_from="500", restart_attempt="1")
    wait_until(lambda: namespace.condition("r", "RolledBack", RUNS).get("reason") == "AlreadyFinished", 10, "not told")
    assert list(jobs(namespace)) == ["r-1"]
    wait_until(
        lambda: {"RollbackIgnored", "RollbackAlreadyFinished"} <= set(reasons(namespace)), 5, "events are missing"
    )


def restarted(namespace: Namespace) -> bool:
    """Plays the pods; whether attempt 2 runs."""
    kubelet(namespace)
    for pod in namespace.api.items(namespace.path("pods"), "accord.dev/attempt=2"):
        if pod.get("status", {}).get("phase") != "Running":
            set_status(namespace, pod, phase="Running")
    # Where the operator died early, Ready is still that of attempt 1 when the Job of attempt 2 is there already.
    told = namespace.get(RUNS, "r")["status"].get("attempt") == 2 and ready(namespace) == ("True", "Running")
    return told and list(jobs(namespace)) == ["r-2"]


def restarted_or_dead(batch: list[tuple[Namespace, OperatorProcess]]) -> bool:
    """Whether that is so of all. Each of them is looked at, each time: looking plays its pods."""
    settled = [restarted(namespace) or dying.process.poll() is not None for namespace, dying in batch]
    return all(settled)


def end_state(namespace: Namespace) -> dict[str, Any]:
    live = namespace.get(RUNS, "r")
    status = live["status"]
    return {
        "phase": status["phase"],
        "attempt": status["attempt"],
        "restart": status["restart"],
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]},
        "jobs": {name: origin(namespace, int(name.removeprefix("r-"))) for name in jobs(namespace)},
    }


def test_killed_between_any_two_writes_of_a_restart_it_ends_the_same(api: Api, start_operator: StartOperator) -> None:
    """One run for each number of writes after which the operator dies; 0 is the one in which it never does."""
    runs = [Namespace(api) for _ in range(MOST_WRITES + 1)]
    everywhere = {"namespaces": [namespace.name for namespace in runs]}
    with start_operator(name="first", **everywhere) as first:
        first.ready()
        for namespace in runs:
            create(namespace)
        for namespace in runs:
            running(namespace)
    died = []
    for first_of in range(0, len(runs), AT_A_TIME):
        with ExitStack() as stack:
            batch = []
            for writes, namespace in list(enumerate(runs))[first_of : first_of + AT_A_TIME]:
                ask(namespace, restart_from="500", restart_attempt="1")
                only = {"namespaces": [namespace.name], "name": f"dying-{writes}"}
                dying = start_operator(program=(DYING, str(writes)), **only)
                batch.append((namespace, stack.enter_context(dying)))
            wait_until(
                lambda b=batch: restarted_or_dead(b),
                120,
                f"neither restarted nor dead after write {first_of} or one of the next",
            )
            died += [dying.process.poll() is not None for _, dying in batch]
    with start_operator(name="second", **everywhere) as second:
        second.ready()
        for writes, namespace in enumerate(runs):
            wait_until(lambda n=namespace: restarted(n), 60, f"not restarted after death at write {writes}")
    reference, *others = [end_state(namespace) for namespace in runs]
    assert reference["jobs"] == {"r-2": "step-00000500"}
    assert others == [reference] * MOST_WRITES
    print(f"a restart takes about {sum(died)} writes")
    # What is seen together is written together: from some write on it is chance whether an operator comes to it.
    assert died[: LEAST_WRITES + 1] == [False] + [True] * LEAST_WRITES


def test_two_operators_restart_it_once(namespace: Namespace, control_plane: Any, start_operator: StartOperator) -> None:
    """Both believe that they lead: the number in the Job's name keeps them from making two."""
    create(namespace)
    one, two = start_operator(name="one"), start_operator(name="two")
    one.ready()
    two.ready()
    running(namespace)
    ask(namespace, restart_from="500", restart_attempt="1")
    until_only(namespace, "r-2")
    running(namespace, 2)
    edit(namespace, backoffLimit=1)
    wait_until(lambda: jobs(namespace)["r-2"]["spec"]["backoffLimit"] == 1, 10, "not followed in place")
    assert origin(namespace, 2) == "step-00000500"
    assert list(jobs(namespace)) == ["r-2"]
    assert namespace.get(RUNS, "r")["status"]["attempt"] == 2
