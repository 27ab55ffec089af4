"""Ways to keep checkpoints: implementations of the port `accord.ports.checkpoints.Store`."""

from accord.adapters.stores.snapshot import SnapshotStore
from accord.adapters.stores.subpath import SubPathStore

__all__ = ["SnapshotStore", "SubPathStore"]
