"""A TrainingRun in the cluster, as a user handles it, and what Prometheus has seen of its trainer."""

from __future__ import annotations

import copy
import math
import time
from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from demo.steps.cluster import ApiError, Cluster, Manifest, path_of, wait_until
from demo.steps.errors import StepError
from demo.steps.images import Image
from demo.steps.local import CHECKOUT
from demo.steps.prometheus import Prometheus

EXAMPLES = CHECKOUT / "manifests" / "examples"
RUN_LABEL = "accord.dev/training-run"
DISTURB = "ACCORD_DISTURB_AT"
"""Variable by which the trainer breaks its policy."""
HEAD = f"{'PHASE':<10} {'STEP':>6}  {'PROGRESS':<16} {'ENTROPY':>8} {'LR':>9} {'REWARD':>7}"


@dataclass(frozen=True)
class Scrape:
    """What one scrape of the trainer showed."""

    step: int
    entropy_coef: float
    learning_rate: float


class Training:
    """One TrainingRun, from a file that a user could apply; only its image and its trainer's options are replaced."""

    def __init__(self, cluster: Cluster, prometheus: Prometheus, manifest: Manifest) -> None:
        self._cluster, self._prometheus, self._manifest = cluster, prometheus, manifest
        self.name: str = manifest["metadata"]["name"]
        self.namespace: str = manifest["metadata"]["namespace"]

    @classmethod
    def example(
        cls, cluster: Cluster, prometheus: Prometheus, namespace: str, image: Image, file: str, **options: object
    ) -> Training:
        """That of a file in manifests/examples; `options` are variables for the trainer."""
        manifest = copy.deepcopy(yaml.safe_load((EXAMPLES / file).read_text()))
        manifest["metadata"]["namespace"] = namespace
        [trainer] = manifest["spec"]["template"]["spec"]["containers"]
        trainer["image"] = image.reference
        trainer["env"] += [{"name": name, "value": str(value)} for name, value in options.items()]
        manifest["spec"]["monitoring"] = {"interval": "2s"}
        return cls(cluster, prometheus, manifest)

    def changed(self, name: str, **spec: object) -> Training:
        """A run like this one under another name, with other fields."""
        manifest = {**self._manifest, "metadata": {**self._manifest["metadata"], "name": name}}
        return Training(self._cluster, self._prometheus, {**manifest, "spec": {**manifest["spec"], **spec}})

    def undisturbed(self, steps: int, save: int) -> Training:
        """A run like this one without its fault on purpose: `steps` long, with a checkpoint each `save` steps."""
        spec: Manifest = copy.deepcopy(self._manifest["spec"])
        [trainer] = spec["template"]["spec"]["containers"]
        trainer["env"] = [entry for entry in trainer["env"] if entry["name"] != DISTURB]
        spec["checkpoints"]["saveFrequency"] = save
        return self.changed(self.name, **{**spec, "totalSteps": steps})

    @property
    def spec(self) -> Manifest:
        """As the API server has it, with its defaults."""
        return dict(self.live()["spec"])

    def apply(self) -> None:
        """The run as its file has it."""
        self._cluster.apply(self._manifest)

    def delete(self, seconds: float = 90) -> None:
        """The run, its pods and what it learnt."""
        self._cluster.delete("TrainingRun", self.name, self.namespace)
        wait_until(f"the pods of {self.name} are gone", lambda: not self._pods(), seconds)
        self._cluster.delete("PersistentVolumeClaim", f"{self.name}-checkpoints", self.namespace)
        wait_until(
            f"the checkpoints of {self.name} are gone",
            lambda: self._cluster.get("PersistentVolumeClaim", f"{self.name}-checkpoints", self.namespace) is None,
            seconds,
        )

    def live(self) -> Manifest:
        """The object as the API server has it."""
        live = self._cluster.get("TrainingRun", self.name, self.namespace)
        if live is None:
            raise StepError(f"TrainingRun {self.namespace}/{self.name} is gone")
        return live

    def status(self) -> Manifest:
        """`status` of the live object."""
        return dict(self.live().get("status") or {})

    def line(self) -> str:
        """What `kubectl get tr` shows of it."""
        status = self.status()
        entropy, rate, reward = (status.get(name) for name in ("entropyCoef", "learningRate", "reward"))
        return (
            f"{status.get('phase') or '':<10} {status.get('step', ''):>6}  {status.get('progressBar') or '':<16} "
            f"{_shown(entropy, 4):>8} {_shown(rate, 6):>9} {_shown(reward, 2):>7}"
        )

    def watch(
        self, done: Callable[[Manifest], bool], seconds: float, say: Callable[[str], None], every: float = 1.0
    ) -> float:
        """Until its status is so; the seconds. Tells changes like `kubectl get -w`, at most one in `every` seconds."""
        say(f"       {HEAD}")
        began, last, told = time.monotonic(), "", 0.0

        def reached() -> bool:
            nonlocal last, told
            line, now = self.line(), time.monotonic()
            over = done(self.status())
            if line != last and (over or now - told >= every):
                say(f"       {line}")
                last, told = line, now
            return over

        wait_until(f"TrainingRun {self.name} is where it is waited for", reached, seconds, self.explain)
        return time.monotonic() - began

    def wait_step(self, step: int, seconds: float) -> int:
        """Until its trainer has reported this step to the operator; the step then."""
        wait_until(f"{self.name} reaches step {step}", lambda: self._step() >= step, seconds, self.explain, every=0.1)
        return self._step()

    def pods_at_work(self) -> list[str]:
        """Names of the pods that run and stay."""
        return [
            str(pod["metadata"]["name"])
            for pod in self._pods()
            if "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") == "Running"
        ]

    def kill_pod(self) -> str:
        """SIGKILL for the pod at work; its name."""
        [name] = self.pods_at_work()
        self._cluster.request("DELETE", path_of("Pod", self.namespace, name), {"gracePeriodSeconds": 0})
        return name

    def log(self, pod: str) -> str:
        """What a pod has said; empty while it cannot be read."""
        try:
            return self._cluster.request("GET", f"{path_of('Pod', self.namespace, pod)}/log")
        except ApiError:
            return ""

    def scrapes(self) -> list[Scrape]:
        """Every scrape of the run's pods in the last ten minutes, in their order."""
        columns = [self._samples(name) for name in ("ppo_training_step", "ppo_entropy_coef", "ppo_learning_rate")]
        # The three of one scrape carry one time.
        times = sorted(set.intersection(*(set(column) for column in columns)))
        return [Scrape(int(columns[0][at]), columns[1][at], columns[2][at]) for at in times]

    def mean_reward(self, first: int, last: int) -> tuple[float, int]:
        """Mean return of the episodes that ended between two steps, as near as scrapes are; and their number."""
        steps, sums, counts = (
            self._samples(name) for name in ("ppo_training_step", "ppo_reward_sum", "ppo_reward_count")
        )
        inside = [at for at in sorted(set(steps) & set(sums) & set(counts)) if first <= steps[at] <= last]
        if len(inside) < 2:
            return math.nan, 0
        begin, end = inside[0], inside[-1]
        episodes = int(counts[end] - counts[begin])
        return (sums[end] - sums[begin]) / episodes if episodes else math.nan, episodes

    def explain(self) -> str:
        """Status and conditions, for a reader who wonders why nothing happens."""
        status = self.status()
        said = [
            f"{entry['type']}={entry['status']} {entry.get('reason')}: {entry.get('message', '')}"
            for entry in status.get("conditions", [])
        ]
        return "; ".join([f"{status.get('phase')} at step {status.get('step')}", *said])

    def _step(self) -> int:
        return int(self.status().get("step") or 0)

    def _pods(self) -> list[Manifest]:
        return self._cluster.find("Pod", self.namespace, f"{RUN_LABEL}={self.name}")

    def _samples(self, series: str) -> dict[float, float]:
        """Value by time. Of a run that was deleted and made anew, only what came after its begin."""
        created = self.live()["metadata"]["creationTimestamp"]
        begin = timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ"))
        pods = f'namespace="{self.namespace}",pod=~"{self.name}-[0-9]+-[a-z0-9]+"'
        found = self._prometheus.query(f"{series}{{{pods}}}[10m]")
        pairs: list[Any] = [pair for each in found for pair in each["values"]]
        return {float(at): float(value) for at, value in pairs if float(at) >= begin}


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
