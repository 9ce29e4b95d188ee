"""What a kind of request leaves behind, as JSON: its spans as a tree, and what metrics counted.

python -m tests.telemetry.contract > tests/telemetry/contract.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.testing.otlp_sink import SunkSpan
from tests.telemetry.kinds import KINDS, PARENT, House, Kind, house

# Different each time, so only that it is there, and of what kind.
_VARIES = {
    "server.port": "<port>",
    "gen_ai.response.id": "<id>",
    "gen_ai.response.time_to_first_chunk": "<seconds>",
    "gw.queue_seconds": "<seconds>",
    "gw.prompt.sha": "<sha>",
    "gen_ai.prompt.version": "<version>",
    "gw.prompt.version": "<version>",
}
# By how many pieces TCP makes of a stream.
_BY_CHANCE = ("_time_per_output_chunk_seconds_count", "gw_stream_max_gap_seconds_count")
_SETTLED_SECONDS = 20.0
# Of the process and of time, not of a request.
_NOT_OF_REQUESTS = (
    *("process_", "gw_event_loop", "gw_metric_series", "gw_scrape", "gw_worker", "gw_telemetry"),
    *("gw_config", "gw_prompts_info", "gw_pool", "gw_upstream_up", "gw_replica_state"),
)


def observed(of: House, kind: Kind) -> dict[str, Any]:
    """What it leaves behind."""
    before, seen = _counts(of), len(of.sink.spans)
    with of.client() as http:
        kind.ask(http, of.mocks)
    ends = time.monotonic() + _SETTLED_SECONDS
    while len(spans := _whole(of.sink.spans[seen:], kind.calls)) < kind.calls:
        assert time.monotonic() < ends, f"{kind.name}: no whole trace"
        time.sleep(0.02)
    after = _counts(of)
    metrics = {
        name: round(after[name] - before.get(name, 0.0), 9)
        for name in sorted(after)
        if after[name] != before.get(name, 0.0)
    }
    return {"spans": _tree(spans, PARENT), "metrics": metrics}


def _whole(spans: Iterable[SunkSpan], calls: int) -> list[SunkSpan]:
    """All of them once so many server spans are there: a call's spans come together."""
    found = list(spans)
    return found if sum(one.kind == "SERVER" for one in found) >= calls else []


def _tree(spans: list[SunkSpan], parent: str) -> list[dict[str, Any]]:
    found = [one for one in spans if one.parent_id == parent]
    found.sort(key=lambda one: (one.start_ns, one.name))
    return [
        {
            "name": one.name,
            "kind": one.kind,
            "error": one.error,
            "attributes": {
                name: _VARIES.get(name, one.attributes[name]) for name in sorted(one.attributes)
            },
            "children": _tree(spans, one.span_id),
        }
        for one in found
    ]


def _counts(of: House) -> dict[str, float]:
    """Counters, gauges and how many values each histogram has; by name and labels."""
    page = httpx.get(f"{of.gateway.url}/metrics", timeout=30).text
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if not sample.name.startswith(_NOT_OF_REQUESTS)
        and not sample.name.endswith(("_bucket", "_created", *_BY_CHANCE))
        and not (family.type == "histogram" and sample.name.endswith("_sum"))
    }


def _named(name: str, labels: dict[str, str]) -> str:
    shown = ((key, _hidden(key, value)) for key, value in sorted(labels.items()))
    return f"{name}{{{','.join(f'{key}={value}' for key, value in shown)}}}"


def _hidden(key: str, value: str) -> str:
    return f"{value.partition('@')[0]}@<text>" if key == "prompt_text" else value


def main() -> None:
    """Print what is observed."""
    with tempfile.TemporaryDirectory() as folder, house(Path(folder)) as served:
        found = {kind.name: observed(served, kind) for kind in KINDS}
    json.dump(found, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
