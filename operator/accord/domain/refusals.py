"""Writes that the API server did not take: which of them are about the object, and how that is said.

A refusal stays until the object, or what forbids it, changes; a person must know of it at once. A server that is
overloaded, restarts or lost a race says nothing about the object: it is asked again, and named when that lasts.
"""

from __future__ import annotations

import re
from datetime import timedelta

from accord.domain.plan import ObjectKey, Refusal
from accord.domain.podstatus import is_over_quota
from accord.domain.words import quote

PASSING = timedelta(minutes=1)
"""How long a fault of the server is only tried again."""
CONTESTED = "OwnershipConflict"
_REASONS = {
    400: "Invalid",
    403: "Forbidden",
    404: "NotFound",
    405: "NotSupported",
    409: "Conflict",
    413: "TooLarge",
    415: "NotSupported",
    422: "Invalid",
    429: "TooManyRequests",
}
_REFUSING = frozenset({400, 403, 404, 405, 413, 415, 422})
_UNAVAILABLE = "ServerError"
_WEBHOOK_FAILED = "WebhookFailed"
QUOTA_EXCEEDED = "QuotaExceeded"
REASONS = frozenset({*_REASONS.values(), _UNAVAILABLE, _WEBHOOK_FAILED, QUOTA_EXCEEDED, CONTESTED})
"""Every reason that `reason` gives."""

_WEBHOOK = re.compile(r"failed calling webhook|failed to call webhook")
_DENIED = re.compile(r"denied (the )?request")
"""A webhook and a ValidatingAdmissionPolicy answer with whatever code they like."""
_MALFORMED = re.compile(
    r"typed patch object|failed to convert|unable to convert|cannot unmarshal|not declared in schema"
    r"|failed to create manager|failed to prune|request is too large"
)
"""Errors of server-side apply about what was sent. The API server (1.37) answers them with 500 and no reason:
apiserver/pkg/endpoints/handlers/patch.go, structured-merge-diff/typed."""


def is_refusal(status: int, message: str) -> bool:
    """Whether an answer is about the object that was sent, and stays the same. `status` is the HTTP code."""
    if status == 0:
        return False
    if status in _REFUSING or _DENIED.search(message) or _WEBHOOK.search(message):
        return True
    return status == 500 and _MALFORMED.search(message) is not None


def reason(refusal: Refusal) -> str:
    """One word for it."""
    status, message = refusal.status, refusal.message
    if status == 0:
        return CONTESTED
    if _WEBHOOK.search(message):
        return _WEBHOOK_FAILED
    if status == 403 and is_over_quota(message):
        return QUOTA_EXCEEDED
    if status in _REASONS and (status in _REFUSING or not _DENIED.search(message)):
        return _REASONS[status]
    if _DENIED.search(message):
        return _REASONS[403]
    return _REASONS[400] if _MALFORMED.search(message) else _UNAVAILABLE


def sentence(key: ObjectKey, refusal: Refusal) -> str:
    """What was refused, in the API server's words."""
    if refusal.status == 0:
        return f"{key.kind} {key.name}: {refusal.message}"
    verb = "delete" if refusal.deleting else "apply"
    return f"cannot {verb} {key.kind} {key.name}: {quote(refusal.message)}"
