"""Dashboards and rules against the table of metrics: nothing is asked for that nobody counts, and
nothing is counted that nobody looks at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.monitoring.__main__ import HERE, files
from deploy.monitoring.boards import boards
from deploy.monitoring.exported import GATEWAY, VLLM, family, picked
from deploy.monitoring.grafana import expressions
from deploy.monitoring.pace import Pace
from deploy.monitoring.rules import alerts
from deploy.monitoring.slo import TTFT_SECONDS, recordings
from gateway.domain.genai_metrics import FIRST_TOKEN
from gateway.domain.metric import Kind
from gateway.domain.metrics import METRICS
from tests.deploy.promql import Read, filled, reads

RUNBOOKS = HERE.parent / "docs" / "runbooks"
HEADINGS = ("## What it means", "## What to look at", "## What to do")
# Metrics that no panel shows, and why that is right.
_OLDER = "the name that tools of before the rename read; charted by its new one"
UNCHARTED: dict[str, str] = {
    "gen_ai_client_operation_duration_seconds": _OLDER,
    "gen_ai_client_operation_time_to_first_chunk_seconds": _OLDER,
    "gen_ai_client_operation_time_per_output_chunk_seconds": _OLDER,
    "gen_ai_client_token_usage": _OLDER,
    "gen_ai_server_request_duration_seconds": "gw_request_duration_seconds is the same by route",
}
# Prometheus' own.
ITS_OWN = {"up": {"job", "instance", "replica"}, "ALERTS": {"alertname", "alertstate", "severity"}}
RECORDED = {one.name for one in recordings(Pace())}
COUNTING = {"rate", "increase", "changes"}
AGGREGATIONS = {"sum", "max", "min", "avg", "count", "topk"}


def queries() -> Iterator[tuple[str, str]]:
    """(where it stands, PromQL) of every panel, annotation, recording and alert."""
    for board in boards():
        for row in board.rows:
            for panel in row.panels:
                for query in panel.queries:
                    yield f"{board.title}: {panel.title}", query.expr
    for uid, built in dashboards().items():
        for one in built["annotations"]["list"]:
            yield f"{uid}: {one['name']}", one["target"]["expr"]
    for recording in recordings(Pace()):
        yield recording.name, recording.expr
    for alert in alerts(Pace()):
        yield alert.name, alert.expr


def dashboards() -> dict[str, dict[str, Any]]:
    """uid → the JSON that is shipped."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (HERE / "grafana" / "dashboards").glob("*.json")
    }


QUERIES = list(queries())
READS = [(where, read) for where, expr in QUERIES for read in reads(filled(expr))]


def declared(read: Read) -> str | None:
    """The metric of a series of the gateway or of vLLM; None for Prometheus' own and recorded."""
    return None if read.name in ITS_OWN or read.name in RECORDED else family(read.name)


def kind(name: str) -> Kind:
    return GATEWAY[name].kind if name in GATEWAY else VLLM[name]


# ---- Files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", files(Pace()))
def test_the_shipped_file_is_what_is_generated(name: str) -> None:
    shipped = (HERE / name).read_text(encoding="utf-8")
    assert shipped == files(Pace())[name], "write it anew: make docs"


def test_nothing_else_lies_among_the_generated_files() -> None:
    folders = {Path(name).parent for name in files(Pace())}
    there = {str(file.relative_to(HERE)) for one in folders for file in (HERE / one).iterdir()}
    assert there == set(files(Pace()))


# ---- Queries -------------------------------------------------------------------------------------


def test_every_query_reads_series_that_are_declared() -> None:
    strangers = []
    for where, read in READS:
        try:
            declared(read)
        except KeyError:
            strangers.append(f"{where}: {read.name}")
    assert not strangers, "\n".join(strangers)


def test_every_matcher_is_on_a_label_that_the_series_has() -> None:
    wrong = []
    for where, read in READS:
        name = declared(read)
        if name is None:
            has = ITS_OWN.get(read.name, set())
        elif name in GATEWAY:
            has = {*GATEWAY[name].labels, "le", "job", "instance", "worker"}
        else:
            has = {"replica", "le", "engine", "model_name", "finished_reason", "reason"}
        if strange := read.matched - has:
            wrong.append(f"{where}: {read.name} has no {strange}")
    assert not wrong, "\n".join(wrong)


def test_every_label_that_is_kept_is_one_of_the_series() -> None:
    wrong = []
    for where, read in READS:
        name = declared(read)
        if name is None or name not in GATEWAY:
            continue
        has = {*GATEWAY[name].labels, "le", "job", "instance", "worker"}
        if strange := read.kept - has:
            wrong.append(f"{where}: {read.name} has no {strange}")
    assert not wrong, "\n".join(wrong)


def test_counters_are_read_as_rates_and_gauges_as_they_stand() -> None:
    wrong = []
    for where, read in READS:
        name = declared(read)
        if name is None or "offset" in dict(QUERIES)[where]:
            continue
        counted = bool(COUNTING & set(read.around))
        if (kind(name) is Kind.GAUGE) == counted and "changes" not in read.around:
            wrong.append(f"{where}: {read.name} in {read.around}")
    assert not wrong, "\n".join(wrong)


def test_no_number_is_of_one_worker_unless_it_is_meant() -> None:
    """With several workers each has its own series: who forgets to add them shows one at random."""
    wrong = []
    for where, read in READS:
        name = declared(read)
        if name is None or name not in GATEWAY:
            continue
        if not AGGREGATIONS & set(read.around) and "absent" not in read.around:
            wrong.append(f"{where}: {read.name}")
    allowed = {f"{uid}: Deployed: process_start_time_seconds" for uid in dashboards()}
    assert set(wrong) == allowed, "\n".join(wrong)


def test_quantiles_keep_the_bounds_of_their_buckets() -> None:
    for where, read in READS:
        if "histogram_quantile" in read.around:
            assert "le" in read.kept, where


def test_the_objective_for_first_tokens_is_a_bound_of_its_histogram() -> None:
    assert TTFT_SECONDS in FIRST_TOKEN.buckets


def test_every_metric_is_on_a_panel_or_excused() -> None:
    panels = {board.title for board in boards()}
    shown = {declared(read) for where, read in READS if where.partition(":")[0] in panels}
    charted = {name for name in shown if name is not None}
    assert {metric.name for metric in METRICS} - charted == set(UNCHARTED)
    assert set(VLLM) <= charted


def test_a_series_that_nobody_declares_is_refused_at_once() -> None:
    with pytest.raises(KeyError, match="gw_nothing_total"):
        picked("gw_nothing_total")
    with pytest.raises(KeyError, match="gw_request_duration_seconds"):
        picked("gw_request_duration_seconds")
    assert picked("gw_request_duration_seconds_sum")


# ---- Dashboards ----------------------------------------------------------------------------------


def test_the_dashboard_of_the_gateway_has_its_nine_rows() -> None:
    assert [row.title for row in boards()[0].rows] == [
        *("Service level", "Traffic", "Latency", "Tokens and cost", "Reliability"),
        *("Replicas (vLLM)", "Prompts", "Policies and security", "Gateway internals"),
    ]


@pytest.mark.parametrize("uid", dashboards())
def test_panels_have_numbers_of_their_own_and_do_not_overlap(uid: str) -> None:
    ids: list[int] = []
    for panels in groups(dashboards()[uid]["panels"]):
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            ids.append(panel["id"])
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, panel["title"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
    assert len(ids) == len(set(ids))


def groups(panels: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Those that are seen at once: the open ones, and those of each collapsed row."""
    yield panels
    yield from (panel["panels"] for panel in panels if panel.get("panels"))


@pytest.mark.parametrize("uid", dashboards())
def test_every_choice_that_a_query_uses_is_offered(uid: str) -> None:
    built = dashboards()[uid]
    offered = {one["name"] for one in built["templating"]["list"]}
    used = {
        name
        for _, expr in expressions(built)
        for name in re.findall(r"\$\{?(\w+)", expr)
        if not name.startswith("__") and name != "1"
    }
    assert used <= offered
    assert offered - {"datasource", "traces"} - used == set(), "a choice that changes nothing"


@pytest.mark.parametrize("uid", dashboards())
def test_every_panel_says_what_is_good_and_has_a_unit(uid: str) -> None:
    for panels in groups(dashboards()[uid]["panels"]):
        for panel in panels:
            if panel["type"] != "row":
                assert panel["description"]
                assert panel["fieldConfig"]["defaults"]["unit"]
                assert panel["targets"]
                assert panel["datasource"]["uid"] == "${datasource}"


def test_titles_of_a_dashboard_are_told_apart() -> None:
    for board in boards():
        titles = [panel.title for row in board.rows for panel in row.panels]
        assert len(titles) == len(set(titles)), board.title


def test_histograms_show_their_exemplars() -> None:
    dots = [p.title for b in boards() for r in b.rows for p in r.panels if p.exemplars]
    assert {"Duration", "First token", "The gateway's own time"} <= set(dots)


# ---- Alerts --------------------------------------------------------------------------------------


def test_alerts_have_names_of_their_own() -> None:
    names = [alert.name for alert in alerts(Pace())]
    assert len(names) == len(set(names))
    assert len(names) >= 30


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    wanted = {Path(alert.runbook).name for alert in alerts(Pace())}
    assert {file.name for file in RUNBOOKS.glob("*.md")} - {"README.md"} == wanted


@pytest.mark.parametrize("alert", alerts(Pace()), ids=lambda alert: alert.name)
def test_a_runbook_says_what_it_means_where_to_look_and_what_to_do(alert: Any) -> None:
    text = (HERE.parent / alert.runbook).read_text(encoding="utf-8")
    assert text.startswith(f"# {alert.name}\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == list(HEADINGS)
    for heading in HEADINGS:
        said = text.split(heading)[1].split("\n## ")[0]
        assert len(said.split()) >= 8, heading


def test_a_runbook_names_only_metrics_and_panels_that_exist() -> None:
    titles = {panel.title for board in boards() for row in board.rows for panel in row.panels}
    rows = {row.title for board in boards() for row in board.rows}
    wrong = []
    for file in RUNBOOKS.glob("*.md"):
        text = file.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:gw|process|vllm|gen_ai)[_:]\w+)", text):
            if not any(name in (known, known.removesuffix("_total")) for known in known_series()):
                wrong.append(f"{file.name}: {name}")
        for title in re.findall(r"\*\*(.+?)\*\*", text):
            if title not in titles | rows:
                wrong.append(f"{file.name}: no panel {title!r}")
    assert not wrong, "\n".join(wrong)


def known_series() -> set[str]:
    return {*GATEWAY, *VLLM, *RECORDED}


def test_the_readme_of_runbooks_lists_them_all() -> None:
    text = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    for alert in alerts(Pace()):
        assert f"[{alert.name}]({Path(alert.runbook).name}) | {alert.severity}" in text


@pytest.mark.parametrize(
    ("time", "divide", "said"),
    [("5m", 1, "5m"), ("5m", 60, "5s"), ("1h", 60, "60s"), ("1m", 60, "4s"), ("1w", 1, "1w")],
)
def test_a_pace_shortens_times(time: str, divide: float, said: str) -> None:
    assert Pace(divide)(time) == said


def test_a_pace_refuses_what_is_no_time() -> None:
    with pytest.raises(ValueError, match="'soon' is no time"):
        Pace()("soon")
