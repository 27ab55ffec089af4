"""The TrafficPolicy of the example, as a user handles it: change the spec, read the status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from demo.steps.cluster import Cluster, Manifest, condition, wait_until
from demo.steps.errors import StepError


class Policy:
    """One TrafficPolicy in the cluster."""

    def __init__(self, cluster: Cluster, manifest: Manifest) -> None:
        self._cluster = cluster
        self._manifest = manifest
        self.name: str = manifest["metadata"]["name"]
        self.namespace: str = manifest["metadata"]["namespace"]

    def renamed(self, name: str) -> Policy:
        """A policy like this one under another name, not applied yet."""
        return Policy(self._cluster, {**self._manifest, "metadata": {**self._manifest["metadata"], "name": name}})

    @property
    def router(self) -> str:
        """Name of the router's Deployment and Service."""
        return f"{self.name}-router"

    def mode_service(self, mode: str) -> str:
        """Name of the Service of a mode."""
        return f"{self.name}-{mode}"

    def deployment_of(self, mode: str) -> str:
        """Name of the Deployment of a mode."""
        found = [entry["deploymentRef"]["name"] for entry in self._manifest["spec"]["modes"] if entry["name"] == mode]
        return str(found[0])

    def apply(self) -> None:
        """The policy as its file has it."""
        self._cluster.apply(self._manifest)

    def reset(self) -> None:
        """The spec as its file has it, and nothing beside it, whoever added that."""
        live = self._cluster.get("TrafficPolicy", self.name, self.namespace) or {"spec": {}}
        gone = {name: None for name in live["spec"] if name not in self._manifest["spec"]}
        if gone:
            self.set_spec(**gone)
        self.apply()

    def live(self) -> Manifest:
        """The object as the API server has it."""
        live = self._cluster.get("TrafficPolicy", self.name, self.namespace)
        if live is None:
            raise StepError(f"TrafficPolicy {self.namespace}/{self.name} is gone")
        return live

    def set_weights(self, weights: Mapping[str, int]) -> Manifest:
        """Another split; the modes that are not named receive nothing."""
        modes = [{**mode, "weight": weights.get(mode["name"], 0)} for mode in self._manifest["spec"]["modes"]]
        return self._cluster.patch("TrafficPolicy", self.name, self.namespace, {"spec": {"modes": modes}})

    def set_spec(self, **fields: Any) -> Manifest:
        """Other fields of the spec (JSON merge patch)."""
        return self._cluster.patch("TrafficPolicy", self.name, self.namespace, {"spec": fields})

    def weights(self) -> dict[str, int]:
        """The split as the live spec has it."""
        return {mode["name"]: mode["weight"] for mode in self.live()["spec"]["modes"]}

    def file_weights(self) -> dict[str, int]:
        """The split as the file has it."""
        return {mode["name"]: mode["weight"] for mode in self._manifest["spec"]["modes"]}

    def mode_status(self) -> dict[str, Manifest]:
        """`status.modes` by name."""
        return {entry["name"]: entry for entry in self.live().get("status", {}).get("modes", [])}

    def wait_condition(self, type_: str, status: str, seconds: float, reasons: tuple[str, ...] = ()) -> float:
        """Until the condition is so for the current generation; returns the seconds that took."""

        def so() -> bool:
            live = self.live()
            entry = condition(live, type_)
            return (
                entry.get("status") == status
                and entry.get("observedGeneration") == live["metadata"]["generation"]
                and (not reasons or entry.get("reason") in reasons)
            )

        what = f"TrafficPolicy {self.name} has condition {type_}={status}"
        return wait_until(what + (f" ({' or '.join(reasons)})" if reasons else ""), so, seconds, self.explain)

    def wait_settled(self, seconds: float = 60) -> float:
        """Until the current spec is in force: `Ready=True` for its generation."""
        return self.wait_condition("Ready", "True", seconds)

    def explain(self) -> str:
        """The conditions that are not True, as a person would read them."""
        conditions = self.live().get("status", {}).get("conditions", [])
        if not conditions:
            return "it has no status: is the operator running?"
        return "; ".join(
            f"{entry['type']}={entry['status']} {entry.get('reason')}: {entry.get('message', '')}"
            for entry in conditions
            if entry["status"] != "True"
        )
