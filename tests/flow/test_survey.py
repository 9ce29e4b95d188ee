"""The look at the material: what may be shown, how the selection grows, and what is told."""

from __future__ import annotations

import time
from typing import Any, Literal

import pytest

from gateway.adapters.syntax import TreeSitter
from gateway.domain import columns, source
from gateway.domain.material import NO_FILE, Material, Related
from gateway.domain.screening import DeniedPath, Screen
from gateway.domain.source import Position, Selection
from gateway.domain.structure import Structure
from gateway.flow.survey import HUGE_LINES, MOST_SCOPE_LINES, SECONDS, Surveyed, Surveyor
from gateway.flow.task import Question
from gateway.testing.fakes import FakeClock, FakeSyntax

TEXT = """import os


class Cart:
    # The sum.
    def total(self):
        a
        b

    def other(self):
        c


x = 1
"""
Scope = Literal["selection", "auto", "file"]


def question(text: str = TEXT, at: int = 6, scope: Scope = "auto", **more: Any) -> Question:
    file = source.read("src/a.py", text)
    span = file.span(Selection(Position(at, 0), Position(at, 0)))
    return Question(Material(file, span, "go", **more), "code/explain", scope=scope)


def survey(asked: Question, syntax: Any = None, clock: Any = None) -> Surveyed:
    look = Surveyor(syntax or TreeSitter(), Screen(), clock or FakeClock())
    return look(asked, {})


def selected(found: Surveyed) -> tuple[str, str]:
    return found.question.material.selected, found.question.material.why


def test_a_cursor_grows_to_the_smallest_definition_with_its_comment() -> None:
    text, why = selected(survey(question(at=6)))
    assert text == "    # The sum.\n    def total(self):\n        a\n        b\n"
    assert why == "the definition total around the selection"


def test_between_two_definitions_it_grows_to_what_holds_both() -> None:
    assert selected(survey(question(at=3)))[1] == "the section Cart around the selection"


def test_outside_of_definitions_it_stays_and_says_so() -> None:
    assert selected(survey(question(at=13))) == ("x = 1\n", "selected; in no definition")


def test_a_definition_that_is_too_long_is_not_what_anybody_meant() -> None:
    text = "def f():\n" + "    a\n" * (MOST_SCOPE_LINES + 1)
    found = selected(survey(question(text, 3)))
    assert found == (
        "    a\n",
        f"selected; the definition f around it has {MOST_SCOPE_LINES + 2} lines",
    )


def test_unless_it_is_asked_for_the_selection_stays_as_it_is() -> None:
    assert selected(survey(question(scope="selection"))) == ("        a\n", "selected")


@pytest.mark.parametrize("text", ["\ufeff" + TEXT, TEXT.replace("\n", "\r\n"), TEXT.rstrip("\n")])
def test_a_grown_selection_is_whole_lines_of_the_bytes_on_disk(text: str) -> None:
    found = survey(question(text, 6)).question.material
    assert found.file.text(found.span).replace("\r\n", "\n") == (
        "    # The sum.\n    def total(self):\n        a\n        b\n"
    )
    assert found.file.replace(found.span, found.file.text(found.span)) == found.file.content


def test_of_a_huge_file_only_the_neighbourhood_is_parsed() -> None:
    filler = "y = 2\n" * HUGE_LINES
    found = survey(question(filler + TEXT + filler, HUGE_LINES + 6))
    assert selected(found)[0].startswith("    # The sum.\n")
    assert "very long" in found.remarks[0].message


def test_related_files_have_the_language_of_their_name_and_a_structure_each() -> None:
    sent = (Related("b.go", "package b\n"), Related("x", "#!/bin/sh\n"), Related("d", "+", "edit"))
    syntax = FakeSyntax({"package b\n": Structure(origin="syntax", remark="It has syntax errors.")})
    found = survey(question(related=sent), syntax)
    assert [other.language for other in found.question.material.related][:2] == [
        "go",
        "shellscript",
    ]
    assert syntax.asked[1:] == [("go", "package b\n"), ("shellscript", "#!/bin/sh\n")]
    assert found.survey.of(0).origin == "syntax"
    assert [(one.code, one.message) for one in found.remarks] == [
        ("structure", "b.go: It has syntax errors.")
    ]


def test_only_its_own_work_counts_for_that_time() -> None:
    assert Surveyor(FakeSyntax(), Screen())._clock is time.thread_time


def test_files_for_which_there_is_no_time_go_without_a_structure_and_that_is_told() -> None:
    clock = FakeClock()

    class Slow(FakeSyntax):
        """Takes a while for each text."""

        def structure(self, language: str, text: str) -> Structure:
            clock.now += SECONDS
            return super().structure(language, text)

    sent = tuple(Related(f"{at}.py", f"{at}\n") for at in range(4))
    slow = Slow()
    found = survey(question(related=sent), slow, clock)
    assert len(slow.asked) == 3
    assert found.remarks[-1].message.startswith("3.py: Too many files")


def test_what_may_not_be_shown_is_neither_parsed_nor_kept() -> None:
    syntax = FakeSyntax()
    found = survey(question(related=(Related(".env", "A=1\n"),)), syntax)
    assert len(syntax.asked) == 1
    assert found.question.material.related[0].content == ""
    file = source.read("a.pem", "x\n")
    with pytest.raises(DeniedPath):
        survey(Question(Material(file, file.whole, "go"), "code/explain"), syntax)


def test_secrets_in_the_file_are_told() -> None:
    found = survey(question("k = 'ghp_" + "a1" * 18 + "'\n", 0))
    assert found.remarks[0].code == "secrets_removed"
    assert "src/a.py holds what looks like secrets (GitHub token 1)" in found.remarks[0].message


def test_a_diff_and_no_file_have_no_structure() -> None:
    diff = source.read("change.diff", "+def f():\n+    pass\n", language="diff")
    change = Material(diff, diff.whole, "", touched=("a.py",))
    for material in (change, Material(NO_FILE, NO_FILE.whole, "why?")):
        syntax = FakeSyntax()
        found = survey(Question(material, "code/chat"), syntax)
        assert (syntax.asked, found.remarks) == ([], ())


def test_a_selection_in_a_long_line_does_not_grow_and_leaves_no_secret_half_selected() -> None:
    key = "ghp_" + "a1" * 18
    line = "def f(): a();" + "b();" * 900 + f"c('{key}');" + "d();" * 900
    file = source.read("src/a.py", f"x\n{line}\n")
    at = line.index(key)
    chosen = Selection(Position(1, at + 9), Position(1, at + 70))
    span = columns.span(file, chosen)
    found = survey(Question(Material(file, span, ""), "code/explain", scope="auto")).question
    material = found.material
    assert material.file.text(material.span) == line[at : at + 70]
    assert material.selected == f"SECRET_REMOVED_0001_{line[at + len(key) : at + 70]}"
    assert (
        material.why
        == f"selected; 70 of {len(line) + 1} characters of lines too long to be shown whole"
    )
    head, tail = material.edges
    assert head == line[:at]
    assert tail == line[at + 70 :] + "\n"
