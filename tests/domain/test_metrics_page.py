"""The reference page of metrics is what the table says."""

from __future__ import annotations

from pathlib import Path

from gateway.domain.metrics_page import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_the_reference_page_is_fresh() -> None:
    stale = "docs/reference/metrics.md is stale; run: make docs"
    assert PAGE.read_text(encoding="utf-8") == reference(), stale
