"""Which field differs, and who set it."""

from __future__ import annotations

import json
from typing import Any

from accord.domain.children import differences, needs_apply
from accord.domain.fields import Item, in_words, set_by_others

ENVOY = Item((("name", "envoy"),))


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    pod = {"containers": list(containers)}
    return {"kind": "Deployment", "metadata": {"labels": {"a": "b"}}, "spec": {**spec, "template": {"spec": pod}}}


def test_fields_that_differ_are_named_one_by_one() -> None:
    port = {"containerPort": 80, "protocol": "TCP", "name": "http"}
    requests = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    wanted = deployment(
        {"name": "envoy", "image": "e", "args": ["-a"], "ports": [port], "resources": requests}, replicas=2
    )
    theirs = {"requests": {"cpu": "250m", "memory": "65536Ki"}}
    others = [{"name": "sidecar"}, {"name": "envoy", "image": "m", "args": [], "ports": [{**port, "name": "x"}]}]
    others[1]["resources"] = theirs
    live = deployment(*others, replicas=2)
    container = "spec.template.spec.containers[envoy]"
    found = {in_words(difference.path): difference.wanted for difference in differences(wanted, live)}
    assert found == {
        f"{container}.image": '"e"',
        f"{container}.args": '["-a"]',
        f"{container}.ports[http]": json.dumps(port, sort_keys=True),
        f"{container}.resources.requests.cpu": '"100m"',
    }


def test_a_missing_part_is_named_as_a_whole() -> None:
    (difference,) = differences(
        deployment({"name": "envoy"}, strategy={"type": "Recreate"}), deployment({"name": "envoy"})
    )
    assert in_words(difference.path) == "spec.strategy"


def test_an_annotation_or_a_label_is_named_where_there_are_none_at_all() -> None:
    wanted = {"kind": "TrainingRun", "metadata": {"annotations": {"accord.dev/restart-from": "500"}}}
    (difference,) = differences(wanted, {"kind": "TrainingRun", "metadata": {"name": "r"}})
    assert in_words(difference.path) == "metadata.annotations.accord.dev/restart-from"


def test_a_volume_that_is_mounted_twice_is_told_apart_by_its_path() -> None:
    """As the API does (`listMapKey=mountPath`)."""
    mounts = [{"name": "model", "mountPath": path, "subPath": "step-500"} for path in ("/a", "/b")]
    wanted = deployment({"name": "envoy", "volumeMounts": mounts})
    assert not needs_apply(wanted, deployment({"name": "envoy", "volumeMounts": mounts[::-1]}))
    live = [mounts[0], {**mounts[1], "subPath": "step-0"}]
    (difference,) = differences(wanted, deployment({"name": "envoy", "volumeMounts": live}))
    assert in_words(difference.path) == "spec.template.spec.containers[envoy].volumeMounts[/b].subPath"


def test_where_all_of_it_is_there_the_whole_object_differs() -> None:
    (difference,) = differences(deployment(), deployment(paused=True))
    assert difference.path == ()


def managed(*entries: tuple[str, Any, str]) -> dict[str, Any]:
    fields = [{"manager": manager, "fieldsV1": fields, "time": time} for manager, fields, time in entries]
    return {"metadata": {"managedFields": fields}}


def test_the_last_of_the_others_who_own_a_field_is_named() -> None:
    image: dict[str, Any] = {"f:spec": {"f:containers": {'k:{"name":"envoy"}': {".": {}, "f:image": {}}}}}
    path = ("spec", "containers", ENVOY, "image")
    manifest = managed(
        ("accord", image, "9"),
        ("helm", image, "1"),
        ("argo", image, "2"),
        ("scaler", {"f:spec": {"f:replicas": {}}}, "3"),
    )
    assert set_by_others(manifest, path) == "argo"
    assert set_by_others(manifest, ("spec", "replicas")) == "scaler"
    assert set_by_others(manifest, ("spec", "containers", Item((("name", "other"),)), "image")) is None
    assert set_by_others(managed(("accord", image, "9")), path) is None
    assert set_by_others({"metadata": {}}, path) is None


def test_an_item_that_the_api_names_otherwise_is_found() -> None:
    ports = {"f:spec": {"f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {"f:name": {}}}}}
    assert set_by_others(managed(("x", ports, "1")), ("spec", "ports", Item((("name", "http"),)), "name")) == "x"


def test_who_owns_a_part_as_a_whole_owns_its_fields() -> None:
    assert set_by_others(managed(("x", {"f:spec": {"f:selector": {}}}, "1")), ("spec", "selector", "app")) == "x"
