"""No metric is declared for nothing: each is told of somewhere."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from gateway.domain import (
    answer_metrics,
    genai_metrics,
    limit_metrics,
    metrics,
    process_metrics,
    prompt_metrics,
)
from gateway.domain.metric import Metric

ROOT = Path(__file__).parents[1] / "gateway"
TABLES = (
    *(metrics, answer_metrics, genai_metrics, limit_metrics, process_metrics, prompt_metrics),
)


@cache
def _names_used() -> set[str]:
    """Names of constants that the machine's code, other than the tables, speaks of."""
    tables = {Path(str(table.__file__)) for table in TABLES}
    used = set()
    for file in ROOT.rglob("*.py"):
        if file in tables:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Name):
                used.add(node.id)
    return used


CONSTANTS = {
    name: value
    for table in TABLES
    for name, value in vars(table).items()
    if isinstance(value, Metric)
}


def test_every_constant_of_the_tables_is_in_the_table() -> None:
    assert set(CONSTANTS.values()) == set(metrics.METRICS)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_metric_is_told_of_by_somebody(name: str) -> None:
    assert name in _names_used(), f"{name} is declared and nothing feeds it"
