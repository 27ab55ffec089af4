"""Two replicas run, one writes; the other takes over."""

from __future__ import annotations

import itertools
import time

from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until

LEASES = "coordination.k8s.io/v1/leases"


def two(start_operator: StartOperator) -> tuple[OperatorProcess, OperatorProcess]:
    """A leader and a standby."""
    first = start_operator(name="one", leaderElection={"enabled": True}).ready()
    wait_until(lambda: first.leads, 15, "nobody leads")
    return first, start_operator(name="two", leaderElection={"enabled": True}).ready()


def made(namespace: Namespace, name: str) -> None:
    namespace.policy(name, {"a": 100})
    namespace.settled(name)


def test_one_writes(namespace: Namespace, start_operator: StartOperator) -> None:
    leader, standby = two(start_operator)
    namespace.deployment("a")
    for number in range(5):
        made(namespace, f"p{number}")
    assert leader.writes() > 0
    assert standby.writes() == 0
    assert not standby.leads
    lease = namespace.get(LEASES, "accord")
    assert lease["spec"]["holderIdentity"] == "one_127.0.0.1"


def test_the_standby_takes_over_from_a_killed_leader(namespace: Namespace, start_operator: StartOperator) -> None:
    """When its Lease runs out. That this is the moment is in `tests/unit/runtime/test_lease.py`."""
    leader, standby = two(start_operator)
    namespace.deployment("a")
    made(namespace, "before")
    held = namespace.get(LEASES, "accord")["spec"]
    assert held["leaseDurationSeconds"] == 10
    began = time.monotonic()
    leader.kill()
    namespace.policy("after", {"a": 100})
    namespace.delete("services", "before-a")
    wait_until(lambda: (namespace.get("trafficpolicies", "after") or {}).get("status"), 20, "nobody took over")
    print(f"killed with SIGKILL: the standby wrote after {time.monotonic() - began:.1f} s")
    assert standby.leads
    wait_until(lambda: namespace.get("services", "before-a"), 5, "what happened without a leader was not put right")
    lease = namespace.get(LEASES, "accord")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("two_127.0.0.1", 1)


def test_a_stopped_leader_hands_over_at_once(namespace: Namespace, start_operator: StartOperator) -> None:
    leader, standby = two(start_operator)
    since = namespace.get(LEASES, "accord")["metadata"]["resourceVersion"]
    began = time.monotonic()
    assert leader.terminate() == 0
    stopped = time.monotonic() - began
    wait_until(lambda: standby.leads, 10, "the standby does not lead")
    took = time.monotonic() - began
    print(f"SIGTERM: ended after {stopped:.1f} s, the standby led after {took:.1f} s")
    # It let go of its Lease, and the standby did not wait for its end: the next change of it is the standby's.
    changes = [lease["spec"] for _, lease in namespace.api.events(namespace.path(LEASES), since)]
    holders = [holder for holder, _ in itertools.groupby(spec.get("holderIdentity", "") for spec in changes)]
    assert holders in (["one_127.0.0.1", "", "two_127.0.0.1"], ["", "two_127.0.0.1"])
    assert next(spec for spec in changes if not spec.get("holderIdentity"))["leaseDurationSeconds"] == 1
    assert "Traceback" not in leader.log()


def test_a_leader_that_cannot_renew_stops_writing(namespace: Namespace, start_operator: StartOperator) -> None:
    """Somebody else takes the Lease away: the former leader notices with its next renewal."""
    leader = start_operator(name="one", leaderElection={"enabled": True}).ready()
    wait_until(lambda: leader.leads, 15, "nobody leads")
    namespace.patch(LEASES, "accord", {"spec": {"holderIdentity": "thief_127.0.0.1"}})
    wait_until(lambda: not leader.leads, 10, "two lead")
    before = leader.writes()
    namespace.deployment("a")
    namespace.policy("p", {"a": 100})
    time.sleep(3)
    # On a machine that stands still for so long the Lease may have been taken back by now.
    after = leader.writes()
    assert after == before or leader.leads
    # The thief never renews, so the Lease runs out and is taken back.
    wait_until(lambda: leader.leads, 20, "the Lease was not taken back")
    namespace.settled("p")


def test_only_the_leader_shows_conditions_and_none_of_what_was_deleted_meanwhile(
    namespace: Namespace, start_operator: StartOperator
) -> None:
    leader, standby = two(start_operator)
    namespace.deployment("a")
    made(namespace, "stays")
    made(namespace, "goes")

    def shown(operator: OperatorProcess) -> set[str]:
        return {labels["name"] for labels, _ in operator.series("accord_condition")}

    wait_until(lambda: shown(leader) == {"stays", "goes"}, 10, "the leader does not show them")
    assert shown(standby) == set()
    # When the leader loses the Lease, then it shows nothing; what goes meanwhile is shown by nobody any more
    namespace.patch(LEASES, "accord", {"spec": {"holderIdentity": "thief_127.0.0.1"}})
    wait_until(lambda: not leader.leads and shown(leader) == set(), 10, "two lead, or what one showed stays")
    namespace.delete("trafficpolicies", "goes")
    wait_until(lambda: leader.leads or standby.leads, 25, "nobody takes the Lease back")
    heir, other = (leader, standby) if leader.leads else (standby, leader)
    wait_until(lambda: shown(heir) == {"stays"}, 10, "the new leader shows others")
    assert shown(other) == set()
