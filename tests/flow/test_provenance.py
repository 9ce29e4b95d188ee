"""What every answer says of itself: its range, its context, what to beware of."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain import source
from gateway.domain.answer import Remark
from gateway.domain.material import NO_FILE, Material
from gateway.flow.provenance import context_report, place, preview, range_of, warnings_of
from gateway.flow.task import Question, Task
from gateway.testing.fakes import a_call
from tests.flow.test_results import a_context, a_task


def test_the_range_is_of_the_selected_lines_and_none_where_there_is_no_file() -> None:
    task = a_task()
    assert range_of(task) == {
        "start": {"line": 3, "character": 0},
        "end": {"line": 5, "character": 0},
    }
    without = Material(NO_FILE, NO_FILE.whole, "why?")
    assert range_of(Task(Question(without, "code/chat"))) is None
    diff = source.read("change.diff", "@@ -1 +1 @@\n-a\n+b\n", language="diff")
    change = Material(diff, diff.whole, "", touched=("a.py",))
    assert range_of(Task(Question(change, "code/commit-message"))) is None


def test_a_place_is_as_the_language_server_protocol_has_it() -> None:
    material = a_task().question.material
    found = material.file.selection(material.span)
    assert place(found)["end"] == {"line": 5, "character": 0}


def test_a_preview_is_the_report_and_the_prompt_and_no_answer() -> None:
    task = a_task(remarks=(Remark("x", "y"),))
    context = a_context(task, exact=False)
    found = preview(a_call(), task, context)
    assert found["context"] == context_report(context)
    assert found["range"] == range_of(task)
    assert [warning["code"] for warning in found["warnings"]] == ["x", "estimated_tokens"]
    assert not {"usage", "replica", "finish_reason"} & found.keys()


def test_remarks_of_the_context_are_warnings() -> None:
    task = a_task()
    context = replace(a_context(task), remarks=(Remark("rules_cut", "cut"),))
    assert warnings_of(task, context) == [{"code": "rules_cut", "message": "cut"}]
