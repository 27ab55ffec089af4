"""One Prometheus server, asked in a way that has an end.

prometheus-api-client has no default timeout, retries by itself for seconds, follows redirects with the credentials,
reads answers of any length, and drops their `warnings`. All five are put right here, below its interface.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import local
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.auth import AuthBase

from accord.adapters.prometheus.bounded import BoundedAdapter, ResponseTooLargeError
from accord.domain.samples import Answer, Sample, Series, Shape

_MESSAGE_LIMIT = 300
_MIB = 1024 * 1024
_INFO = "PromQL info:"
"""So begins, before Prometheus 3, what a newer one says in `infos`: a hint about the query. The answer is whole."""


@dataclass(frozen=True)
class Endpoint:
    """Where a Prometheus is and how to be let in. `timeout` in seconds, for the whole question."""

    url: str
    timeout: float = 5.0
    bearer_token_file: Path | None = None
    ca_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with each question."""
    header_files: Mapping[str, Path] = field(default_factory=dict)
    """Headers whose values are secrets, and the files that hold them."""
    most_mib: int = 8
    """Longest answer, unpacked."""
    custom_from: frozenset[str] | None = None
    """Namespaces that may ask questions of their own; None: all."""


class _SecretError(Exception):
    """A file does not hold what can be a header's value. The message never repeats what it holds."""


class _Secrets(AuthBase):
    """Reads tokens and secret headers for each question: mounted ones are renewed in place."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name, path in self._endpoint.header_files.items():
            request.headers[name] = _secret(path)
        if self._endpoint.bearer_token_file is not None:
            request.headers["Authorization"] = f"Bearer {_secret(self._endpoint.bearer_token_file)}"
        return request


def _secret(path: Path) -> str:
    value = path.read_bytes().strip()
    if not value or any(not 0x20 <= byte < 0x7F for byte in value):
        raise _SecretError(f"{path}: is not one line of printable ASCII")
    return value.decode()


class PrometheusEndpoint:
    """Blocking queries to one server. Used from several threads at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._answer = local()
        session = requests.Session()
        # No proxies, no .netrc from the environment: the installer named this address.
        session.trust_env = False
        # A redirect would carry the token somewhere else.
        session.max_redirects = 0
        if endpoint.ca_file is not None:
            session.verify = str(endpoint.ca_file)
        session.hooks["response"].append(self._keep)
        self._client = PrometheusConnect(
            url=endpoint.url.rstrip("/"),
            headers=dict(endpoint.headers),
            session=session,
            auth=_Secrets(endpoint),
            timeout=endpoint.timeout,
            method="POST",
        )
        # In place of the client's own, which tries again, and of those of requests, which have no end: a path that
        # requests spells otherwise, such as /a|b, is not found under the URL.
        session.adapters.clear()
        bounded = BoundedAdapter(endpoint.timeout, endpoint.most_mib * _MIB)
        for scheme in ("http://", "https://"):
            session.mount(scheme, bounded)

    def query(self, promql: str, shape: Shape = "vector", at: datetime | None = None) -> Answer:
        """Evaluate now, or as of another time. Blocks for the timeout in all, once the name is resolved; never raises
        for what the other side does.
        """
        self._answer.body = {}
        try:
            result = self._client.custom_query(promql, params=self._parameters(at))
        except requests.Timeout:
            return Answer(failure="Timeout", message=f"no response within {self._endpoint.timeout:g} s")
        except ResponseTooLargeError:
            return Answer(failure="TooLarge", message=f"response larger than {self._endpoint.most_mib} MiB")
        except requests.TooManyRedirects:
            return Answer(failure="Refused", message="redirects are not followed")
        except requests.JSONDecodeError:
            return Answer(failure="Malformed", message="invalid JSON response: is this a Prometheus server?")
        except requests.RequestException as error:
            return Answer(failure="Unreachable", message=_short(_cause(error)))
        except _SecretError as error:
            return Answer(failure="Unreachable", message=_short(str(error)))
        except PrometheusApiClientException:
            return Answer(failure="Refused", message=self._refusal())
        except OSError as error:
            return Answer(failure="Unreachable", message=_short(f"{error.filename}: {error.strerror}"))
        except (KeyError, TypeError):
            return Answer(failure="Malformed", message="invalid response: is this a Prometheus server?")
        return self._read(result, shape)

    def _parameters(self, at: datetime | None) -> dict[str, str]:
        # VictoriaMetrics would leave out the last 30 s, and stamp what was before them with the time of now.
        asked = {"timeout": f"{self._endpoint.timeout:g}s", "nocache": "1"}
        return asked if at is None else {**asked, "time": f"{at.timestamp():.3f}"}

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _keep(self, response: requests.Response, **_: Any) -> None:
        try:
            body = response.json()
        except requests.JSONDecodeError:
            body = None
        self._answer.body, self._answer.size = body if isinstance(body, dict) else {}, len(response.content)
        self._answer.status, self._answer.text = response.status_code, response.text

    def _refusal(self) -> str:
        """In the words of Prometheus where it gave some."""
        said = self._answer.body.get("error")
        return _short(f"HTTP {self._answer.status}: {said if isinstance(said, str) else self._answer.text}")

    def _read(self, result: object, shape: Shape) -> Answer:
        return reading(self._answer.body, result, shape, self._answer.size)


def reading(body: Mapping[str, Any], result: object, shape: Shape, size: int = 0) -> Answer:
    """What the body of a successful response says; `result` is the part of it with the series. Total."""
    try:
        if body.get("status") != "success" or body["data"].get("resultType") != shape:
            wanted = "an instant vector" if shape == "vector" else "a range of samples"
            return Answer(failure="Malformed", message=f"the query must return {wanted}")
        told = body.get("warnings") or []
        warnings = [str(each) for each in (told if isinstance(told, list) else [told])]
        lacking = [each for each in warnings if not each.startswith(_INFO)]
        if lacking:
            return Answer(failure="Partial", message=_short("; ".join(lacking)))
        if shape == "matrix":
            return Answer(series=tuple(_series(each) for each in result), size=size)  # type: ignore[attr-defined]
        return Answer(samples=tuple(_sample(each) for each in result), size=size)  # type: ignore[attr-defined]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError, OSError):
        return Answer(failure="Malformed", message="invalid series in the response")


def _sample(series: Mapping[str, Any]) -> Sample:
    """One element of an instant vector; NaN and infinities pass through as values."""
    at, text = series["value"]
    if not math.isfinite(at):
        raise ValueError("time")
    return Sample(_labels(series), float(text), datetime.fromtimestamp(at, UTC))


def _series(series: Mapping[str, Any]) -> Series:
    """One element of a matrix."""
    points = tuple((float(at), float(text)) for at, text in series["values"])
    if not all(math.isfinite(at) for at, _ in points):
        raise ValueError("time")
    return Series(_labels(series), points)


def _labels(series: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in series["metric"].items()}


def _cause(error: BaseException) -> str:
    """The innermost reason: requests wraps `Connection refused` in three layers of itself."""
    inner: Any = error
    while inner.args and isinstance(inner.args[0], BaseException):
        inner = inner.args[0]
    reason = getattr(inner, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    text = str(inner)
    if isinstance(inner, OSError) or "Errno" in text:
        text = text.rsplit(": ", 1)[-1]
    return re.sub(r"^\[Errno -?\d+\] ", "", text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_LIMIT else line[: _MESSAGE_LIMIT - 1] + "…"
