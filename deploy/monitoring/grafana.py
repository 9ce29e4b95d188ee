"""Grafana's JSON from a Board, through Grafana's own builders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import (
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import prometheus as prometheus_model

from deploy.monitoring.panel import Board, Panel, Query, Row, Variable

COLUMNS = 24
_SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
_REFERENCES = "ABCDEFGH"
# What happened to all: vertical lines on every panel.
_EVENTS = (
    (
        "Configuration reloaded",
        "blue",
        "sum by (result) (increase(gw_config_reload_total[$__rate_interval])) > 0",
        "reload: {{result}}",
    ),
    (
        "Deployed",
        "purple",
        'changes(process_start_time_seconds{job="gateway"}[$__rate_interval]) > 0',
        "started anew: {{instance}}",
    ),
    (
        "Alert",
        "red",
        'sum by (alertname) (ALERTS{alertstate="firing",severity=~"page|ticket"})',
        "{{alertname}}",
    ),
)


def dashboard_json(board: Board) -> str:
    """The file that Grafana is provisioned with; the same board gives the same bytes."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.help)
        .tags(["llm-gateway"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Other dashboards")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["llm-gateway"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .with_variable(dashboard.DatasourceVariable("traces").label("Traces").type("jaeger"))
    )
    for variable in board.variables:
        builder = builder.with_variable(_variable(variable))
    for name, colour, expr, text in _EVENTS:
        builder = builder.annotation(_event(name, colour, expr, text))
    built = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    built["panels"] = _laid_out(board.rows)
    return json.dumps(_cleaned(built), indent=1, sort_keys=True) + "\n"


def _variable(variable: Variable) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(_SOURCE)
        .query(f"label_values({variable.metric}, {variable.label})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(text="All", value="$__all", selected=True))
    )


def _event(name: str, colour: str, expr: str, text: str) -> dashboard.AnnotationQuery:
    query = dashboard.AnnotationQuery().name(name).datasource(_SOURCE).icon_color(colour)
    target = prometheus.Dataquery().expr(expr).ref_id("A").datasource(_SOURCE)
    return query.enable(True).hide(False).target(target).title_format(text)


def _laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Panels from left to right and down, each with its place and a number of its own; those of a
    collapsed row are inside it."""
    placed: list[dict[str, Any]] = []
    number, top = 1, 0
    for row in rows:
        panels, bottom = _shelved(row, number + 1, top + 1)
        heading = {
            "type": "row",
            "id": number,
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            "panels": panels if row.collapsed else [],
        }
        placed.append(heading)
        if not row.collapsed:
            placed.extend(panels)
        number += 1 + len(panels)
        top = top + 1 if row.collapsed else bottom
    return placed


def _shelved(row: Row, number: int, top: int) -> tuple[list[dict[str, Any]], int]:
    panels: list[dict[str, Any]] = []
    left = shelf = 0
    for panel in row.panels:
        if left + panel.width > COLUMNS:
            left, top, shelf = 0, top + shelf, 0
        place = model.GridPos(h=panel.height, w=panel.width, x=left, y=top)
        built = _panel(panel).id(number + len(panels)).grid_pos(place).build()
        panels.append(json.loads(JSONEncoder(sort_keys=True).encode(built)))
        # Tables of the present Grafana have no such option any more.
        panels[-1].get("options", {}).pop("footer", None)
        left, shelf = left + panel.width, max(shelf, panel.height)
    return panels, top + shelf


def _panel(panel: Panel) -> Any:
    builder = _KINDS[panel.kind](panel)
    builder = (
        builder.title(panel.title).description(panel.help).unit(panel.unit).datasource(_SOURCE)
    )
    for reference, query in zip(_REFERENCES, panel.queries, strict=False):
        builder = builder.with_target(_target(panel, query, reference))
    return builder


def _target(panel: Panel, query: Query, reference: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).ref_id(reference).datasource(_SOURCE)
    target = target.legend_format(query.legend or "__auto").exemplar(panel.exemplars)
    if panel.kind == "table":
        return target.instant().format(prometheus_model.PromQueryFormat.TABLE)
    if panel.kind == "heatmap":
        return target.range().format(prometheus_model.PromQueryFormat.HEATMAP)
    return target.range()


def _graph(panel: Panel) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .fill_opacity(10)
        .line_width(1)
        .show_points(common.VisibilityMode.NEVER)
        .min(0)
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )


def _stacked(panel: Panel) -> timeseries.Panel:
    stacking = common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
    return _graph(panel).fill_opacity(40).stacking(stacking)


def _stat(panel: Panel) -> stat.Panel:
    steps = panel.steps or ((None, "blue"),)
    return (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(
            dashboard.ThresholdsConfig()
            .mode(model.ThresholdsMode.ABSOLUTE)
            .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
        )
    )


def _table(panel: Panel) -> table.Panel:
    hidden = {"Time": True, "__name__": True}
    return table.Panel().with_transformation(
        model.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden})
    )


def _heatmap(panel: Panel) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
            .exponent(0.5)
            .fill("dark-orange")
            .reverse(False)
        )
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .exemplars_color("rgba(255,0,255,0.7)")
        .show_legend()
    )


def _states(panel: Panel) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .show_value(common.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .thresholds(
            dashboard.ThresholdsConfig()
            .mode(model.ThresholdsMode.ABSOLUTE)
            .steps([model.Threshold(value=None, color="transparent"), model.Threshold(1, "blue")])
        )
    )


_KINDS: dict[str, Any] = {
    "graph": _graph,
    "stacked": _stacked,
    "stat": _stat,
    "table": _table,
    "heatmap": _heatmap,
    "states": _states,
}


def _cleaned(built: dict[str, Any]) -> dict[str, Any]:
    """Without fields that the builder writes and Grafana's own types do not know."""
    for variable in built["templating"]["list"]:
        for stranger in ("auto", "auto_min", "auto_count"):
            variable.pop(stranger, None)
    return built


def expressions(built: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(panel's title, PromQL) of a finished dashboard, collapsed rows included."""
    for panel in built["panels"]:
        yield from expressions({"panels": panel.get("panels", [])})
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
