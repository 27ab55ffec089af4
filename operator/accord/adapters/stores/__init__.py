"""Ways to keep checkpoints: implementations of the port `accord.ports.checkpoints.Store`, and their table."""

from collections.abc import Mapping

from accord.adapters.stores.snapshot import SnapshotStore
from accord.adapters.stores.subpath import SubPathStore
from accord.ports.checkpoints import Store

__all__ = ["STORES", "SnapshotStore", "SubPathStore"]

STORES: Mapping[str, Store] = {"VolumeSnapshot": SnapshotStore(), "SubPath": SubPathStore()}
"""By `spec.method` of a CheckpointPolicy."""
