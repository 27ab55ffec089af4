"""Equal parts are one object, and nothing is taken for something else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from accord.api.validation import stored
from accord.runtime.index import Index
from accord.runtime.sharing import REMEMBERED, Sharing

KIND = ("accord.dev/v1alpha1", "TrafficPolicy")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 2.0]) | st.sampled_from(["", "a", "b"]),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from("abc"), part, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=8))
def test_what_is_kept_is_what_was_given(values: list[Any]) -> None:
    share = Sharing()
    assert [json.dumps(share(value)) for value in values] == [json.dumps(value) for value in values]
    # Texts, for 1, 1.0 and true are equal in Python.
    assert [json.dumps(share(value)) for value in values] == [json.dumps(value) for value in values]


def test_equal_parts_are_one_object() -> None:
    share = Sharing()
    first, second = share({"n": 1, "ports": [{"port": 80}]}), share({"n": 2, "ports": [{"port": 80}]})
    assert first["ports"] is second["ports"]
    assert share({"ports": [{"port": 80}], "n": 1}) == first


def test_what_is_not_met_again_is_forgotten() -> None:
    share = Sharing()
    for number in range(3 * REMEMBERED):
        share({"n": number, "often": {"port": 80}})
    assert len(share) == REMEMBERED
    assert share({"port": 80}) is share({"n": 0, "often": {"port": 80}})["often"]


def parts(value: Any) -> list[int]:
    """The identities of all maps and lists in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [id(value)] * isinstance(value, dict | list) + [one for item in inner for one in parts(item)]


def test_a_policy_more_takes_only_what_is_its_own() -> None:
    """Its names, and what names it: the rest is there already, be it written out a thousand times."""
    index = Index()
    modes = [
        {"name": name, "weight": 50, "deploymentRef": {"name": name}, "port": 8000} for name in ("fast", "creative")
    ]
    for number in range(20):
        meta = {"namespace": "ns", "name": f"p{number}", "uid": f"u{number}", "resourceVersion": str(number + 1)}
        raw = {"apiVersion": KIND[0], "kind": KIND[1], "metadata": meta, "spec": {"modes": modes}}
        index.observe(json.loads(json.dumps({**stored(raw), "metadata": meta})))
    kept = [manifest for _, manifest in index.all(*KIND)]
    all_, distinct = parts(kept), set(parts(kept))
    # The object and its metadata are its own.
    assert len(distinct) <= 1 + 2 * 20 + len(set(parts(kept[0])))
    assert len(all_) > 4 * len(distinct)
