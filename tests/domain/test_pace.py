"""The gaps of a stream are counted by buckets, the longest of them kept."""

from __future__ import annotations

import pytest

from gateway.domain.genai_metrics import SECONDS
from gateway.domain.pace import Pace


def test_the_first_chunk_has_no_gap_before_it() -> None:
    pace = Pace()
    assert pace.counts is None
    pace.chunk(100.0)
    assert sum(pace.counts or ()) == 0
    assert (pace.last, pace.longest, pace.total) == (100.0, 0.0, 0.0)


def test_gaps_are_counted_where_a_histogram_would() -> None:
    pace = Pace()
    for now in (1.0, 1.0, 1.5, 2.0, 1002.0):
        pace.chunk(now)
    counts = dict(zip((*SECONDS, "more"), pace.counts or (), strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {
        0.01: 1,
        0.64: 2,
        "more": 1,
    }
    assert pace.longest == 1000
    assert pace.total == pytest.approx(1001)


def test_a_gap_as_long_as_a_bound_is_within_it() -> None:
    pace = Pace()
    pace.chunk(0.0)
    pace.chunk(SECONDS[3])
    assert (pace.counts or [])[3] == 1
