"""What the alerts of the chart need around them: a Prometheus with the rules, what it scrapes, and faults to provoke.

The rules are those of the chart. Their own durations are the thirtieth: a minute is two seconds, in the copy that is
loaded here, and in nothing else. So all is scraped and evaluated every two seconds, as once a minute in a cluster.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.apiserver.checkpoints import Trainers, Training
from tests.apiserver.rig import ROOT, wait_until
from tests.ports import free_port
from tests.prometheus.rig import Prometheus, Request, answer, serving

from accord.api.v1alpha1.trainingrun import EntropySchedule, LearningRateSchedule
from accord.domain.training.schedule import value_at

RULES = ROOT / "helm" / "accord" / "rules" / "accord.yaml"
FASTER = 30
EVERY = "2s"
"""A minute."""
_UNITS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"\b(\d+)([smh])\b")
ENTROPY = EntropySchedule(initial=0.02, final=0.005, decaySteps=1_000_000)
RATE = LearningRateSchedule(initial=3e-4, final=1e-4, decaySteps=1_000_000)


def sped_up(rules: str) -> dict[str, Any]:
    """A rule file with each duration divided; all else stays."""
    loaded: dict[str, Any] = yaml.safe_load(rules)
    for group in loaded["groups"]:
        for rule in group["rules"]:
            for name in rule.keys() & {"expr", "for"}:
                rule[name] = _DURATION.sub(_divided, rule[name])
    return loaded


def _divided(match: re.Match[str]) -> str:
    milliseconds, rest = divmod(int(match[1]) * _UNITS[match[2]] * 1000, FASTER)
    assert rest == 0, match[0]
    return f"{milliseconds}ms"


def shipped() -> dict[str, dict[str, Any]]:
    """The alerts of the chart by name."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


@dataclass
class Learner(Training):
    """A training that also reports what its schedules and its volume are about, and goes on with each scrape."""

    pace: int = 0
    """Steps from scrape to scrape."""
    on_schedule: bool = False
    """Whether it reports the coefficients of ENTROPY and RATE."""
    entropy: float | None = None
    """None: as its schedule has it."""
    free: int = 50_000_000_000
    """Bytes of its volume."""
    kl: float | None = None
    """With each scrape two updates of the policy, which moves by so much; None: no more of them."""
    updates: list[float] = field(default_factory=list)

    def lines(self, namespace: str) -> Iterator[str]:
        self.step += self.pace
        for _ in range(2 if self.kl is not None else 0):
            self.step += 500
            # Not all alike: what never varies tells nothing of what is usual.
            self.updates.append((self.kl or 0.0) * (0.9 + 0.1 * (len(self.updates) % 3)))
        yield from super().lines(namespace)
        values: dict[str, float] = {
            "checkpoint_bytes": 1_000_000_000,
            "checkpoint_volume_free_bytes": self.free,
        }
        if self.on_schedule:
            values |= {
                "ppo_entropy_coef": value_at(ENTROPY, self.step) if self.entropy is None else self.entropy,
                "ppo_learning_rate": value_at(RATE, self.step),
            }
        if self.updates:
            values |= {
                "ppo_approx_kl": self.updates[-1],
                "ppo_approx_kl_sum": sum(self.updates),
                "ppo_approx_kl_count": len(self.updates),
            }
        labels = f'{{namespace="{namespace}",pod="r-{self.attempt}-{self.pod}"}}'
        yield from (f"{name}{labels} {value}" for name, value in values.items())


@dataclass
class Traffic:
    """Requests of the modes of one namespace, and failures of its model, from scrape to scrape."""

    rates: dict[str, int]
    failures: dict[str, int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def lines(self, namespace: str) -> Iterator[str]:
        for name, rates in (("http_requests_total", self.rates), ("llm_failures_total", self.failures)):
            for mode, rate in rates.items():
                key = f'{name}{{namespace="{namespace}",mode="{mode}",pod="{mode}-0"}}'
                self._counts[key] = self._counts.get(key, 0) + rate
                yield f"{key} {self._counts[key]}"


@dataclass
class Sources(Trainers):
    """All that a namespace's pods report, behind one scrape target."""

    traffic: dict[str, Traffic] = field(default_factory=dict)

    def show(self, request: Request) -> None:
        reporting = (*self.trainings.items(), *self.traffic.items())
        lines = [line for namespace, source in reporting for line in source.lines(namespace)]
        answer(request, "\n".join([*lines, ""]), kind="text/plain; version=0.0.4")


class Alerts:
    """A Prometheus that evaluates the rules, and a book of what has fired, and when first."""

    def __init__(self, prometheus: Prometheus, operator_port: int) -> None:
        self.prometheus, self.operator_port = prometheus, operator_port
        self._first: dict[frozenset[tuple[str, str]], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def endpoints(self) -> dict[str, Any]:
        """For the operator's configuration; nobody answers at `gone`."""
        return {
            "default": {"url": self.prometheus.url, "timeout": "30s"},
            "gone": {"url": "http://127.0.0.1:9", "timeout": "1s"},
        }

    def firing(self) -> list[Mapping[str, str]]:
        """Labels of those that fire now."""
        return [each["metric"] for each in self.prometheus.query('ALERTS{alertstate="firing"}')]

    def names(self) -> set[str]:
        """Names of those that fire now."""
        return {each["alertname"] for each in self.firing()}

    def fired(self, alert: str, since: float, seconds: float = 120, **labels: str) -> float:
        """Seconds from `since` until it was first seen firing with these labels. AssertionError: it does not fire."""
        wanted = {"alertname": alert, **labels}.items()

        def first() -> float | None:
            return min((at for found, at in list(self._first.items()) if wanted <= dict(found).items()), default=None)

        try:
            return float(wait_until(first, seconds, "")) - since
        except AssertionError:
            states = self.prometheus.query(f'ALERTS{{alertname="{alert}"}}')
            raise AssertionError(f"{alert} {labels} does not fire: {states}; firing are {self.names()}") from None

    def ends(self, alert: str) -> None:
        """Wait until it fires no more."""
        wait_until(lambda: alert not in self.names(), 120, f"{alert} still fires")

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            for labels in self.firing():
                self._first.setdefault(frozenset(labels.items()), time.monotonic())

    def __enter__(self) -> Alerts:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def alerts(directory: Path, sources: Sources) -> Iterator[Alerts]:
    """One that scrapes these sources, and an operator on port `operator_port`."""
    directory.mkdir(parents=True)
    rules, port = directory / "accord.yaml", free_port()
    rules.write_text(yaml.safe_dump(sped_up(RULES.read_text())))
    operator = {
        "job_name": "accord",
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "accord-system"}}],
        "honor_labels": True,
    }
    with serving(sources.show) as url:
        started = Prometheus(
            directory / "prometheus",
            url.removeprefix("http://"),
            every=EVERY,
            jobs=[operator],
            rule_files=[str(rules)],
            **{"global": {"evaluation_interval": EVERY}},
        )
        try:
            with Alerts(started, port) as book:
                yield book
        finally:
            started.stop()


class Webhook:
    """An admission webhook that allows everything, after so many seconds."""

    def __init__(self, pki: Path) -> None:
        """`pki` has a certificate for 127.0.0.1: that of the API server."""
        self.delay = 0.0
        told = self

        class Handling(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(told.delay)
                response = {"uid": asked["request"]["uid"], "allowed": True}
                with contextlib.suppress(OSError):
                    body = {"apiVersion": asked["apiVersion"], "kind": asked["kind"], "response": response}
                    answer(self, json.dumps(body))

            def log_message(self, *_: Any) -> None:
                return None

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handling)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
