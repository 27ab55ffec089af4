"""Names that the API server takes, and that do not meet."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from accord.domain.plan import ObjectKey
from accord.domain.traffic import names

POLICIES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,80}[a-z0-9])?", fullmatch=True)
MODES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


def test_ordinary_names_stay_readable() -> None:
    assert names.mode_service("shop", "fast") == "shop-fast"
    assert names.router("shop") == "shop-router"
    assert names.labels("shop", "fast") == {
        "app.kubernetes.io/managed-by": "accord",
        "accord.dev/traffic-policy": "shop",
        "accord.dev/mode": "fast",
    }
    assert "accord.dev/mode" not in names.labels("shop")


@given(POLICIES, MODES)
def test_every_name_is_a_dns_1035_label(policy: str, mode: str) -> None:
    for name in (names.mode_service(policy, mode), names.router(policy)):
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)


def test_changed_names_do_not_meet() -> None:
    assert names.mode_service("a.b", "fast") != names.mode_service("a-b", "fast")
    assert names.router("7up") != names.router("p7up")
    long = "x" * 62
    assert names.mode_service(long, "fast") != names.mode_service(long, "bold")


def test_keys_read_well() -> None:
    assert str(ObjectKey("v1", "Service", "demo", "shop-fast")) == "Service demo/shop-fast"
