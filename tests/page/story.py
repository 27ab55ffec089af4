"""A night in a namespace, as objects and as series: a recorded PPO run whose weights are broken at step 21,504.

The training is `cartpole/sb3-weights-1003` of the corpus; what the check says of it is what `accord backtest` says.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from accord.api.v1alpha1.trainingrun import EntropySchedule, LearningRateSchedule
from accord.domain.training.schedule import value_at

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT / "tests" / "bench" / "corpus" / "cartpole" / "sb3-weights-1003.csv.gz"
TOTAL, LAST, SAVED, BEST, SERVED, TARGET = 40_000, 21_656, 2_000, 18_000, 20_000, 18_000
LASTS = timedelta(hours=5)
"""From the first step to the last."""
_SCRAPE = 30
_ENTROPY = {"initial": 0.02, "final": 0.005, "decaySteps": TOTAL}
_RATE = {"initial": 3e-4, "final": 1e-4, "decaySteps": TOTAL, "decayStrategy": "Cosine"}
GROUP = "accord.dev/v1alpha1"
MESSAGE = "reward 105.2 over 20 episodes, 270.2 at best: 66% of what was learnt is lost (limit 145.4)"
ROLLBACK = "0a1b2-a1-RewardDrop-21656"
Events = list[tuple[int, float | None, float | None]]


def events() -> Events:
    """Step, loss and return of each event up to the last step."""
    with gzip.open(RECORDING, "rt", newline="") as file:
        rows = [(int(row["step"]), _number(row["loss"]), _number(row["reward"])) for row in csv.DictReader(file)]
    return [row for row in rows if row[0] <= LAST]


def _number(text: str) -> float | None:
    return float(text) if text else None


def entropy(step: float) -> float:
    return value_at(EntropySchedule.model_validate(_ENTROPY), step)


def rate(step: float) -> float:
    return value_at(LearningRateSchedule.model_validate(_RATE), step)


@dataclass(frozen=True)
class Night:
    """The story as it is at one time."""

    now: datetime
    namespace: str = "shop"

    def at(self, step: float) -> datetime:
        """When that step was trained."""
        return self.now - LASTS * (1 - step / LAST)

    def stamp(self, step: float) -> str:
        return _stamp(self.at(step))

    def before(self, **ago: float) -> str:
        return _stamp(self.now - timedelta(**ago))

    def objects(self, *, waiting: bool = True) -> dict[str, dict[str, Any]]:
        """By kind; `waiting`: the rollback is waiting for approval, else the training is healthy still."""
        return {
            "TrafficPolicy": self._traffic(waiting=waiting),
            "TrainingRun": self._run(waiting=waiting),
            "CheckpointPolicy": self._policy(waiting=waiting),
        }

    def series(self, lead: timedelta = timedelta(0)) -> Iterator[str]:
        """OpenMetrics of all that was scraped, with the last sample `lead` before now."""
        known, seen = events(), 0
        sums = {"loss": [0.0, 0.0], "reward": [0.0, 0.0]}
        rows: dict[str, list[str]] = {}
        pod = f'namespace="{self.namespace}",pod="ppo-1-x7k2p"'
        served = f'namespace="{self.namespace}",policy="ppo"'
        begin, end = self.at(0).timestamp(), (self.now - lead).timestamp()
        for index in range(int((end - begin) / _SCRAPE) + 1):
            time = begin + index * _SCRAPE
            step = int(LAST * (time - begin) / LASTS.total_seconds())
            while seen < len(known) and known[seen][0] <= step:
                for name, value in (("loss", known[seen][1]), ("reward", known[seen][2])):
                    if value is not None:
                        sums[name][0] += value
                        sums[name][1] += 1
                seen += 1
            values = {
                f"ppo_training_step{{{pod}}}": float(step),
                f"ppo_entropy_coef{{{pod}}}": entropy(step),
                f"ppo_learning_rate{{{pod}}}": rate(step),
                **{f"ppo_{name}_sum{{{pod}}}": total for name, (total, _) in sums.items()},
                **{f"ppo_{name}_count{{{pod}}}": count for name, (_, count) in sums.items()},
            }
            if step >= SAVED + 100:
                values[f"checkpoint_served_step{{{served}}}"] = (step - 100) // SAVED * SAVED
            for name, value in values.items():
                rows.setdefault(name, []).append(f"{name} {value} {time:.3f}")
        families: dict[str, list[str]] = {}
        for name, lines in rows.items():
            families.setdefault(name.partition("{")[0], []).extend(lines)
        for family, lines in families.items():
            yield f"# TYPE {family} gauge"
            yield from lines
        yield "# EOF"

    def _head(self, kind: str, name: str) -> dict[str, Any]:
        meta = {"name": name, "namespace": self.namespace, "creationTimestamp": self.stamp(-200), "generation": 1}
        return {"apiVersion": GROUP, "kind": kind, "metadata": meta}

    def condition(self, type_: str, status: str, reason: str, message: str = "", step: float = 0) -> dict[str, Any]:
        return {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": self.stamp(step),
        }

    def _traffic(self, *, waiting: bool) -> dict[str, Any]:
        modes = (("fast", 60, 59.4, 3), ("balanced", 30, 30.5, 2), ("creative", 10, 10.1, 1))
        spec = {
            "modes": [
                {"name": name, "weight": weight, "deploymentRef": {"name": f"reply-{name}"}, "port": 8000}
                for name, weight, _, _ in modes
            ],
            "circuitBreaker": {"mode": "creative", "failures": 3, "window": "1m", "cooldown": "5m"},
        }
        shift = {"creative": 0.0, "fast": 70.0} if waiting else {}
        actual = {"fast": 69.2, "balanced": 30.8, "creative": 0.0} if waiting else {}
        status: dict[str, Any] = {
            "observedGeneration": 1,
            "conditions": [
                self.condition("Ready", "True", "Ready", "creative is downshifted" if waiting else "as specified"),
                self.condition("Accepted", "True", "Accepted"),
                *([self.condition("CircuitsClosed", "False", "CircuitOpen", "creative is open")] if waiting else []),
            ],
            "modes": [
                {
                    "name": name,
                    "target": float(weight),
                    "effective": shift.get(name, float(weight)),
                    "actual": actual.get(name, share),
                    "readyPods": pods,
                    "healthyPods": pods,
                    "requests": 5200,
                }
                for name, weight, share, pods in modes
            ],
            "inForce": {
                "shares": {"fast": 70, "balanced": 30} if waiting else {"fast": 60, "balanced": 30, "creative": 10},
                "reason": "CircuitOpen" if waiting else "Spec",
                "since": self.before(minutes=3) if waiting else self.stamp(0),
            },
            "address": f"reply-router.{self.namespace}.svc:80",
            "countedBy": "Service",
            "actual": "59.4/30.5/10.1",
            "lastReport": self.before(seconds=30),
        }
        if waiting:
            status["circuitBreakers"] = [
                {
                    "mode": "creative",
                    "phase": "Open",
                    "share": 0,
                    "since": self.before(minutes=3),
                    "until": _stamp(self.now + timedelta(minutes=2, seconds=20)),
                    "failures": 4,
                    "requests": 118,
                    "reason": "4 failures of 118 requests within 1m",
                }
            ]
        return {**self._head("TrafficPolicy", "reply"), "spec": spec, "status": status}

    def _run(self, *, waiting: bool) -> dict[str, Any]:
        template = {"spec": {"containers": [{"name": "trainer", "image": "example/trainer:1"}]}}
        spec = {
            "template": template,
            "totalSteps": TOTAL,
            "schedules": {"entropyCoef": _ENTROPY, "learningRate": _RATE},
            "checkpoints": {"saveFrequency": SAVED},
        }
        ready = (
            ("AwaitingApproval", "CheckpointPolicy ppo is waiting for approval of a rollback")
            if waiting
            else ("Running", "attempt 1 is training")
        )
        reached = (0, 25, 50)
        status = {
            "observedGeneration": 1,
            "conditions": [
                self.condition("Ready", "True", *ready),
                self.condition("Accepted", "True", "Accepted"),
                self.condition("MetricsAvailable", "True", "Measured"),
                self.condition("OnSchedule", "True", "OnSchedule"),
            ],
            "phase": "Suspended" if waiting else "Running",
            "attempt": 1,
            "step": LAST,
            "progress": round(100 * LAST / TOTAL, 1),
            "progressBar": "█████░░░░░ 54%",
            "estimatedCompletion": _stamp(self.now + timedelta(hours=4, minutes=14)),
            "entropyCoef": entropy(LAST),
            "learningRate": rate(LAST),
            "loss": 1.665 if waiting else 2.394,
            "reward": 105.25 if waiting else 238.4,
            "jobRef": {"name": "ppo-1"},
            "milestones": [
                {
                    "percent": each,
                    "step": TOTAL * each // 100,
                    "reachedAt": self.stamp(TOTAL * each / 100),
                    "entropyCoef": entropy(TOTAL * each / 100),
                    "learningRate": rate(TOTAL * each / 100),
                    "reward": reward,
                }
                for each, reward in zip(reached, (20.7, 142.1, 241.3), strict=True)
            ],
        }
        return {**self._head("TrainingRun", "ppo"), "spec": spec, "status": status}

    def _policy(self, *, waiting: bool) -> dict[str, Any]:
        rewards = _means()
        checkpoints = [
            {
                "step": step,
                "attempt": 1,
                "snapshot": f"ppo-{step}-a1-0a1b2",
                "ready": True,
                "verified": True,
                "quarantined": step == 8_000,
                "reward": rewards[step][0],
                "loss": rewards[step][1],
                "createdAt": self.stamp(step),
            }
            for step in range(SAVED, LAST, SAVED)
        ]
        verdict: dict[str, Any] = {"outcome": "Pass", "step": LAST, "at": self.before(seconds=8), "samples": 20}
        if waiting:
            verdict = {
                **verdict,
                "outcome": "Fail",
                "signal": "RewardDrop",
                "rule": "Adaptive on reward by episodes",
                "baseline": 270.16,
                "recent": 105.25,
                "limit": 145.41,
                "share": 0.661,
                "message": MESSAGE,
            }
        status: dict[str, Any] = {
            "observedGeneration": 1,
            "conditions": [
                self.condition("Ready", "True", "Serving", f"step {SERVED} is served"),
                self.condition("Accepted", "True", "Accepted"),
                self.condition("Healthy", *(("False", "RewardDrop", MESSAGE) if waiting else ("True", "Pass", ""))),
            ],
            "serving": {"step": SERVED, "attempt": 1, "since": self.stamp(SERVED + 100)},
            "latestStep": SERVED,
            "bestStep": BEST,
            "bestValue": rewards[BEST][0],
            "rollbacks": 1,
            "checkpoints": checkpoints,
            "detection": verdict,
            "history": [
                {
                    "id": "0a1b2-a1-LossSpike-9300",
                    "phase": "Rejected",
                    "signal": "RewardDrop",
                    "fromStep": 8_000,
                    "toStep": 6_000,
                    "baseline": 96.2,
                    "recent": 51.8,
                    "startedAt": self.stamp(9_300),
                    "completedAt": self.stamp(9_420),
                    "message": "rejected: the environment was changed on purpose",
                }
            ],
        }
        if waiting:
            status["conditions"][0] = self.condition(
                "Ready", "True", "AwaitingApproval", f"step {SERVED} is served; a rollback is waiting for approval"
            )
            status["rollback"] = {
                "id": ROLLBACK,
                "phase": "AwaitingApproval",
                "attempt": 1,
                "onset": 21_500,
                "fromStep": SERVED,
                "toStep": TARGET,
                "toAttempt": 1,
                "signal": "RewardDrop",
                "baseline": 270.16,
                "recent": 105.25,
                "startedAt": self.before(minutes=2),
                "message": MESSAGE,
            }
        spec = {
            "trainingRunRef": {"name": "ppo"},
            "serving": {"deploymentRef": {"name": "reply-balanced"}, "volume": "policy"},
            "rollback": {"approval": "Manual"},
        }
        return {**self._head("CheckpointPolicy", "ppo"), "spec": spec, "status": status}


def _means() -> dict[int, tuple[float, float]]:
    """Mean return and loss of the steps before each checkpoint."""
    found = {}
    for step in range(SAVED, LAST, SAVED):
        recent = [row for row in events() if step - SAVED < row[0] <= step]
        rewards = [row[2] for row in recent if row[2] is not None]
        losses = [row[1] for row in recent if row[1] is not None]
        found[step] = round(sum(rewards) / len(rewards), 1), round(sum(losses) / len(losses), 4)
    return found


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
