"""One authenticated connection pool to the API server, and how it is found.

The kubeconfig in a user's home is never taken unasked: a caller outside of a cluster names it.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config import ConfigException

from accord.adapters.kubernetes.resources import Resource
from accord.api.base import Manifest
from accord.observability.metrics import OperatorMetrics
from accord.ports.cluster import ClusterError

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON lets stand in a string and YAML does not, or takes for a line's end. Half a pair is allowed in neither."""


def in_yaml(body: Any) -> bytes:
    """JSON that a YAML parser reads as the same, in UTF-8: the API server takes an apply for YAML.

    YAML knows no surrogate pairs, with which JSON escapes an emoji; so what may stand there stands there as it is.
    """
    return _NOT_IN_YAML.sub(_escaped, json.dumps(body, ensure_ascii=False)).encode()


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{0xFFFD if 0xD800 <= code <= 0xDFFF else code:04x}"


def _read(raw: bytes) -> Manifest:
    """An answer as JSON; what is none becomes its message."""
    try:
        payload = json.loads(raw)
    except ValueError:
        payload = None
    return payload if isinstance(payload, dict) else {"message": raw[:200].decode(errors="replace")}


def read_in_small_pieces(size: int = 32 * 1024) -> None:
    """Let each TLS connection that is opened from now on hold a buffer of so many bytes for what it reads.

    asyncio gives each of them 256 KiB for as long as it is open. There is a watch for each kind, and nearly all of
    them have nothing to read at nearly all times.
    """
    asyncio.sslproto.SSLProtocol.max_size = size


class ConnectionNotFoundError(Exception):
    """There is no usable way to the API server; the message says what to do."""


class Connection:
    """Requests to one API server: authenticated, with a time limit each, counted by verb, resource and outcome."""

    def __init__(
        self, configuration: client.Configuration, metrics: OperatorMetrics, timeout: float = 10.0, pool: int = 24
    ) -> None:
        """`timeout`: seconds that one request may take in all, connecting and reading included."""
        configuration.connection_pool_maxsize = pool
        # With trust_env aiohttp reads ~/.netrc in a thread for each request. A proxy is named in the kubeconfig.
        configuration.client_session_kwargs = {"trust_env": False}
        self.configuration = configuration
        self._metrics, self._timeout = metrics, timeout
        self._api = client.ApiClient(configuration)

    @classmethod
    async def open(cls, metrics: OperatorMetrics, kubeconfig: Path | str | None, context: str | None) -> Connection:
        """In-cluster credentials, whose token is read again every minute, or the kubeconfig that was named: a file, or
        several to be merged, written like the variable KUBECONFIG.

        Raises ConnectionNotFoundError.
        """
        configuration = client.Configuration()
        try:
            if kubeconfig is not None:
                await config.load_kube_config(  # type: ignore[no-untyped-call]
                    str(kubeconfig), context, configuration, persist_config=False
                )
            else:
                config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        except ConfigException as error:
            hint = (
                f"invalid kubeconfig {kubeconfig}: {error}"
                if kubeconfig is not None
                else "not running in a pod and no kubeconfig given: use --kubeconfig FILE"
            )
            raise ConnectionNotFoundError(hint) from error
        return cls(configuration, metrics)

    async def token(self) -> tuple[str | None, str | None]:
        """Scheme and token of the Authorization header now; both None with client certificates."""
        header = await self.configuration.get_api_key_with_prefix("BearerToken")
        if not header:
            return None, None
        scheme, _, token = header.rpartition(" ")
        return scheme or "Bearer", token

    async def request(
        self,
        verb: str,
        method: str,
        resource: Resource,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Manifest:
        """The JSON answer to one request. `verb` and `resource` are the names under which it is counted.

        Raises ClusterError: with the API server's own reason where it gave one, with status 0 where it did not answer.
        """
        code = "error"
        try:
            status, payload = await self._send(method, path, query or {}, body, content_type, accept)
            code = str(status)
        except TimeoutError as error:
            raise ClusterError(0, "Timeout", f"{method} {path}: no response within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(0, "Unreachable", f"{method} {path}: {error}") from error
        finally:
            self._metrics.api_requests.labels(verb=verb, resource=resource.plural, code=code).inc()
        if status >= 400:
            reason, message = payload.get("reason") or "HTTP", payload.get("message") or ""
            raise ClusterError(status, reason, f"{method} {path}: {message}", message)
        return payload

    async def _send(
        self, method: str, path: str, query: dict[str, str], body: Any, content_type: str, accept: str
    ) -> tuple[int, Manifest]:
        prepared = await self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        async with asyncio.timeout(self._timeout):
            url, headers = prepared[1], prepared[2]
            if content_type == APPLY:
                # With a parameter in the type the client sends bytes as they are; else it would escape all but ASCII.
                headers, body = {**headers, "Content-Type": f"{APPLY}; charset=utf-8"}, in_yaml(body)
            response = await self._api.call_api(method, url, headers, body)
            raw = await response.read()  # type: ignore[no-untyped-call]
        return response.status, _read(raw)

    async def stream(self, verb: str, resource: Resource, path: str, query: dict[str, str]) -> AsyncIterator[bytes]:
        """The pieces of an answer that is no JSON, such as a log, for as long as it lasts. Raises ClusterError."""
        headers = {"Accept": "*/*"}
        prepared = await self._api.param_serialize(
            "GET", path, query_params=list(query.items()), header_params=headers, auth_settings=["BearerToken"]
        )
        code = "error"
        try:
            answer = await self._api.call_api(
                "GET",
                prepared[1],
                prepared[2],
                _request_timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout),
            )
            code = str(answer.status)
            if answer.status >= 400:
                payload = _read(await answer.read())  # type: ignore[no-untyped-call]
                reason, message = payload.get("reason") or "HTTP", payload.get("message") or ""
                raise ClusterError(answer.status, reason, f"GET {path}: {message}", message)
            async for piece in answer.response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(0, "Unreachable", f"GET {path}: {error}") from error
        finally:
            self._metrics.api_requests.labels(verb=verb, resource=resource.plural, code=code).inc()

    async def time(self) -> datetime | None:
        """The API server's clock, from the Date header of an answer, in whole seconds. ClusterError where it does not
        answer.
        """
        try:
            prepared = await self._api.param_serialize("GET", "/version", auth_settings=["BearerToken"])
            async with asyncio.timeout(self._timeout):
                response = await self._api.call_api("GET", prepared[1], prepared[2])
                await response.read()  # type: ignore[no-untyped-call]
            return parsedate_to_datetime(response.getheader("Date") or "")  # type: ignore[no-untyped-call]
        except TimeoutError as error:
            raise ClusterError(0, "Timeout", f"GET /version: no response within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(0, "Unreachable", f"GET /version: {error}") from error
        except ValueError:
            return None

    def another(self) -> Connection:
        """A connection of one's own with the same credentials, for what must not wait behind a crowd of requests."""
        return Connection(self.configuration, self._metrics, self._timeout, pool=1)

    async def close(self) -> None:
        """Close the pool."""
        await self._api.close()  # type: ignore[no-untyped-call]
