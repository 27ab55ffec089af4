"""The configuration file: what is wrong with it is said with file, field and problem."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from accord.config import Config, ConfigError, Pod, load

FULL = """
namespaces: [a, b]
prometheus: {endpoints: {default: {url: "http://prometheus:9090", timeout: 3s, bearerTokenFile: /token}}}
envoy: {image: "registry/envoy:1", imagePullPolicy: Always}
xds: {host: accord-xds.x.svc, port: 18001}
http: {port: 8081}
leaderElection: {enabled: true, lease: other, leaseDuration: 20s, renewDeadline: 12s, retryPeriod: 3s}
log: {level: debug, format: text}
"""


def write(directory: Path, text: str) -> Path:
    file = directory / "config.yaml"
    file.write_text(text)
    return file


def test_every_key(tmp_path: Path) -> None:
    config = load(write(tmp_path, FULL))
    endpoint = config.prometheus.endpoints["default"]
    assert (endpoint.timeout, endpoint.bearer_token_file) == (timedelta(seconds=3), Path("/token"))
    assert config.leader_election.lease_duration == timedelta(seconds=20)
    assert config.namespaces == ["a", "b"]


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, text)) == Config() == load(None)


def test_an_empty_document_before_it_hides_nothing(tmp_path: Path) -> None:
    assert load(write(tmp_path, "---\n---\nxds: {port: 1}\n")).xds.port == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("xds: {prot: 1}", "xds.prot"),
        ("http: {port: many}", "http.port"),
        ("prometheus: {endpoints: {default: {url: prometheus}}}", "prometheus.endpoints.default.url"),
        ("prometheus: {endpoints: {default: {url: 'http://p', timeout: soon}}}", "timeout"),
        ("prometheus: {endpoints: {default: {url: 'http://p', headers: {Host: a}}}}", "Host cannot be set"),
        ("prometheus: {endpoints: {default: {url: 'http://p', headers: {'X Y': a}}}}", "headers.X Y"),
        ("prometheus: {endpoints: {default: {url: 'http://p', headers: {X: \"a\\r\\nb\"}}}}", "headers.X"),
        (
            "prometheus: {endpoints: {default: {url: 'http://p', headers: {X-A: a}, headerFiles: {x-a: /a}}}}",
            "header given twice: x-a",
        ),
        (
            "prometheus: {endpoints: {default: {url: 'http://p', headers: {Authorization: a}, bearerTokenFile: /t}}}",
            "header given twice: authorization",
        ),
        ("leaderElection: {renewDeadline: 30s}", "retryPeriod < renewDeadline < leaseDuration"),
        ("log: {level: loud}", "log.level"),
        ("- a list", "document"),
        ("a: [", "invalid YAML"),
        ("log: {level: debug}\n---\nxds: {port: 1}", "more than one document"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
        load(file)
    assert says in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml")


def test_who_this_replica_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "accord-1")
    monkeypatch.setenv("POD_IP", "10.0.0.7")
    monkeypatch.setenv("POD_NAMESPACE", "accord-system")
    pod = Pod.from_environment()
    assert (pod.identity, pod.namespace) == ("accord-1_10.0.0.7", "accord-system")
    monkeypatch.setenv("POD_IP", "nonsense")
    with pytest.raises(ConfigError, match="POD_IP"):
        Pod.from_environment()


@pytest.mark.parametrize(
    ("namespaces", "endpoint", "allowed"),
    [
        ("[]", "", None),
        ("[]", ", bearerTokenFile: /token", frozenset()),
        ("[]", ", headers: {X-Scope-OrgID: all}", frozenset()),
        ("[]", ", headerFiles: {X-Api-Key: /key}", frozenset()),
        ("[shop]", ", bearerTokenFile: /token", None),
        ("[]", ", bearerTokenFile: /token, customQueryNamespaces: ['*']", None),
        ("[]", ", bearerTokenFile: /token, customQueryNamespaces: [shop]", frozenset({"shop"})),
        ("[]", ", customQueryNamespaces: []", frozenset()),
    ],
)
def test_who_may_bring_queries_of_their_own(
    tmp_path: Path, namespaces: str, endpoint: str, allowed: frozenset[str] | None
) -> None:
    text = f"namespaces: {namespaces}\nprometheus: {{endpoints: {{default: {{url: 'http://p'{endpoint}}}}}}}\n"
    config = load(write(tmp_path, text))
    assert config.custom_query_namespaces(config.prometheus.endpoints["default"]) == allowed
