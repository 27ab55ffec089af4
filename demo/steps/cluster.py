"""The API server of one cluster, with objects as plain dicts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from devcluster.waiting import patience
from kubernetes import client, config
from urllib3.exceptions import HTTPError

from demo.steps.errors import StepError

Manifest = dict[str, Any]
FIELD_MANAGER = "accord-demo"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class _Kind:
    prefix: str
    plural: str
    namespaced: bool = True


_KINDS = {
    "Namespace": _Kind("/api/v1", "namespaces", namespaced=False),
    "Pod": _Kind("/api/v1", "pods"),
    "Service": _Kind("/api/v1", "services"),
    "ServiceAccount": _Kind("/api/v1", "serviceaccounts"),
    "ConfigMap": _Kind("/api/v1", "configmaps"),
    "Event": _Kind("/api/v1", "events"),
    "Deployment": _Kind("/apis/apps/v1", "deployments"),
    "PodDisruptionBudget": _Kind("/apis/policy/v1", "poddisruptionbudgets"),
    "Lease": _Kind("/apis/coordination.k8s.io/v1", "leases"),
    "Role": _Kind("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": _Kind("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "ClusterRole": _Kind("/apis/rbac.authorization.k8s.io/v1", "clusterroles", namespaced=False),
    "ClusterRoleBinding": _Kind("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", namespaced=False),
    "CustomResourceDefinition": _Kind("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False),
    "TrafficPolicy": _Kind("/apis/accord.dev/v1alpha1", "trafficpolicies"),
    "TrainingRun": _Kind("/apis/accord.dev/v1alpha1", "trainingruns"),
    "CheckpointPolicy": _Kind("/apis/accord.dev/v1alpha1", "checkpointpolicies"),
    "Job": _Kind("/apis/batch/v1", "jobs"),
    "PersistentVolumeClaim": _Kind("/api/v1", "persistentvolumeclaims"),
    "VolumeSnapshot": _Kind("/apis/snapshot.storage.k8s.io/v1", "volumesnapshots"),
}


class ApiError(StepError):
    """The API server answered with an error."""

    def __init__(self, status: int, what: str, message: str) -> None:
        super().__init__(f"{what}: {message} ({status})")
        self.status = status


class Cluster:
    """One cluster, named by a kubeconfig. Safe to use from several threads."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        try:
            self._api = config.new_client_from_config(str(kubeconfig))
        except config.ConfigException as error:
            raise StepError(f"the kubeconfig {kubeconfig} cannot be used: {error}") from error

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", timeout: float = 120
    ) -> str:
        """The body of the answer; `ApiError` where it is none of success. `timeout` in seconds."""
        response = self._open(method, path, body, content_type, timeout)
        return response.read().decode("utf-8", "replace")

    def _open(self, method: str, path: str, body: Any, content_type: str, timeout: float) -> Any:
        headers = {"Accept": "application/json, */*", "User-Agent": FIELD_MANAGER}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            arguments = self._api.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            response = self._api.call_api(*arguments, _request_timeout=timeout).response
        except client.ApiException as error:
            raise ApiError(int(error.status or 0), f"{method} {path}", str(error.body or error.reason)) from error
        except HTTPError as error:
            raise StepError(f"{method} {path}: the API server does not answer: {error}") from error
        if response.status >= 300:
            raise ApiError(response.status, f"{method} {path}", _message(response.data.decode("utf-8", "replace")))
        return response

    def lines(self, path: str) -> Iterator[str]:
        """The lines of an answer that goes on, such as a log that is followed."""
        response = self._open("GET", path, None, "", timeout=3600)
        rest = b""
        try:
            for chunk in response.stream(amt=None):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
        except HTTPError:
            return
        finally:
            response.close()
        if rest:
            yield rest.decode("utf-8", "replace")

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """One object, or None."""
        try:
            return json.loads(self.request("GET", path_of(kind, namespace, name)))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def serves(self, path: str) -> bool:
        """Whether the API server has this group and version (`/apis/GROUP/VERSION`)."""
        try:
            self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _last_words(self, namespace: str, pod: str) -> str:
        """The end of the log of a container that does not stay up."""
        log = f"{path_of('Pod', namespace, pod)}/log?tailLines=3"
        for previous in ("&previous=true", ""):
            try:
                said = self.request("GET", log + previous).strip()
            except ApiError:
                continue
            if said:
                return said
        return "nothing"

    def find(self, kind: str, namespace: str, labels: str = "") -> list[Manifest]:
        """All objects of a kind in a namespace that carry `labels` (a selector)."""
        query = f"?labelSelector={quote(labels)}" if labels else ""
        return json.loads(self.request("GET", path_of(kind, namespace) + query))["items"]

    def create(self, manifest: Manifest) -> Manifest:
        """Creates an object, with a generated name where it asks for one."""
        path = path_of(manifest["kind"], manifest["metadata"].get("namespace", ""))
        return json.loads(self.request("POST", path, manifest))

    def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply, with the annotation for which `kubectl apply` looks: without it kubectl warns for each
        object, and leaves fields that were in the manifest before.
        """
        meta = manifest["metadata"]
        annotations = {**meta.get("annotations", {}), LAST_APPLIED: json.dumps(manifest, separators=(",", ":"))}
        body = {**manifest, "metadata": {**meta, "annotations": annotations}}
        path = path_of(manifest["kind"], meta.get("namespace", ""), meta["name"])
        query = f"?fieldManager={FIELD_MANAGER}&force=true"
        return json.loads(self.request("PATCH", path + query, body, "application/apply-patch+yaml"))

    def patch(self, kind: str, name: str, namespace: str, patch: Manifest, subresource: str = "") -> Manifest:
        """JSON merge patch."""
        path = path_of(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return json.loads(self.request("PATCH", path, patch, "application/merge-patch+json"))

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Deletes an object in the background; one that is gone is fine."""
        try:
            self.request("DELETE", path_of(kind, namespace, name), {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def scale(self, deployment: str, namespace: str, replicas: int) -> None:
        """Sets the number of replicas of a Deployment."""
        self.patch("Deployment", deployment, namespace, {"spec": {"replicas": replicas}}, "scale")

    def ready_pods(self, namespace: str, labels: str) -> list[Manifest]:
        """The pods that are ready and not on their way out."""
        pods = self.find("Pod", namespace, labels)
        return [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready").get("status") == "True"
        ]

    def wait_rolled_out(self, deployment: str, namespace: str, seconds: float = 120) -> None:
        """Until every pod of a Deployment is of its current template, and ready."""

        def done() -> bool:
            live = self.get("Deployment", deployment, namespace)
            if live is None:
                return False
            status, replicas = live.get("status", {}), live["spec"].get("replicas", 1)
            return status.get("observedGeneration", 0) >= live["metadata"]["generation"] and all(
                status.get(field, 0) == replicas for field in ("replicas", "updatedReplicas", "readyReplicas")
            )

        wait_until(
            f"Deployment {namespace}/{deployment} is rolled out", done, seconds, lambda: self._why_not(namespace)
        )

    def _why_not(self, namespace: str) -> str:
        """What pods that are not ready say, and the last warnings."""
        reasons = []
        for pod in self.find("Pod", namespace):
            for container in pod.get("status", {}).get("containerStatuses", []):
                waiting = container.get("state", {}).get("waiting")
                if waiting:
                    reasons.append(f"{pod['metadata']['name']}: {waiting.get('reason')} {waiting.get('message', '')}")
                if waiting and container.get("restartCount"):
                    reasons.append(f"it said: {self._last_words(namespace, pod['metadata']['name'])}")
        warnings = [event for event in self.find("Event", namespace) if event.get("type") == "Warning"]
        warnings.sort(key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])
        reasons += [f"{event['involvedObject'].get('name')}: {event.get('message')}" for event in warnings[-3:]]
        return "; ".join(reasons)


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """The path of an object, or of a collection where there is no name."""
    known = _KINDS[kind]
    path = known.prefix + (f"/namespaces/{namespace}" if known.namespaced else "") + f"/{known.plural}"
    return f"{path}/{name}" if name else path


def condition(manifest: Manifest, type_: str) -> Manifest:
    """The condition of that type, or an empty dict."""
    found = [entry for entry in manifest.get("status", {}).get("conditions", []) if entry["type"] == type_]
    return found[0] if found else {}


def documents(text: str) -> list[Manifest]:
    """All objects of a YAML stream."""
    return [document for document in yaml.safe_load_all(text) if document]


def wait_until(
    what: str,
    holds: Callable[[], object],
    seconds: float,
    why_not: Callable[[], str] = lambda: "",
    every: float = 0.2,
) -> float:
    """Asks until the answer is true; returns the seconds that took.

    `StepError` with `why_not()` where it is not after `seconds`, or as many as `patience` makes of them.
    """
    began, seconds = time.monotonic(), patience(seconds)
    while not holds():
        if time.monotonic() - began > seconds:
            reason = why_not()
            raise StepError(f"not within {seconds:g} s: {what}" + (f" ({reason})" if reason else ""))
        time.sleep(every)
    return time.monotonic() - began


def _message(text: str) -> str:
    """The message of a Status object, or the text itself."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500]
