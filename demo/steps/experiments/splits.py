"""Claims about who gets which share of the requests."""

from __future__ import annotations

import math
import time

from demo.steps.outcome import Outcome, failures_text, furthest, split_text
from demo.steps.world import World

TOLERANCE = 2.0
"""Percentage points. Of 10,000 independent draws a share of 60 % is off by more than 2 once in 20,000 runs."""


def split(world: World, requests: int = 10_000) -> Outcome:
    """So many requests of as many users, by the weights of the file."""
    target = world.policy.file_weights()
    report = world.run_load("--users=16", f"--requests={requests}")
    off = furthest(report["shares"], target)
    return Outcome(
        f"{requests:,} requests split {split_text(target, target, 0)} within {TOLERANCE:g} points",
        off <= TOLERANCE and report["failed"] == 0 and report["answered"] == requests,
        f"{split_text(report['shares'], target)}, at most {off:.2f} points off, {report['failed']} failed, "
        f"p99 {report['latencyMs']['p99']:.0f} ms at {report['rate']:.0f}/s",
        failures_text(report["examples"]),
    )


def sticky(world: World, users: int = 100, requests: int = 2_000) -> Outcome:
    """Users with a cookie stay where they were first sent, whatever mode that is."""
    report = world.run_load("--cookies", f"--users={users}", f"--requests={requests}")
    met = len(report["modes"])
    return Outcome(
        "the same cookie always reaches the same mode",
        report["stickyViolations"] == 0 and report["failed"] == 0 and met >= 2,
        f"{users} users, {report['answered']:,} answers of {met} modes, {report['stickyViolations']} from another "
        f"mode than before, {report['failed']} failed",
        failures_text(report["examples"]),
    )


def wave(modes: list[str], progress: float) -> dict[str, int]:
    """A split that goes round: each mode swings twice between 3 and 64 percent while `progress` goes from 0 to 1."""
    turns = [2 * math.tau * progress + math.tau * index / len(modes) for index in range(len(modes))]
    weights = {mode: round((100 + 91 * math.cos(turn)) / len(modes)) for mode, turn in zip(modes, turns, strict=True)}
    weights[modes[-1]] += 100 - sum(weights.values())
    return weights


def weight_changes(world: World, changes: int = 100, pause: float = 0.2) -> Outcome:
    """The split changes again and again under load, and the last one counts. `pause` in seconds between changes."""
    policy, load = world.policy, world.background
    modes = list(policy.file_weights())
    before, generation = load.fresh_tally(), policy.live()["metadata"]["generation"]
    began = time.monotonic()
    for number in range(changes):
        policy.set_weights(wave(modes, number / changes))
        time.sleep(pause)
    took = time.monotonic() - began
    done = policy.live()["metadata"]["generation"] - generation
    last = {modes[0]: 10, modes[1]: 20, modes[2]: 70}
    policy.set_weights(last)
    settled = policy.wait_settled(30)
    check = load.fresh_tally()
    final = load.await_answers(check, 900)
    whole = load.fresh_tally().since(before)
    policy.apply()
    policy.wait_settled(30)
    off = furthest(final.shares, last)
    # Of 900 draws: four standard deviations of the largest share are 6 points.
    return Outcome(
        f"{changes} changes of the split under load lose no request",
        whole.failed == 0 and off <= 6 and done == changes and whole.answered > 0,
        f"{done} changes in {took:.0f} s, {whole.answered:,} requests, {whole.failed} failed; then "
        f"{split_text(last, last, 0)} was in force after {settled:.1f} s: {split_text(final.shares, last)}",
        world.explain_failures(),
    )
