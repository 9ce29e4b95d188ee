"""The settings of a gateway that many tests share: forgetful."""

from __future__ import annotations

from typing import Any

from gateway.settings import Settings


def forgetful(**more: Any) -> Settings:
    """Nothing that one test does is felt by the next: every retry is within the budget, which one
    would spend and another miss in the same second, and no probe meets a replica that a test has
    made refuse. Retries are hardly waited for. `more` are further sections."""
    retries = {"backoff_s": (0.01,), "budget": 1.0, "floor": 10_000}
    return Settings(**{"retries": retries, "health": {"probe": False}, **more})
