"""A query taken apart: which series it reads, and what is done to each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

# What Grafana puts in their place.
_INTERVALS = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "15s"}


@dataclass(frozen=True)
class Read:
    """One series in a query: its name, the labels of its matchers, the functions and aggregations
    around it from the outermost in, and the labels that those keep or match on."""

    name: str
    matched: frozenset[str]
    around: tuple[str, ...]
    kept: frozenset[str]
    over: bool


def filled(expr: str, chosen: str = ".*") -> str:
    """The query as Grafana sends it: every choice above the dashboard at `chosen`."""
    for name, value in _INTERVALS.items():
        expr = expr.replace(name, value)
    for name in ("model", "route", "team", "replica", "prompt"):
        expr = expr.replace(f"${name}", chosen)
    assert "$" not in expr.replace('"$1"', ""), expr
    return expr


def reads(expr: str) -> list[Read]:
    """All series of a query. ValueError where Prometheus would not parse it."""
    return list(_walk(promql_parser.parse(expr), (), frozenset()))


def _walk(node: Any, around: tuple[str, ...], kept: frozenset[str]) -> Iterator[Read]:
    kind = type(node).__name__
    if kind == "VectorSelector":
        matched = frozenset(one.name for one in node.matchers.matchers)
        yield Read(node.name or "", matched, around, kept, False)
    elif kind == "MatrixSelector":
        for read in _walk(node.vector_selector, around, kept):
            yield Read(read.name, read.matched, read.around, read.kept, True)
    elif kind == "AggregateExpr":
        by = frozenset(node.modifier.labels if node.modifier else ())
        yield from _walk(node.expr, (*around, str(node.op)), kept | by)
    elif kind == "Call":
        for one in node.args:
            yield from _walk(one, (*around, node.func.name), kept)
    elif kind == "BinaryExpr":
        for one in (node.lhs, node.rhs):
            yield from _walk(one, around, kept)
    elif kind in ("ParenExpr", "UnaryExpr", "SubqueryExpr"):
        yield from _walk(node.expr, around, kept)
    else:
        assert kind in ("NumberLiteral", "StringLiteral"), kind
