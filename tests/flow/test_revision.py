"""A revision: the file with the answer in it, the verdict on its syntax, what to tell the model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain import source
from gateway.domain.syntax_errors import Verdict
from gateway.flow.revision import Revision, revise
from tests.flow.test_results import a_context, a_task, said


class Counting:
    """Counts lines that hold `!`, of any language but `go`."""

    def count(self, language: str, text: str) -> int | None:
        return None if language == "go" else text.count("!")


def revised(
    text: str, old: str = "a\nb\nc\n", *, path: str = "a.py", check: bool = True
) -> Revision:
    task = replace(a_task(source.read(path, old), (1, 2)), syntax_check=check)
    answer = said(text, "stop", "</rewritten>")
    return revise(task, a_context(task, prefill="<rewritten>\n"), answer, text, Counting())


@pytest.mark.parametrize(
    ("text", "old", "verdict"),
    [
        ("B\n", "a\nb\nc\n", "ok"),
        ("B!\n", "a\nb\nc\n", "worse"),
        ("B!\n", "a\nb!\nc\n", "ok"),
        ("B!\n", "a!\nb\nc\n", "worse"),
        ("B\n", "a!\nb!\nc\n", "ok"),
    ],
)
def test_only_errors_that_were_not_there_make_it_worse(
    text: str, old: str, verdict: Verdict
) -> None:
    found = revised(text, old)
    assert found.syntax == verdict
    assert bool(found.problem) == (verdict == "worse")
    codes = [remark.code for remark in found.resolution.warnings]
    assert ("syntax" in codes) == (verdict == "worse")


def test_what_is_not_checked_is_unknown_and_no_problem() -> None:
    for found in (
        revised("B!\n", path="a.go"),
        revised("B!\n", check=False),
        revised("b\n"),
    ):
        assert (found.syntax, found.problem) == ("unknown", "")


def test_an_answer_that_was_not_applied_leaves_the_file() -> None:
    found = revised("... existing code ...\n")
    assert found.after == b"a\nb\nc\n"
    assert "leaves out code" in found.problem


def test_applied_is_better_than_worse_and_that_better_than_nothing() -> None:
    ranks = [revised(text).rank for text in ("B\n", "B!\n", "... existing code ...\n")]
    assert ranks == [0, 1, 2]
