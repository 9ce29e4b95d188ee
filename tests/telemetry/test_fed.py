"""Every metric that is declared says something under traffic, or is excused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.domain.metric import Metric
from gateway.domain.metrics import METRICS
from tests.telemetry.mixed import Seen

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
CONTRACT: dict[str, Any] = json.loads((HERE / "contract.json").read_text(encoding="utf-8"))
NAMES = {one.name for one in METRICS}

# Gauges that are mostly 0 again once all is over.
PASSING = {"gw_inflight", "gw_queue_depth", "gw_ledger_backlog"}
# What neither the contract's requests nor the thousand calls leave there, and who looks at it.
EXCUSED = {
    "gw_shed_total": "tests/web/test_relay.py",
    "gw_config_reload_total": "tests/test_reload.py",
    "gw_hedges_total": "tests/flow/test_walk.py",
    "gw_retries_denied_total": "tests/flow/test_walk.py",
    "gw_malformed_events_total": "tests/web/test_handover.py",
    "gw_records_redis_up": "tests/adapters/test_house_meters.py",
    "gw_records_dropped_total": "tests/adapters/test_house_meters.py",
    "gw_counters_redis_up": "tests/adapters/test_counting.py",
    "gw_counters_lost_total": "tests/adapters/test_redis_counters.py",
    "gw_ledger_lost_total": "tests/adapters/test_house_meters.py",
    "gw_shadow_runs_total": "tests/flow/test_shadow.py",
    "gw_worker_restarts_total": "tests/web/test_scrape.py",
    "gw_metric_series_dropped_total": "tests/telemetry/test_cardinality.py",
    "gw_telemetry_dropped_total": "tests/adapters/test_house_meters.py",
    "gw_telemetry_queue": "tests/adapters/test_house_meters.py",
    "gw_telemetry_queue_capacity": "tests/adapters/test_house_meters.py",
    # The mock tells no thoughts.
    "gen_ai_client_inference_usage_reasoning_output_tokens_total": (
        "tests/adapters/test_genai_meters.py"
    ),
}


def _declared(name: str) -> str:
    """The metric that a sample is of."""
    return name if name in NAMES else name.removesuffix("_count")


def _fed(page: str) -> set[str]:
    """What is on a page, other than nothing."""
    return {
        _declared(sample.name)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.value
    }


def test_every_metric_is_fed_or_excused(seen: Seen) -> None:
    keys = (key for kind in CONTRACT.values() for key in kind["metrics"])
    by_contract = {_declared(key.partition("{")[0]) for key in keys}
    assert NAMES - by_contract - _fed(seen.page) - PASSING == set(EXCUSED)


@pytest.mark.parametrize("name", EXCUSED)
def test_an_excuse_names_a_test_that_is_there(name: str) -> None:
    assert (ROOT / EXCUSED[name]).is_file()


@pytest.mark.parametrize("metric", METRICS, ids=lambda one: one.name)
def test_every_metric_is_in_the_reference(metric: Metric) -> None:
    assert f"| `{metric.name}` |" in PAGE.read_text(encoding="utf-8")
