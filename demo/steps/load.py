"""Load pods: the example's load generator, run inside the cluster, and its books."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from devcluster.waiting import patience

from demo.steps.cluster import ApiError, Cluster, Manifest, condition, path_of, wait_until
from demo.steps.errors import StepError

Line = dict[str, Any]


@dataclass(frozen=True)
class Tally:
    """Requests that were answered, by mode, and those that failed."""

    modes: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    sticky_violations: int = 0

    @property
    def answered(self) -> int:
        """All answers."""
        return self.modes.total()

    @property
    def shares(self) -> dict[str, float]:
        """Share of each mode in percent of all answers."""
        return {mode: 100 * count / self.answered for mode, count in sorted(self.modes.items())}

    def since(self, earlier: Tally) -> Tally:
        """What was added since `earlier`."""
        return Tally(
            self.modes - earlier.modes,
            self.failed - earlier.failed,
            self.sticky_violations - earlier.sticky_violations,
        )

    @classmethod
    def of(cls, line: Line) -> Tally:
        """The tally of a progress line or report."""
        return cls(Counter(line["modes"]), line["failed"], line["stickyViolations"])


class Load:
    """One load pod. Its log is followed in a thread of its own until it ends."""

    def __init__(
        self, cluster: Cluster, template: Manifest, arguments: list[str], listener: Callable[[Line], None] | None = None
    ) -> None:
        self._cluster = cluster
        self._listener = listener
        self._news = threading.Condition()
        self._lines = 0
        self._latest: Line | None = None
        self._report: Line | None = None
        self._broken = ""
        self._said: list[str] = []
        self.switches: list[Line] = []
        pod: Manifest = json.loads(json.dumps(template))
        pod["spec"]["containers"][0]["args"] = arguments
        created = cluster.create(pod)
        self.name, self.namespace = created["metadata"]["name"], created["metadata"]["namespace"]
        self._follower = threading.Thread(target=self._follow, name=self.name, daemon=True)
        self._follower.start()

    def tally(self) -> Tally:
        """The totals so far, as of the latest line."""
        self._raise_when_broken()
        return Tally.of(self._latest) if self._latest else Tally()

    @property
    def examples(self) -> list[Line]:
        """The latest failures, word for word."""
        return list(self._latest["examples"]) if self._latest else []

    def await_answers(self, check: Tally, count: int, seconds: float = 60) -> Tally:
        """What came after `check`, once that is so many answers: shares of fewer would be more of chance."""
        wait_until(f"{count} answers", lambda: self.tally().since(check).answered >= count, seconds, every=0.5)
        return self.fresh_tally().since(check)

    def fresh_tally(self, seconds: float = 30) -> Tally:
        """The totals including everything up to now: waits for a line that was begun after this call."""
        seconds = patience(seconds)
        with self._news:
            wanted = self._lines + 2
            come = self._news.wait_for(lambda: self._lines >= wanted or self._report or self._broken, seconds)
        self._raise_when_broken()
        if not come:
            raise StepError(f"pod {self.namespace}/{self.name} has said nothing for {seconds:g} s: look at its log")
        return self.tally()

    def report(self, seconds: float) -> Line:
        """The report at the end of the run, for which it waits."""
        seconds = patience(seconds)
        with self._news:
            come = self._news.wait_for(lambda: self._report or self._broken, seconds)
        self._raise_when_broken()
        if not come or self._report is None:
            raise StepError(f"pod {self.namespace}/{self.name} did not finish within {seconds:g} s: look at its log")
        return self._report

    def finish(self, seconds: float = 30) -> Line:
        """Ends the run, whatever is left of it, and returns the report. The pod is deleted."""
        if self._report is None:
            self.delete()
        report = self.report(seconds)
        self.delete()
        return report

    def delete(self) -> None:
        """Deletes the pod; the generator prints its report on the way out."""
        self._cluster.delete("Pod", self.name, self.namespace)

    def _raise_when_broken(self) -> None:
        if self._broken:
            raise StepError(self._broken)

    def _follow(self) -> None:
        try:
            self._wait_started()
            # A connection may break: the log is read again from its beginning, all lines carry totals.
            while self._report is None and self._exists() and not self._said:
                self.switches.clear()
                for text in self._cluster.lines(f"{path_of('Pod', self.namespace, self.name)}/log?follow=true"):
                    self._heard(text)
            if self._report is None:
                said = " ".join(self._said[-3:])
                self._fail(f"pod {self.namespace}/{self.name} ended without a report. It said: {said or 'nothing'}")
        except StepError as error:
            self._fail(str(error))

    def _wait_started(self) -> None:
        def started() -> bool:
            pod = self._cluster.get("Pod", self.name, self.namespace)
            if pod is None:
                raise StepError(f"pod {self.namespace}/{self.name} was deleted before it ran")
            return pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed")

        def why() -> str:
            pod = self._cluster.get("Pod", self.name, self.namespace) or {}
            states = [entry.get("state") for entry in pod.get("status", {}).get("containerStatuses", [])]
            return f"{condition(pod, 'PodScheduled').get('message', '')} {states}"

        wait_until(f"pod {self.namespace}/{self.name} runs", started, 60, why)

    def _exists(self) -> bool:
        try:
            return self._cluster.get("Pod", self.name, self.namespace) is not None
        except ApiError:
            return False

    def _heard(self, text: str) -> None:
        try:
            line: Line = json.loads(text)
            event = line["event"]
        except (ValueError, KeyError, TypeError):
            self._said.append(text)  # what Python writes when something is wrong
            return
        with self._news:
            if event == "switch":
                self.switches.append(line)
            else:
                self._latest = line
                self._lines += 1
            if event == "report":
                self._report = line
            self._news.notify_all()
        if self._listener and event == "progress":
            self._listener(line)

    def _fail(self, why: str) -> None:
        with self._news:
            self._broken = self._broken or why
            self._news.notify_all()
