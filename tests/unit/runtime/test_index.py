"""The index: newest wins, whatever order the news come in."""

from __future__ import annotations

from typing import Any

import pytest

from accord.domain.plan import ObjectKey
from accord.runtime.index import Index


def service(version: int, uid: str = "u1", owner: str | None = "p1", name: str = "s") -> dict[str, Any]:
    meta: dict[str, Any] = {
        "namespace": "ns",
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": {"app.kubernetes.io/managed-by": "accord"},
        "managedFields": [{"manager": "accord"}],
    }
    if owner:
        meta["ownerReferences"] = [{"uid": owner, "kind": "TrafficPolicy", "name": "p", "controller": True}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"version": version}}


KEY = ObjectKey("v1", "Service", "ns", "s")


@pytest.fixture
def index() -> Index:
    return Index()


def test_managed_fields_are_not_kept(index: Index) -> None:
    change = index.observe(service(1))
    assert change is not None
    assert change.new is not None
    assert "managedFields" not in change.new["metadata"]


def test_old_news_are_no_news(index: Index) -> None:
    index.observe(service(5))
    assert index.observe(service(5)) is None
    assert index.observe(service(4)) is None
    live = index.get(KEY)
    assert live is not None
    assert live["spec"]["version"] == 5


def test_children_follow_their_controller(index: Index) -> None:
    index.observe(service(1, owner="p1"))
    index.observe(service(2, owner="p2"))
    assert not index.children("p1")
    assert list(index.children("p2")) == [KEY]
    index.observe(service(3, owner=None))
    assert not index.children("p2")


def test_an_object_that_is_gone_does_not_come_back_with_a_late_answer(index: Index) -> None:
    index.observe(service(1))
    index.remove(KEY, "u1", 3)
    assert index.observe(service(2)) is None
    assert index.observe(service(3)) is None
    assert index.get(KEY) is None
    assert not index.children("p1")


def test_an_object_that_comes_back_with_its_uid_is_believed(index: Index) -> None:
    # Given an object that has left a watch by label
    index.observe(service(1))
    index.remove(KEY, "u1", 5)
    # When it is back in it, then it is there again, and its next departure is heard as well
    change = index.observe(service(6))
    assert change is not None
    assert change.old is None
    assert list(index.children("p1")) == [KEY]
    assert index.remove(KEY, "u1", 7) is not None
    assert index.get(KEY) is None


def test_a_late_deletion_does_not_take_away_what_has_come_back(index: Index) -> None:
    index.observe(service(1))
    index.observe(service(6))
    assert index.remove(KEY, "u1", 5) is None
    assert index.get(KEY) is not None
    assert index.observe(service(7)) is not None


def test_the_deletion_of_a_namesake_is_not_ours(index: Index) -> None:
    index.observe(service(1, uid="old"))
    index.observe(service(7, uid="new"))
    assert index.remove(KEY, "old", 8) is None
    live = index.get(KEY)
    assert live is not None
    assert live["metadata"]["uid"] == "new"


def by_versions(manifest: dict[str, Any]) -> list[int]:
    """The version in the spec and the next one."""
    return [manifest["spec"]["version"], manifest["spec"]["version"] + 1]


def test_objects_are_found_by_what_a_function_says_of_them(index: Index) -> None:
    by = index.index_by("version", by_versions)
    index.observe(service(1))
    index.observe(service(2, uid="u2", name="t"))
    assert list(by(1)) == [KEY]
    assert [key.name for key in by(2)] == ["s", "t"]
    # When one changes, it is found by what it is now alone
    index.observe(service(3))
    assert not by(1)
    assert [key.name for key in by(2)] == ["t"]
    assert by(3)[KEY]["metadata"]["resourceVersion"] == "3"
    # When it is gone, it is not found any more
    index.remove(KEY, "u1", 4)
    assert [key.name for key in by(3)] == ["t"]
    assert not by(4)


def test_an_object_that_left_and_came_back_is_found_again(index: Index) -> None:
    by = index.index_by("version", by_versions)
    index.observe(service(1))
    index.remove(KEY, "u1", 5)
    index.observe(service(5))
    assert not by(5), "that is from before it left"
    index.observe(service(6))
    index.remove(KEY, "u1", 5)
    assert list(by(6)) == [KEY], "a late deletion takes nothing away"
    assert not by(1)
    # Another one of that name takes its place
    index.observe(service(9, uid="u2"))
    assert not by(6)
    assert by(9)[KEY]["metadata"]["uid"] == "u2"


def test_news_that_are_old_leave_what_is_found_as_it_is(index: Index) -> None:
    by = index.index_by("version", by_versions)
    index.observe(service(5))
    index.observe(service(4))
    index.remove(KEY, "another", 9)
    assert list(by(5)) == [KEY]
    assert not by(4)


def test_a_function_that_comes_late_knows_what_was_there_before(index: Index) -> None:
    index.observe(service(1))
    assert list(index.index_by("version", by_versions)(1)) == [KEY]


def test_two_functions_do_not_share_a_name(index: Index) -> None:
    index.index_by("version", by_versions)
    with pytest.raises(ValueError, match="by version already"):
        index.index_by("version", by_versions)


def test_an_object_may_name_one_value_twice_or_none(index: Index) -> None:
    twice = index.index_by("twice", lambda manifest: ["x", "x"] if manifest["spec"]["version"] == 1 else [])
    index.observe(service(1))
    assert list(twice("x")) == [KEY]
    index.observe(service(2))
    assert not twice("x")


def test_slices_are_found_by_their_service(index: Index) -> None:
    slice_ = service(1, name="s-abc")
    slice_.update(apiVersion="discovery.k8s.io/v1", kind="EndpointSlice")
    slice_["metadata"]["labels"]["kubernetes.io/service-name"] = "s"
    index.observe(slice_)
    assert len(index.slices("ns", "s")) == 1
    index.remove(ObjectKey.of(slice_), "u1", 2)
    assert index.slices("ns", "s") == ()


def test_what_is_kept_is_slim(index: Index) -> None:
    container = {"name": "c", "image": "i", "env": [{"name": "X"}] * 50, "ports": [{"containerPort": 80}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "ns", "name": "d", "uid": "u", "resourceVersion": "1", "annotations": {"big": "x"}},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": 1, "conditions": []},
    }
    change = index.observe(deployment)
    assert change is not None
    assert change.new is not None
    assert change.new["metadata"] == {"namespace": "ns", "name": "d", "uid": "u", "resourceVersion": "1"}
    assert change.new["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80}]
    assert "env" not in repr(change.new)
