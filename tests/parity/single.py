"""The untrained methods, each beside its public code's update written from its formulas."""

from __future__ import annotations

from tests.parity import Peer

PEERS: dict[str, Peer] = {}
