"""Versions, acknowledgements and what is offered when, without a proxy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.envoy.rig import make_policy

from accord.adapters.routers.envoy.acknowledgements import AckStore
from accord.adapters.routers.envoy.forwarding import Ack, parse_ack
from accord.adapters.routers.envoy.offering import Published
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.adapters.routers.envoy.snapshot import Offer, Snapshot, Version
from accord.adapters.routers.envoy.xds import ALL_ENDPOINTS, Key, Kind
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.observed import Endpoint

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUTES, CLUSTERS = Key(Kind.ROUTES), Key(Kind.CLUSTERS)
FAST, ALL = Key(Kind.ENDPOINTS, "fast"), Key(Kind.ENDPOINTS, ALL_ENDPOINTS)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@given(st.integers(0, 2**63), st.text("0123456789abcdef", min_size=1, max_size=16))
def test_a_version_survives_the_way_to_the_proxy_and_back(revision: int, digest: str) -> None:
    version = Version(revision, digest)
    assert Version.parse(str(version)) == version


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    Version.parse(text)


def test_versions_are_ordered_by_revision_and_equal_by_content() -> None:
    offer = Offer(Version(7, "a"), b"")
    assert offer.against(None) == "newer"
    assert offer.against(Version(9, "a")) == "same"
    assert offer.against(Version(6, "b")) == "newer"
    assert offer.against(Version(9, "b")) == "older"


def test_equal_content_keeps_its_version_and_changed_content_never_goes_back() -> None:
    snapshot = Snapshot()
    assert snapshot.put(ROUTES, [{"name": "x"}], 5)
    assert not snapshot.put(ROUTES, [{"name": "x"}], 9)
    assert snapshot.offers[ROUTES].version.revision == 5
    assert snapshot.put(ROUTES, [{"name": "y"}], 3)
    assert snapshot.offers[ROUTES].version.revision == 6


def test_an_offer_is_kept_small_and_sent_as_it_was_made() -> None:
    snapshot = Snapshot()
    resources = [{"name": f"cluster-{number}", "type": "EDS", "connect_timeout": "2s"} for number in range(20)]
    snapshot.put(CLUSTERS, resources, 7)
    offer = snapshot.offers[CLUSTERS]
    assert json.loads(offer.body) == {
        "version_info": str(offer.version),
        "type_url": CLUSTERS.kind.type_url,
        "resources": [{"@type": CLUSTERS.kind.type_url, **resource} for resource in resources],
    }
    assert len(offer.packed) < len(offer.body) / 4


def test_contents_are_remembered_only_where_a_later_question_needs_them() -> None:
    snapshot = Snapshot()
    snapshot.put(CLUSTERS, [{"name": "x"}], 1)
    snapshot.put(FAST, [{"name": "x"}], 1, tag=True)
    assert set(snapshot.tags) == {FAST}


class TestRefusals:
    def acks(self) -> tuple[AckStore, Snapshot, Offer]:
        snapshot = Snapshot()
        snapshot.put(ROUTES, [{"name": "x"}], 5)
        return AckStore(snapshot), snapshot, snapshot.offers[ROUTES]

    def test_two_lost_answers_are_no_refusal(self) -> None:
        acks, _, offer = self.acks()
        acks.hear("p", ROUTES, None, NOW)
        for _ in range(2):
            acks.sent("p", ROUTES, offer)
            acks.hear("p", ROUTES, None, NOW)
        assert list(acks.refuses("p")) == []
        assert acks.pause("p", ROUTES, offer, NOW) is None

    def test_a_subscription_that_is_made_anew_again_and_again_refuses_nothing(self) -> None:
        acks, _, offer = self.acks()
        for _ in range(20):
            acks.hear("p", ROUTES, None, NOW)
            acks.sent("p", ROUTES, offer)
            acks.renewed(Kind.ROUTES)
        assert list(acks.refuses("p")) == []

    def test_three_are_one_and_pauses_grow(self) -> None:
        acks, _, offer = self.acks()
        acks.hear("p", ROUTES, None, NOW)
        pauses = []
        now = NOW
        for _ in range(12):
            acks.sent("p", ROUTES, offer)
            acks.hear("p", ROUTES, None, now)
            pause = acks.pause("p", ROUTES, offer, now)
            pauses.append(pause.total_seconds() if pause else 0)
            now += pause or timedelta()
        assert pauses[:6] == [0, 0, 1, 2, 4, 8]
        assert pauses[-1] == 60
        assert list(acks.refuses("p")) == [ROUTES]

    def test_new_content_is_offered_at_once_and_clears_the_refusal(self) -> None:
        acks, snapshot, offer = self.acks()
        for _ in range(4):
            acks.sent("p", ROUTES, offer)
            acks.hear("p", ROUTES, None, NOW)
        snapshot.put(ROUTES, [{"name": "y"}], 6)
        better = snapshot.offers[ROUTES]
        assert list(acks.refuses("p")) == []
        assert acks.pause("p", ROUTES, better, NOW) is None
        assert acks.hear("p", ROUTES, better.version, NOW)
        assert acks.runs("p", ROUTES) == better.version.digest

    def test_strangers_are_bounded(self) -> None:
        acks, _, _ = self.acks()
        acks.proxies = frozenset({"known"})
        acks.hear("known", ROUTES, None, NOW)
        for number in range(1000):
            acks.hear(f"stranger-{number}", ROUTES, None, NOW)
        pods = {pod for pod, _, _ in acks.everything()}
        assert len(pods) < 300
        assert "known" in pods


class TestPublished:
    def setup_method(self) -> None:
        self.published = Published(EnvoySettings(image="envoy"))
        self.revision = 10

    def publish(
        self, policy: TrafficPolicy, now: datetime = NOW, unseen: str | None = None, **pods: tuple[str, ...]
    ) -> list[Key]:
        """A mode that is not named has no pods; nothing is known of those of `unseen`."""
        self.revision += 1
        modes = {mode.name for mode in (*policy.spec.modes, *policy.status.modes)} - {unseen}
        endpoints = {mode: tuple(Endpoint(ip, ready=True) for ip in pods.get(mode, ())) for mode in modes}
        return self.published.update(policy, endpoints, (Endpoint("9", True, "p"),), self.revision, now)

    def acknowledge(self, now: datetime, *keys: Key) -> None:
        for key in keys or tuple(self.published.snapshot.offers):
            self.published.acks.hear("p", key, self.published.snapshot.offers[key].version, now)

    def test_only_what_changed_is_offered_anew(self) -> None:
        policy = make_policy({"fast": 60, "slow": 40})
        assert len(self.publish(policy, fast=("10.0.0.1",), slow=("10.0.0.2",))) == 6
        assert self.publish(policy, fast=("10.0.0.1",), slow=("10.0.0.2",)) == []
        assert self.publish(policy, fast=("10.0.0.1", "10.0.0.3"), slow=("10.0.0.2",)) == [FAST, ALL]
        changed = make_policy({"fast": 70, "slow": 30}, revision=12)
        assert self.publish(changed, fast=("10.0.0.1", "10.0.0.3"), slow=("10.0.0.2",)) == [ROUTES]
        assert self.published.snapshot.offers[ROUTES].version.revision == 12

    def test_the_order_of_pods_says_nothing(self) -> None:
        policy = make_policy({"fast": 100})
        self.publish(policy, fast=("10.0.0.1", "10.0.0.2"))
        assert self.publish(policy, fast=("10.0.0.2", "10.0.0.1")) == []

    def test_a_slice_knows_the_port_better_than_the_spec(self) -> None:
        self.published.update(make_policy({"fast": 100}), {"fast": (Endpoint("10.0.0.1", True, "a", 9),)}, (), 1, NOW)
        assert b'"port_value": 9}' in self.published.snapshot.offers[FAST].body

    def test_a_mode_of_which_nothing_is_known_keeps_what_was_offered(self) -> None:
        policy = make_policy({"fast": 60, "slow": 40}, programmed={"fast": 60, "slow": 40})
        self.publish(policy, fast=("10.0.0.1",), slow=("10.0.0.2",))
        before = dict(self.published.snapshot.offers)
        assert self.publish(policy, slow=("10.0.0.2",), unseen="fast") == []
        assert self.publish(policy, slow=("10.0.0.3",), unseen="fast") == [Key(Kind.ENDPOINTS, "slow"), ALL]
        assert self.published.snapshot.offers[FAST] == before[FAST]
        assert b"10.0.0.1" in self.published.snapshot.offers[ALL].body

    def test_an_operator_that_starts_offers_nothing_of_a_mode_of_which_it_knows_nothing(self) -> None:
        policy = make_policy({"fast": 60, "slow": 40}, programmed={"fast": 60, "slow": 40})
        self.publish(policy, slow=("10.0.0.2",), unseen="fast")
        offers = self.published.snapshot.offers
        assert Key(Kind.ENDPOINTS, "slow") in offers
        assert not {FAST, ALL} & set(offers), "a proxy that polls for it waits, and keeps the pods that it has"
        assert self.publish(policy, fast=("10.0.0.1",), slow=("10.0.0.2",)) == [FAST, ALL]

    def test_a_policy_that_is_not_accepted_publishes_nothing_and_takes_nothing_away(self) -> None:
        refused = {"router": {"type": "Istio", "istio": {"hosts": ["shop.example.com"]}}}
        assert self.publish(make_policy({"fast": 100}, programmed={}, **refused)) == []
        self.publish(make_policy({"fast": 100}))
        before = dict(self.published.snapshot.offers)
        assert self.publish(make_policy({"fast": 1, "slow": 99}, programmed={"fast": 100}, **refused)) == []
        assert self.published.snapshot.offers == before

    def test_weights_that_sum_to_nothing_are_never_offered(self) -> None:
        assert self.publish(make_policy({"fast": 100, "new": 0}, programmed={"fast": 0})) == []
        self.publish(make_policy({"fast": 100}))
        before = self.published.snapshot.offers[ROUTES]
        self.publish(make_policy({"fast": 50, "new": 50}, programmed={"fast": 0}))
        assert self.published.snapshot.offers[ROUTES] == before

    def test_a_mode_is_warm_two_seconds_after_its_first_endpoints(self) -> None:
        policy = make_policy({"fast": 100})
        self.publish(policy)
        self.acknowledge(NOW)
        assert self.published.programming(NOW).warm == {"fast"}, "without pods there is nothing to wait for"
        self.publish(policy, fast=("10.0.0.1",))
        assert self.published.programming(later(9)).warm == set()
        self.acknowledge(later(10))
        assert self.published.programming(later(11.9)).warm == set()
        self.publish(policy, fast=("10.0.0.1", "10.0.0.2"))
        self.acknowledge(later(11))
        assert self.published.programming(later(12)).warm == {"fast"}, "a further pod does not begin the wait again"

    def test_a_proxy_that_starts_anew_is_cold(self) -> None:
        self.publish(make_policy({"fast": 100}), fast=("10.0.0.1",))
        self.acknowledge(NOW)
        self.published.acks.hear("p", FAST, None, later(5))
        assert self.published.programming(later(5)).warm == set()

    def test_what_another_replica_offered_first_counts_once_it_is_known_here(self) -> None:
        policy = make_policy({"fast": 100})
        other = Published(EnvoySettings(image="envoy"))
        endpoints = {"fast": (Endpoint("10.0.0.1", True),)}
        other.update(policy, endpoints, (), 11, NOW)
        self.publish(policy)
        self.published.acks.hear_ack("p", FAST, other.snapshot.offers[FAST].version, "", NOW)
        self.publish(policy, now=later(1), fast=("10.0.0.1",))
        assert self.published.programming(later(3)).warm == {"fast"}

    def test_settled_and_accepted_follow_the_routes(self) -> None:
        self.publish(make_policy({"fast": 60, "slow": 40}), fast=("10.0.0.1",))
        assert not self.published.programming(NOW).routes_settled
        self.acknowledge(NOW)
        programming = self.published.programming(NOW)
        assert programming.routes_settled
        assert programming.proxies[0].accepted
        self.publish(make_policy({"fast": 61, "slow": 39}, revision=2), now=later(3), fast=("10.0.0.1",))
        assert not self.published.programming(NOW).routes_settled
        assert self.published.programming(NOW).published_at == later(3)

    def test_a_refusal_names_the_proxy_and_what_it_refuses(self) -> None:
        self.publish(make_policy({"fast": 100}))
        offer = self.published.snapshot.offers[CLUSTERS]
        for _ in range(3):
            self.published.acks.sent("p", CLUSTERS, offer)
            self.published.acks.hear("p", CLUSTERS, None, NOW)
        (proxy,) = self.published.programming(NOW).proxies
        assert proxy.rejected == ("proxy p refuses the clusters offered to it and keeps what it had; its log says why")
        assert self.published.refused("p", CLUSTERS) == offer.version.digest
        assert self.published.refused("p", ROUTES) == ""


def test_what_was_said_survives_the_way_to_the_leader() -> None:
    for version in (None, Version(4, "ab")):
        ack = Ack("shop", "assistant", "router-0", FAST, version, "cd")
        assert parse_ack(json.loads(json.dumps(ack.to_json()))) == ack


@pytest.mark.parametrize(
    "change", [{"kind": "secrets"}, {"node": "a/b"}, {"version": None}, {"name": "x" * 2000}, {"refused": 1}]
)
def test_what_cannot_have_been_said_is_refused(change: dict[str, object]) -> None:
    ack = Ack("shop", "assistant", "router-0", FAST, None).to_json() | change
    with pytest.raises(ValueError, match=r"must be|needs the strings"):
        parse_ack(ack)


def test_of_modes_that_are_gone_nothing_is_remembered() -> None:
    published = Published(EnvoySettings(image="envoy"))
    for number in range(50):
        pods = {f"m{number}": (Endpoint("10.0.0.9", ready=True, pod="x", port=8000),)}
        published.update(make_policy({f"m{number}": 100}, revision=number + 1), pods, (), number + 1, NOW)
    books = (published._targets, published._checks, published._ports, published.snapshot.tags)
    assert all(len(book) <= 5 for book in books)
    assert set(published._ports) == {"m49"}
