"""pydantic's findings in words for the one who wrote the file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.domain.document import Document, Problem
from gateway.settings.explanation import dotted, explain


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int
    names: list[str]
    rows: dict[str, int]


def explained(text: str) -> list[Problem]:
    document = Document("f.yaml", text)
    try:
        Shape.model_validate(document.data["top"])
    except ValidationError as error:
        return explain(
            document,
            error,
            known=lambda path: Shape.model_fields,
            fix=lambda path: f"mend {path[-1]}",
            prefix=("top",),
        )
    return []


def test_each_finding_has_its_line_its_words_and_its_fix() -> None:
    text = "top:\n  count: many\n  names: one\n  rows: 3\n  counts: 1\n"

    assert [(one.line, one.message, one.fix) for one in explained(text)] == [
        (
            2,
            "top.count: input should be a valid integer, unable to parse string as an integer",
            "mend count",
        ),
        (3, "top.names: should be a list", "mend names"),
        (4, "top.rows: should be keys and values, `name: value` each", "mend rows"),
        (5, "unknown key 'top.counts'", "did you mean 'count'?"),
    ]


def test_what_is_missing_is_told_at_its_parent() -> None:
    text = "top:\n  names: []\n  rows: {}\n"

    [problem] = explained(text)

    assert (problem.line, problem.message) == (1, "top has no 'count'")


def test_values_are_never_repeated() -> None:
    text = "top: {count: sk-secret, names: [], rows: {}}\n"

    assert all("sk-secret" not in str(problem) for problem in explained(text))


def test_a_place_is_one_word() -> None:
    assert dotted(("a", 0, "b", "[key]")) == "a.0.b"
    assert dotted(()) == "the file"
