"""What each part is told of the configuration file."""

from __future__ import annotations

from accord.adapters.prometheus.endpoint import Endpoint
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.config import Config
from accord.runtime.lease import Timing


def envoy(config: Config) -> EnvoySettings:
    """The proxies, and where they find the operator."""
    return EnvoySettings(
        image=config.envoy.image,
        image_pull_policy=config.envoy.image_pull_policy,
        run_as_user=config.envoy.run_as_user,
        xds_host=config.xds.host,
        xds_port=config.xds.port,
        verify_peers=config.xds.verify_peers,
    )


def endpoints(config: Config) -> dict[str, Endpoint]:
    """The Prometheus servers that objects may name."""
    return {
        name: Endpoint(
            url=e.url,
            timeout=e.timeout.total_seconds(),
            bearer_token_file=e.bearer_token_file,
            ca_file=e.ca_file,
            headers=e.headers,
            header_files=e.header_files,
            most_mib=e.max_response_mib,
            custom_from=config.custom_query_namespaces(e),
        )
        for name, e in config.prometheus.endpoints.items()
    }


def timing(config: Config) -> Timing:
    """How the Lease is held."""
    chosen = config.leader_election
    return Timing(
        chosen.lease_duration.total_seconds(),
        chosen.renew_deadline.total_seconds(),
        chosen.retry_period.total_seconds(),
    )
