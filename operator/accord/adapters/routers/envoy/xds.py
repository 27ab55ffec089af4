"""Names and fragments of Envoy's API v3 that several resources share."""

from __future__ import annotations

import json
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

Json = dict[str, Any]
TYPE = "type.googleapis.com/"
XDS_CLUSTER = "accord-xds"
ROUTES = "modes"
LISTENER = "http"
METADATA = "accord"
"""Metadata namespace of endpoints; its key `mode` names the mode that answers."""
SUBSET_METADATA = "envoy.lb"
ALL_ENDPOINTS = "all/modes"
"""EDS resource with the endpoints of all modes that take traffic."""
HOLD_SECONDS = 25.0
"""A poll with no news is answered 304 after this long."""
REQUEST_TIMEOUT = "30s"
REFRESH_DELAY = "0.03s"
"""Pause of a proxy between an answer and its next poll, and between two attempts while no replica answers."""


class Kind(StrEnum):
    """Resource types, by the last part of the REST path `/v3/discovery:…`."""

    CLUSTERS = "clusters"
    ENDPOINTS = "endpoints"
    LISTENERS = "listeners"
    ROUTES = "routes"

    @property
    def type_url(self) -> str:
        """The type URL of the resources."""
        return TYPE + _MESSAGES[self]


_MESSAGES = {
    Kind.CLUSTERS: "envoy.config.cluster.v3.Cluster",
    Kind.ENDPOINTS: "envoy.config.endpoint.v3.ClusterLoadAssignment",
    Kind.LISTENERS: "envoy.config.listener.v3.Listener",
    Kind.ROUTES: "envoy.config.route.v3.RouteConfiguration",
}


class Key(NamedTuple):
    """One subscription of a proxy. Endpoints are subscribed to by name, all else as a whole (name empty)."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value} of {self.name}" if self.name else self.kind.value


def typed(message: str, **fields: Any) -> Json:
    """An `Any` with a message of that type."""
    return {"@type": TYPE + message, **fields}


def extension(name: str, message: str, **fields: Any) -> Json:
    """An extension of that name, configured by a message of that type."""
    return {"name": name, "typed_config": typed(message, **fields)}


def duration(value: timedelta) -> str:
    """A protobuf Duration in its JSON form."""
    return f"{value.total_seconds():.3f}".rstrip("0").rstrip(".") + "s"


def config_source() -> Json:
    """Subscribe at the operator by REST long polling.

    No `initial_fetch_timeout`: a proxy without configuration waits for it, not ready, instead of serving nothing.
    """
    return {
        "api_config_source": {
            "api_type": "REST",
            "transport_api_version": "V3",
            "cluster_names": [XDS_CLUSTER],
            "refresh_delay": REFRESH_DELAY,
            "request_timeout": REQUEST_TIMEOUT,
        },
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
    }


def canonical(value: object) -> str:
    """JSON in one form only, so that equal content has equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
