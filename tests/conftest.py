"""For every test: no network but loopback, and none of the developer's own settings."""

from __future__ import annotations

import os

import hypothesis
import pytest

# A busy machine is no fault of the code: what a test promises never depends on its speed.
hypothesis.settings.register_profile(
    "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")

pytest_plugins = ("gateway.testing.plugin",)

# What the network allows is in pyproject.toml, under [tool.pytest].
# VLLM_BASE_URLS names the servers of the live tests; the gateway itself never reads it.
OURS = ("GATEWAY_", "OPENAI_", "OTEL_", "VLLM_")
KEPT = ("VLLM_BASE_URLS",)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has followed the README has VLLM_BASE_URL set; no test may depend on it."""
    for name in list(os.environ):
        if name.startswith(OURS) and name not in KEPT:
            monkeypatch.delenv(name)
