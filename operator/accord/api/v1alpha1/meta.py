"""What the three kinds share: metadata, references, conditions, and how a kind describes itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from accord.api.base import Model, Rule

GROUP = "accord.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DNS_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

DnsLabel = Annotated[str, Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=63)]
"""An RFC 1123 label."""
DnsSubdomain = Annotated[str, Field(pattern=DNS_SUBDOMAIN_PATTERN, min_length=1, max_length=253)]
"""An RFC 1123 subdomain: the name of a Kubernetes object."""

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A time, RFC 3339 with seconds (meta/v1 Time)."""
PrometheusEndpoint = DnsLabel
"""Name of a Prometheus endpoint in the operator's configuration, not a URL."""
PromQL = Annotated[str, Field(min_length=1, max_length=2048)]
"""A Prometheus query."""
TtlSeconds = Annotated[int, Field(ge=1, le=315_360_000)]
"""Seconds, up to ten years."""


class LocalObjectReference(Model):
    """An object in the same namespace. There are no references across namespaces."""

    name: DnsSubdomain
    """Name of the object."""


class Condition(Model):
    """One aspect of an object's state (meta/v1 Condition)."""

    type: str
    """Type of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition."""
    reason: str
    """Reason for the last transition, in one CamelCase word."""
    message: str = ""
    """Human-readable details."""
    observed_generation: int | None = None
    """The `metadata.generation` that this condition describes."""
    last_transition_time: Timestamp
    """When `status` last changed."""


Conditions = Annotated[
    list[Condition], Field(max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["type"]})
]
"""The conditions of one object, one a type."""


class ObjectMeta(Model):
    """The part of meta/v1 ObjectMeta that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get`. `priority` 1 shows only with `-o wide`."""

    name: str
    json_path: str
    type: Literal["string", "integer", "number", "boolean", "date"] = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True)
class ConditionType:
    """A condition that a kind reports, for the reference page. `meaning` says what is the case while it is True."""

    name: str
    meaning: str


KSTATUS = (
    ConditionType("Ready", "The spec is fully applied."),
    ConditionType("Reconciling", "Changes are in progress. Present only while True."),
    ConditionType("Stalled", "Nothing changes without manual action. Present only while True."),
)
"""The conditions that kstatus knows (sigs.k8s.io/cli-utils), and with it Argo CD, Flux and `kubectl wait`."""


class Resource(Model):
    """Base of the three kinds. A kind says here everything its CRD needs besides the schema."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "size(self.metadata.name) <= 63",
            "metadata.name must have at most 63 characters: it becomes the value of a label on everything made for it",
        ),
    )

    kind: ClassVar[str]
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[PrinterColumn, ...]] = ()
    conditions: ClassVar[tuple[ConditionType, ...]] = KSTATUS
