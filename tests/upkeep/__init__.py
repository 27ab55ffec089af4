"""An installation over its life: upgraded, taken back, removed, on a cluster with pods and under load."""
