"""Who gets which share of the requests."""

from __future__ import annotations

import time

from demo.steps import experiments
from demo.steps.outcome import furthest
from demo.steps.world import World


def test_ten_thousand_requests_split_within_two_points(world: World) -> None:
    outcome = experiments.split(world)
    assert outcome.holds, outcome.sentence


def test_the_same_cookie_always_reaches_the_same_mode(world: World) -> None:
    outcome = experiments.sticky(world)
    assert outcome.holds, outcome.sentence


def test_a_hundred_changes_under_load_lose_no_request(world: World) -> None:
    outcome = experiments.weight_changes(world)
    assert outcome.holds, outcome.sentence


def test_users_known_by_a_header_stay_with_their_mode(world: World) -> None:
    # Given a policy that knows its users by a header
    world.policy.set_spec(stickySession={"header": "x-user-id"})
    world.policy.wait_settled()
    # When many users without cookies come again and again
    report = world.run_load("--user-header=x-user-id", "--users=60", "--requests=1200", "--visits=5")
    # Then each meets one mode, and together they meet several
    assert (report["stickyViolations"], report["failed"]) == (0, 0), report
    assert len(report["modes"]) >= 2, report


def test_round_robin_is_a_cycle_and_not_chance(world: World) -> None:
    # Given a policy that goes through a fixed cycle
    world.policy.set_spec(strategy="RoundRobin")
    world.policy.wait_settled()
    # When new users come for a while
    report = world.run_load("--users=8", "--requests=1800")
    # Then the split is closer than chance would have it (one standard deviation of 60 % would be 1.2 points)
    assert report["failed"] == 0, report
    assert furthest(report["shares"], world.policy.file_weights()) <= 0.6, report


def test_a_wish_is_granted_and_a_foolish_one_is_not(world: World) -> None:
    # Given a policy that grants wishes, and one mode without a share
    world.policy.set_spec(strategy="UserPreference")
    world.policy.set_weights({"fast": 60, "balanced": 40})
    world.policy.wait_settled()
    # When users wish for a mode, for one that does not exist, and for one without a share
    granted, unknown, shareless = (
        world.run_load("--users=4", "--requests=200", f"--header=x-accord-mode={wish}")
        for wish in ("balanced", "telepathic", "creative")
    )
    # Then only the first is granted, the others follow the weights, and nobody is turned away
    assert granted["modes"] == {"balanced": 200}
    for report in (unknown, shareless):
        assert report["failed"] == 0, report
        assert set(report["modes"]) == {"fast", "balanced"}, report["modes"]


def test_a_mode_of_weight_zero_receives_nothing_not_even_from_its_own_users(world: World) -> None:
    # Given users who hold the cookie of a mode
    with world.load("--cookies", "--users=40", "--rate=100", "--progress=0.5") as load:
        while "creative" not in load.fresh_tally().modes:
            pass
        # When that mode's weight becomes 0
        world.policy.set_weights({"fast": 60, "balanced": 40})
        world.policy.wait_settled()
        check = load.fresh_tally()
        time.sleep(3)
        later = load.fresh_tally().since(check)
    # Then they are served by the others
    assert later.failed == 0
    assert set(later.modes) == {"fast", "balanced"}, later
