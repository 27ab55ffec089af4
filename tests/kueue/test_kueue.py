"""TrainingRuns in queues of a real Kueue: they wait with its reasons, keep their places, and no Job is fought over."""

from __future__ import annotations

import pytest
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Namespace, wait_until
from tests.apiserver.test_operator_training import JOBS, RUNS, end
from tests.kueue.rig import (
    API,
    QUEUES,
    cluster_queue,
    ended,
    hands,
    local_queue,
    pods,
    priority_class,
    runs,
    train,
    until,
    workload,
)

MADE = (True, "accord")
LET, HELD = (False, "kueue"), (True, "kueue")


def version(namespace: Namespace) -> str:
    return str(namespace.api.get(namespace.path(JOBS))["metadata"]["resourceVersion"])


def suspend(namespace: Namespace, name: str, *, suspend: bool) -> None:
    namespace.patch(RUNS, name, {"spec": {"suspend": suspend}})


def test_with_quota_for_one_the_second_run_waits_and_goes_when_the_first_has_ended(
    queued: Namespace, start: StartOperator
) -> None:
    cluster_queue(queued, "1")
    local_queue(queued)
    start().ready()
    since = version(queued)
    train(queued, "a", queueName="main")
    pod = runs(queued, "a")
    train(queued, "b", queueName="main")
    status = until(queued, "b", "Queued", "insufficient unused quota for cpu")
    assert (status["phase"], pods(queued, "b")) == ("Pending", [])
    end(queued, pod, 0)
    until(queued, "a", "Succeeded")
    end(queued, runs(queued, "b"), 0)
    until(queued, "b", "Succeeded")
    assert (hands(queued, since, "a-1"), hands(queued, since, "b-1")) == ([MADE, LET], [MADE, LET])


def test_a_run_of_higher_priority_preempts_one_which_saves_waits_and_goes_on(
    queued: Namespace, start: StartOperator
) -> None:
    cluster_queue(queued, "1")
    local_queue(queued)
    low, high = priority_class(queued, "low", 1), priority_class(queued, "high", 100)
    start().ready()
    since = version(queued)
    train(queued, "a", queueName="main", priorityClass=low)
    runs(queued, "a")
    train(queued, "b", queueName="main", priorityClass=high)
    status = until(queued, "a", "Preempted", "its pod is saving and terminating")
    assert status["phase"] == "Running"
    ended(queued, "a")
    pod = runs(queued, "b")
    status = until(queued, "a", "Queued", "insufficient unused quota")
    assert (status["phase"], status["attempt"], status.get("failedPods", 0)) == ("Pending", 1, 0)
    end(queued, pod, 0)
    until(queued, "b", "Succeeded")
    pod = runs(queued, "a")
    assert queued.get(RUNS, "a")["status"]["attempt"] == 1
    end(queued, pod, 0)
    until(queued, "a", "Succeeded")
    assert hands(queued, since, "a-1") == [MADE, LET, HELD, LET]


def test_a_queue_that_is_missing_stopped_or_too_small_is_named(queued: Namespace, start: StartOperator) -> None:
    start().ready()
    train(queued, "a", queueName="main")
    until(queued, "a", "QueueNotFound", "LocalQueue main doesn't exist")
    cluster_queue(queued, "1")
    local_queue(queued, stopPolicy="Hold")
    until(queued, "a", "QueueStopped", "LocalQueue main is")
    queued.patch(QUEUES, "main", {"spec": {"stopPolicy": "None"}})
    runs(queued, "a")
    queued.patch(QUEUES, "main", {"spec": {"stopPolicy": "HoldAndDrain"}})
    until(queued, "a", "QueueStopped", "its pod is saving and terminating")
    ended(queued, "a")
    assert until(queued, "a", "QueueStopped", "LocalQueue main is")["phase"] == "Pending"
    queued.patch(QUEUES, "main", {"spec": {"stopPolicy": "None"}})
    runs(queued, "a")
    assert queued.get(RUNS, "a")["status"]["attempt"] == 1
    train(queued, "b", cpu="4", queueName="main")
    until(queued, "b", "ExceedsQuota", "maximum capacity")


def behind(namespace: Namespace, job: str) -> None:
    """Until what is made now is behind that in the queue: Kueue goes by creation, which is kept in whole seconds."""
    path, made = namespace.path("configmaps"), workload(namespace, job)["metadata"]["creationTimestamp"]
    probe = {"metadata": {"generateName": "clock-"}}
    wait_until(
        lambda: namespace.api.create(path, probe)["metadata"]["creationTimestamp"] > made, 10, "the clock stands still"
    )


def test_a_suspended_run_keeps_its_place_in_the_queue(queued: Namespace, start: StartOperator) -> None:
    cluster_queue(queued, "1")
    local_queue(queued)
    start().ready()
    since = version(queued)
    train(queued, "a", queueName="main")
    first = runs(queued, "a")
    train(queued, "b", queueName="main")
    until(queued, "b", "Queued", "insufficient unused quota")
    behind(queued, "b-1")
    train(queued, "c", queueName="main")
    until(queued, "c", "Queued", "insufficient unused quota")
    uid = workload(queued, "b-1")["metadata"]["uid"]
    suspend(queued, "b", suspend=True)
    until(queued, "b", "Suspended")
    wait_until(lambda: workload(queued, "b-1")["spec"]["active"] is False, 10, "the Workload is active")
    suspend(queued, "b", suspend=False)
    until(queued, "b", "Queued")
    wait_until(lambda: workload(queued, "b-1")["spec"]["active"], 10, "the Workload is not active")
    until(queued, "b", "Queued", "insufficient unused quota")
    end(queued, first, 0)
    runs(queued, "b")
    assert (workload(queued, "b-1")["metadata"]["uid"], pods(queued, "c")) == (uid, [])
    # One that runs gives the quota back, and its attempt goes on later.
    suspend(queued, "b", suspend=True)
    until(queued, "b", "Suspending")
    ended(queued, "b")
    until(queued, "b", "Suspended")
    last = runs(queued, "c")
    suspend(queued, "b", suspend=False)
    until(queued, "b", "Queued", "insufficient unused quota")
    end(queued, last, 0)
    runs(queued, "b")
    found = queued.get(RUNS, "b")["status"]
    assert (found["attempt"], workload(queued, "b-1")["metadata"]["uid"]) == (1, uid)
    assert hands(queued, since, "b-1") == [MADE, LET, HELD, LET]


def test_a_default_queue_takes_a_run_that_names_none_and_nobody_fights(queued: Namespace, start: StartOperator) -> None:
    cluster_queue(queued, "1")
    local_queue(queued, "default")
    start().ready()
    since = version(queued)
    train(queued, "a")
    first = runs(queued, "a")
    train(queued, "b")
    until(queued, "b", "Queued", "waiting for admission by queue default")
    end(queued, first, 0)
    runs(queued, "b")
    suspend(queued, "b", suspend=True)
    ended(queued, "b")
    until(queued, "b", "Suspended")
    suspend(queued, "b", suspend=False)
    runs(queued, "b")
    assert queued.get(RUNS, "b")["status"]["attempt"] == 1
    steps = hands(queued, since, "b-1")
    # Its webhook suspends what we make: that counts as ours. From then on Kueue alone.
    assert [suspended for suspended, _ in steps] == [True, False, True, False]
    assert {by for _, by in steps[1:]} == {"kueue"}


@pytest.mark.parametrize("moment", ["preempted", "suspended"])
def test_a_standby_that_takes_over_comes_to_the_same_end(queued: Namespace, start: StartOperator, moment: str) -> None:
    cluster_queue(queued, "1")
    local_queue(queued)
    low, high = priority_class(queued, "low", 1), priority_class(queued, "high", 100)
    leader = start(name="one", leaderElection={"enabled": True}).ready()
    wait_until(lambda: leader.leads, 15, "nobody leads")
    start(name="two", leaderElection={"enabled": True}).ready()
    since = version(queued)
    train(queued, "a", queueName="main", priorityClass=low)
    runs(queued, "a")
    train(queued, "b", queueName="main", priorityClass=high, suspend=True)
    if moment == "preempted":
        suspend(queued, "b", suspend=False)
        until(queued, "a", "Preempted")
        leader.kill()
    else:
        leader.kill()
        suspend(queued, "a", suspend=True)
        suspend(queued, "b", suspend=False)
    ended(queued, "a")
    end(queued, runs(queued, "b"), 0)
    until(queued, "b", "Succeeded")
    if moment == "suspended":
        until(queued, "a", "Suspended")
        suspend(queued, "a", suspend=False)
    pod = runs(queued, "a")
    assert queued.get(RUNS, "a")["status"]["attempt"] == 1
    end(queued, pod, 0)
    until(queued, "a", "Succeeded")
    assert hands(queued, since, "a-1") == [MADE, LET, HELD, LET]


def test_a_first_priority_that_comes_while_a_run_waits_moves_it_ahead(queued: Namespace, start: StartOperator) -> None:
    cluster_queue(queued, "1")
    local_queue(queued)
    high = priority_class(queued, "high", 100)
    start().ready()
    train(queued, "a", queueName="main", priorityClass=high)
    first = runs(queued, "a")
    for name in ("b", "c"):
        train(queued, name, queueName="main")
        until(queued, name, "Queued", "insufficient unused quota")
    queued.patch(RUNS, "c", {"spec": {"priorityClass": high}})
    wait_until(lambda: workload(queued, "c-1")["spec"].get("priority") == 100, 20, "the priority does not follow")
    end(queued, first, 0)
    runs(queued, "c")
    assert pods(queued, "b") == []
    assert queued.api.get(f"{API}/workloadpriorityclasses/{high}") is not None
