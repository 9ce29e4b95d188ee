"""Ports: what an adapter is held to."""

from __future__ import annotations

from gateway.domain.ports import Replica


def test_a_replica_never_shows_its_key_or_headers() -> None:
    replica = Replica("r", "m", "u", "http://r/v1", api_key="sk-up", headers={"x-key": "sk-head"})
    assert "sk-" not in repr(replica)
