"""The images that an installation needs, built here for the local cluster or named in a registry of one's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from demo.steps.errors import StepError
from demo.steps.local import CHECKOUT, LocalCluster
from devcluster import imagebuild

EXAMPLE = CHECKOUT / "examples" / "service"
PREFIX_VARIABLE = "ACCORD_IMAGE_PREFIX"


@dataclass(frozen=True)
class Image:
    """A reference, and a key of its content (empty where the registry knows better), by which pods are renewed."""

    reference: str
    key: str = ""

    @property
    def registry(self) -> str:
        """What stands before the name: `localhost` in `localhost/accord-operator:dev`."""
        return self.reference.rpartition("/")[0]

    @property
    def repository(self) -> str:
        """The name alone."""
        return self.reference.rpartition("/")[2].partition(":")[0]

    @property
    def tag(self) -> str:
        """The tag."""
        return self.reference.rpartition("/")[2].partition(":")[2]


@dataclass(frozen=True)
class Images:
    """All that run in the demo."""

    operator: Image
    envoy: Image
    prometheus: Image
    example: Image
    trainer: Image


_BUILDS = {
    "operator": ("Dockerfile", "."),
    "envoy": ("devcluster/images/envoy/Dockerfile", "devcluster/images/envoy"),
    "prometheus": ("devcluster/images/prometheus/Dockerfile", "devcluster/images/prometheus"),
    "example": ("examples/service/Dockerfile", "."),
    "trainer": ("trainer/Dockerfile", "."),
}
"""Dockerfile and context of each image, in a checkout."""
NAMES = tuple(_BUILDS)


def build(name: str, checkout: Path = CHECKOUT, tag: str = "dev") -> Path:
    """Builds one image where its inputs changed; the archive of `localhost/accord-NAME:TAG`."""
    dockerfile, context = (checkout / place for place in _BUILDS[name])
    archive, _ = imagebuild.build(f"localhost/accord-{name}:{tag}", dockerfile, context, {})
    return archive


def build_and_load(name: str, local: LocalCluster, checkout: Path = CHECKOUT, tag: str = "dev") -> Image:
    """Builds one image where its inputs changed, and loads it into the local cluster where it is not there yet."""
    archive = build(name, checkout, tag)
    local.load(archive)
    return Image(f"localhost/accord-{name}:{tag}", archive.stem.rpartition("-")[2])


def from_registry() -> Images:
    """The images for a cluster of one's own: three of ours under `ACCORD_IMAGE_PREFIX`, two from their projects.

    `ACCORD_ENVOY_IMAGE` and `ACCORD_PROMETHEUS_IMAGE` name mirrors of the latter.
    """
    prefix = os.environ.get(PREFIX_VARIABLE, "").rstrip("/")
    if not prefix:
        raise StepError(
            f"a cluster of your own needs the images from a registry that it can reach. Set {PREFIX_VARIABLE} to a "
            "place in it, say registry.example/accord, and push three images there first:\n"
            "  docker build -t $ACCORD_IMAGE_PREFIX/accord-operator:dev . "
            "&& docker push $ACCORD_IMAGE_PREFIX/accord-operator:dev\n"
            "  docker build -t $ACCORD_IMAGE_PREFIX/accord-example:dev -f examples/service/Dockerfile . "
            "&& docker push $ACCORD_IMAGE_PREFIX/accord-example:dev\n"
            "  docker build -t $ACCORD_IMAGE_PREFIX/accord-trainer:dev -f trainer/Dockerfile . "
            "&& docker push $ACCORD_IMAGE_PREFIX/accord-trainer:dev"
        )
    return Images(
        operator=Image(f"{prefix}/accord-operator:dev"),
        envoy=Image(os.environ.get("ACCORD_ENVOY_IMAGE", "envoyproxy/envoy:distroless-v1.40.0")),
        prometheus=Image(os.environ.get("ACCORD_PROMETHEUS_IMAGE", "prom/prometheus:v3.5.0")),
        example=Image(f"{prefix}/accord-example:dev"),
        trainer=Image(f"{prefix}/accord-trainer:dev"),
    )
