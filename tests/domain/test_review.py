"""A review is what fits its schema; what does not is told of, never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.prompts import load
from gateway.domain import source
from gateway.domain.answer import Answer
from gateway.domain.material import Material
from gateway.domain.quotes import Quotes
from gateway.domain.review import Review, read

SHIPPED = load(Path(__file__).parents[2] / "prompts")
SCHEMA = SHIPPED.loaded("code/review").front.output.answer_schema
FILE = source.read("a.py", "def f(x):\n    return x[0]\n")
GOOD = {
    "quote": "    return x[0]",
    "message": "Fails.",
    "severity": "error",
    "category": "bug",
    "suggestion": "",
}


def reviewed(text: str, finish: str = "stop", schema: Any = SCHEMA) -> Review:
    return read(Answer(text, finish), schema, Quotes(Material(FILE, FILE.whole, "")))


def said(*findings: object, summary: object = "One.") -> str:
    return json.dumps({"findings": findings, "summary": summary})


def test_a_finding_has_its_fields_and_its_line() -> None:
    found = reviewed(said(GOOD))
    assert (found.status, found.summary, found.problem, found.rank) == ("reviewed", "One.", "", 0)
    (one,) = found.findings
    assert one.fields == GOOD
    assert one.place is not None
    assert one.place.start.line == 1


def test_nothing_found_is_a_review_too() -> None:
    assert reviewed(said(summary="Fine.")) == Review("reviewed", "Fine.")


@pytest.mark.parametrize(
    "text", ["<think>\n{}\n</think>\n{}", "```json\n{}\n```", "Sure:\n{}\nBye."]
)
def test_json_is_found_in_what_is_around_it(text: str) -> None:
    assert reviewed(text.replace("{}", said(GOOD))).findings[0].fields == GOOD


def test_a_finding_that_does_not_fit_is_left_out_and_told_of() -> None:
    bad = {**GOOD, "severity": "fatal"}
    found = reviewed(said(GOOD, bad, "words", {"quote": "x"}))
    assert [one.fields for one in found.findings] == [GOOD]
    assert found.warnings[0].code == "findings_dropped"
    assert "3 findings" in found.warnings[0].message


def test_a_field_that_was_not_asked_for_is_left_out_alone() -> None:
    assert reviewed(said({**GOOD, "line": 7})).findings[0].fields == GOOD


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Looks good.", "no JSON"),
        ("", "no JSON"),
        ('{"findings": [', "too early"),
        ('{"summary": "x"}', 'no list "findings"'),
        (said({**GOOD, "severity": "fatal"}), "'fatal' is not one of"),
        ("<think>for ever", "no JSON"),
    ],
)
def test_an_answer_of_which_nothing_fits_is_unresolved(text: str, why: str) -> None:
    found = reviewed(text)
    assert (found.status, found.text, found.findings) == ("unresolved", text, ())
    assert why in found.problem
    assert found.rank == 2


def test_one_that_was_cut_has_the_findings_that_were_whole() -> None:
    text = said(GOOD, {**GOOD, "message": "Second."})
    found = reviewed(text[: text.index("Second")], "length")
    assert (found.status, found.problem, found.rank) == ("truncated", "", 1)
    assert [one.fields for one in found.findings] == [GOOD]
    assert found.warnings[0].code == "truncated"
    assert reviewed("", "length").status == "truncated"


def test_the_schema_of_another_author_may_have_other_fields_and_references() -> None:
    own = {"message": "x", "rule": "R1"}
    items = {"type": "object", "required": ["rule"]}
    schema = {"properties": {"findings": {"items": items}}}
    assert reviewed(said(own), schema=schema).findings[0].fields == own
    assert reviewed(said({"message": "x"}), schema=schema).status == "unresolved"
    elsewhere = {"properties": {"findings": {"items": {"$ref": "http://127.0.0.1:9/x"}}}}
    assert reviewed(said(own), schema=elsewhere).findings[0].fields == own
    assert reviewed(said(own), schema=None).findings[0].place is None


@given(st.text(alphabet='{}[]",:\\ findigsquotea1\n`', max_size=200))
def test_no_answer_makes_an_error(text: str) -> None:
    assert reviewed(text).status in ("reviewed", "unresolved")
    assert reviewed(text, "length").status == "truncated"


def test_backticks_are_taken_off_a_quote_only_where_the_line_has_none() -> None:
    file = source.read("a.md", "`mean`\nx `mean` y\nmean\n")
    places = {"`mean`": 0, "`x `mean` y`": 1, "`mean": 2, "```": None}
    for quote, line in places.items():
        text = said({**GOOD, "quote": quote})
        (one,) = read(Answer(text, "stop"), SCHEMA, Quotes(Material(file, file.whole, ""))).findings
        assert (one.place and one.place.start.line) == line
