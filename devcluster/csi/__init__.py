"""The cluster's storage: a CSI driver whose volumes and snapshots are directories on the node.

Behind the real provisioner and snapshotter, so that everything from a PersistentVolumeClaim to a restored
VolumeSnapshot is what a user's cluster does. For development: no quota, one node, nothing outlives the cluster.
"""
