"""Who may ask the server: a page of its own, in a browser that has its token. Pure.

It listens on loopback alone, but every web page that the browser has open may send requests there. So a request must
name the server as its host (a name that was pointed at loopback does not: DNS rebinding), come from its own origin, and
carry the token. The token stands in the fragment of the printed URL, which no browser sends; scripts of the page send
it in a header, which no other origin can make a browser do without asking first, and which is never granted. A cookie
would be sent to every server on this machine, whatever its port.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_JSON = "application/json"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Of every answer."""


@dataclass(frozen=True)
class Refusal:
    """What is answered instead."""

    status: int
    message: str


def refusal(method: str, path: str, headers: Mapping[str, str], port: int, token: str) -> Refusal | None:
    """None where the request may be answered. `headers` are found in either case."""
    hosts = {f"{name}:{port}" for name in _NAMES}
    if headers.get("Host", "").lower() not in hosts:
        return Refusal(421, "unknown host: use the URL that accord dashboard printed")
    origin = headers.get("Origin")
    if origin is not None and origin.lower() not in {f"http://{host}" for host in hosts}:
        return Refusal(403, "requests from other origins are refused")
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and method != "GET":
        return Refusal(403, "requests from other origins are refused")
    if not path.startswith("/api/"):
        return None
    if not hmac.compare_digest(headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        return Refusal(401, "the token is missing or wrong: open the URL that accord dashboard printed")
    if method not in ("GET", "HEAD"):
        if origin is None:
            return Refusal(403, "header Origin is required")
        if headers.get("Content-Type", "").partition(";")[0].strip().lower() != _JSON:
            return Refusal(415, f"the body must be {_JSON}")
    return None


@dataclass(frozen=True)
class Asked:
    """What a button asks for. Nothing of it is believed: the decision is taken of the live object."""

    action: str
    kind: str
    namespace: str
    name: str
    step: int | None
    patch: Mapping[str, object]


def asked(body: bytes) -> Asked | None:
    """None where it is not that."""
    try:
        found = json.loads(body)
        values = {key: found[key] for key in ("action", "kind", "namespace", "name")}
        step, patch = found.get("step"), found["patch"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not all(isinstance(value, str) and value and "/" not in value for value in values.values()):
        return None
    if isinstance(step, bool) or not isinstance(step, int | None) or not isinstance(patch, dict):
        return None
    return Asked(step=step, patch=patch, **values)
