"""Ports that a program of a test can listen on a moment later; no other test is given them."""

from __future__ import annotations

from devcluster.ports import free_port, free_ports

__all__ = ["free_port", "free_ports"]
