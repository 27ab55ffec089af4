"""From what the proxies said to what a decision understands: acknowledgements and warm endpoints end here."""

from __future__ import annotations

from datetime import datetime, timedelta

from accord.adapters.routers.envoy.pods import UNSCHEDULABLE, Obstacle
from accord.adapters.routers.envoy.programming import Programming
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.conditions import find
from accord.domain.traffic.observed import Seen
from accord.domain.traffic.progress import Handover, Pending, Progress, Rejected, Settled
from accord.domain.words import few

PROXIES_RETURN = timedelta(seconds=30)
"""How long a new leader waits to hear of proxies again before it doubts what the status says about them."""
_SOON = timedelta(minutes=1)


def progress(
    policy: TrafficPolicy,
    state: Programming,
    now: datetime,
    refused: Obstacle | None = None,
    obstacle: Obstacle | None = None,
) -> Progress:
    """The first that objects. `refused`: the API server takes none, or no more, of the router's pods; `obstacle`: why
    they do not run.
    """
    silent, remembered = state.silent, _is_remembered(policy, state, now)
    undecided = bool(silent) and not remembered
    rejected = sorted(proxy.rejected for proxy in state.proxies if proxy.rejected is not None)
    if rejected:
        return Rejected("ProxyRejected", "; ".join(rejected[:3]), _SOON, undecided)
    hidden = None if remembered else _hidden(state)
    if hidden is not None:
        return Rejected("PeerRejected", hidden, _SOON, undecided)
    if not state.has_ready_proxy:
        return _absent(refused or obstacle)
    if undecided:
        return Pending(f"not yet accepted by {few(silent)}; they route as before")
    accepted = "all ready proxies have accepted the routes"
    return Settled(
        accepted if refused is None else f"{accepted}; more proxies are needed, but {refused.message}",
        recalled=bool(silent),
    )


def handover(state: Programming) -> Handover:
    """Where no proxy is ready nothing has to be warm, and nobody routes by what was before."""
    return Handover(
        able=state.warm if state.has_ready_proxy else None,
        able_when="every ready proxy has their endpoints",
        left=state.routes_settled or not state.has_ready_proxy,
        offered_at=state.published_at,
    )


def seen(state: Programming) -> Seen:
    """What the proxies see of the pods."""
    return Seen(state.sights, state.cut_off, state.looked)


def _is_remembered(policy: TrafficPolicy, state: Programming, now: datetime) -> bool:
    """Whether this generation was accepted by all proxies according to the status, and was offered only just now: by
    an operator that has started or taken over, or after a change that no request can notice.
    """
    status = policy.status
    programmed = find(status.conditions, "Programmed")
    return (
        status.observed_generation == policy.metadata.generation
        and programmed is not None
        and programmed.status == "True"
        and state.published_at is not None
        and now - state.published_at < PROXIES_RETURN
    )


def _hidden(state: Programming) -> str | None:
    """Proxies that the operator does not answer, as their polls do not come from the addresses of their pods."""
    hidden = sorted((proxy.name, proxy.polls_from) for proxy in state.proxies if proxy.polls_from is not None)
    if not hidden:
        return None
    pod, address = hidden[0]
    others = f" (and {len(hidden) - 1} more)" if hidden[1:] else ""
    return (
        f"polls of router pod {pod}{others} are rejected, so it gets no changes: they come from {address}, which is "
        "not its address. If the network or a mesh hides pod addresses, set the Helm value xds.verifyPeers to false"
    )


def _absent(obstacle: Obstacle | None) -> Progress:
    if obstacle is None:
        return Pending("no proxy is ready yet: nothing answers at status.address", "NoReadyProxy")
    # Room that an autoscaler may make is waited for.
    patience = None if obstacle.reason == UNSCHEDULABLE else _SOON
    said = f"no proxy is ready, nothing answers at status.address: {obstacle.message}"
    return Rejected(obstacle.reason, said, patience)
