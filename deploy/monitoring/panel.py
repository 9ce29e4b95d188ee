"""What a dashboard consists of, before it is Grafana's JSON: Query, Panel, Row, Board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["graph", "stacked", "stat", "table", "heatmap", "states"]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what a line of its answer is called: Grafana's `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `help` says what is good and what is not. `width` is of 24 columns. `steps`
    colour a number: (from this value on, colour), the first from None. `exemplars` are the dots
    that lead to a trace: of histograms."""

    title: str
    kind: Kind
    unit: str
    help: str
    queries: tuple[Query, ...]
    width: int = 8
    height: int = 8
    steps: tuple[tuple[float | None, str], ...] = ()
    most: float | None = None
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice above a dashboard: all values of `label` that `metric` has."""

    name: str
    metric: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `uid` is in its address and never changes."""

    uid: str
    title: str
    help: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]


def graph(title: str, unit: str, help: str, *queries: Query, width: int = 8) -> Panel:
    """Lines over time; with dots that lead to traces where a query reads a histogram."""
    dots = any("_bucket" in query.expr and "gw_" in query.expr for query in queries)
    dots = dots or any("_bucket" in query.expr and "gen_ai_" in query.expr for query in queries)
    return Panel(title, "graph", unit, help, queries, width, exemplars=dots)


def stacked(title: str, unit: str, help: str, *queries: Query, width: int = 8) -> Panel:
    """Areas that add up."""
    return Panel(title, "stacked", unit, help, queries, width)


def stat(
    title: str,
    unit: str,
    help: str,
    query: Query,
    *steps: tuple[float | None, str],
    width: int = 4,
) -> Panel:
    """One number, coloured by `steps`."""
    return Panel(title, "stat", unit, help, (query,), width, 5, steps)


def table(title: str, unit: str, help: str, query: Query, width: int = 8) -> Panel:
    """The present values, one row for each."""
    return Panel(title, "table", unit, help, (query,), width)


def heatmap(title: str, unit: str, help: str, query: Query, width: int = 8) -> Panel:
    """How many fell between two bounds, over time; the query gives buckets."""
    return Panel(title, "heatmap", unit, help, (query,), width, exemplars=True)


def states(title: str, help: str, *queries: Query, width: int = 12) -> Panel:
    """What state each was in, over time; a value of 1 or more is coloured."""
    return Panel(title, "states", "short", help, queries, width)
