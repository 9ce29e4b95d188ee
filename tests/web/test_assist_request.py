"""The body of /api/ai/*: what it may hold, and what each mistake is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.actions import BY_NAME
from gateway.domain.errors import InvalidRequest
from gateway.web.assist_request import read_request, task_of

FILE = {"path": "src/a.py", "content": "a = 1\nb = 2\nc = 3\n"}


def task(body: dict[str, Any], action: str = "explain") -> Any:
    return task_of(*read_request(body, BY_NAME[action]))


def range_of(start: tuple[int, int], end: tuple[int, int]) -> dict[str, Any]:
    first, last = ({"line": line, "character": at} for line, at in (start, end))
    return {"start": first, "end": last}


def test_without_a_selection_the_whole_file_is_meant() -> None:
    material = task({"file": FILE}).question.material
    assert material.file.text(material.span) == FILE["content"]


def test_a_selection_is_grown_to_whole_lines() -> None:
    body = {"file": FILE, "selection": range_of((1, 2), (1, 3))}
    material = task(body).question.material
    assert material.file.text(material.span) == "b = 2\n"


def test_scope_file_means_the_whole_file_whatever_is_selected() -> None:
    body = {"file": FILE, "selection": range_of((1, 2), (1, 3)), "scope": "file"}
    material = task(body).question.material
    assert material.file.text(material.span) == FILE["content"]


@pytest.mark.parametrize(
    ("body", "status", "param", "says"),
    [
        ({}, 422, "file", "file: field required"),
        ({"file": {"path": "a.py"}}, 422, "file.content", "file.content: field required"),
        ({"file": {**FILE, "lang": "x"}}, 422, "file.lang", "did you mean 'language'?"),
        ({"file": FILE, "selectoin": {}}, 422, "selectoin", "did you mean 'selection'?"),
        (
            {"file": FILE, "options": {"max_tokens": 5}},
            422,
            "options.max_tokens",
            "did you mean 'max_output_tokens'?",
        ),
        (
            {"file": FILE, "related": [{"path": "b", "content": "", "raeson": "x"}]},
            422,
            "related.0.raeson",
            "did you mean 'reason'?",
        ),
        (
            {"file": FILE, "selection": range_of((-1, 0), (0, 0))},
            422,
            "selection.start.line",
            "greater than or equal to 0",
        ),
        (
            {"file": FILE, "selection": range_of((9, 0), (9, 0))},
            422,
            "selection.start",
            "which has 4 lines",
        ),
        ({"file": {**FILE, "path": "../x"}}, 422, "file.path", "relative to the project's root"),
        ({"file": {**FILE, "encoding": "klingon"}}, 422, "file.encoding", "not supported"),
        ({"file": {**FILE, "content": "a\0b"}}, 422, "file.content", "NUL byte"),
        ({"file": {**FILE, "sha256": "0" * 64}}, 409, "file.sha256", "one version of the file"),
        ({"file": {**FILE, "sha256": "abc"}}, 422, "file.sha256", "pattern"),
        ({"file": FILE, "instruction": "x" * 4001}, 422, "instruction", "at most 4000"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_send(
    body: dict[str, Any], status: int, param: str, says: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        task(body)
    assert caught.value.status == status
    assert caught.value.param == param
    assert says in caught.value.public


def test_a_rewrite_needs_an_instruction() -> None:
    with pytest.raises(InvalidRequest, match="say what to change"):
        task({"file": FILE, "instruction": " "}, "rewrite")


def test_a_hash_of_the_very_content_is_accepted_in_any_case() -> None:
    first = task({"file": FILE}).question.material.file.sha256
    assert task({"file": {**FILE, "sha256": first.upper()}})


def test_a_stale_file_is_told_with_both_hashes() -> None:
    with pytest.raises(InvalidRequest) as caught:
        task({"file": {**FILE, "sha256": "A" * 64}})
    error = caught.value.body("req-1")["error"]
    assert error["sent_sha256"] == "a" * 64
    assert error["content_sha256"] == task({"file": FILE}).question.material.file.sha256


def test_a_request_that_uses_only_what_works_has_no_remarks() -> None:
    body = {"file": FILE, "instruction": "why?", "conversation": [], "client": {"ide": "x/1"}}
    assert task(body).remarks == ()


def test_everything_that_is_sent_arrives_in_the_task() -> None:
    body = {
        "file": FILE,
        "instruction": "why?",
        "related": [{"path": "b.py", "content": "B", "reason": "import"}],
        "rules": [{"path": "AGENTS.md", "content": "be brief"}],
        "diagnostics": [{"range": range_of((1, 0), (1, 1)), "message": "unused"}],
        "conversation": [{"role": "user", "content": "hi"}],
        "prompt": {"name": "team/special", "version": "2.0.0"},
        "model": "coder",
        "answer_language": "ko",
        "position_encoding": "utf-8",
        "options": {
            "diff_context": 0,
            "max_output_tokens": 9,
            "format": ["diff"],
            "repair": 1,
            "syntax_check": False,
        },
    }
    found = task(body)
    assert (found.formats, found.repairs, found.syntax_check) == ({"diff"}, True, False)
    material = found.question.material
    assert (material.related[0].path, material.related[0].reason) == ("b.py", "import")
    assert material.rules[0].content == "be brief"
    assert (material.diagnostics[0].line, material.diagnostics[0].message) == (1, "unused")
    assert material.conversation[0].role == "user"
    assert (found.question.prompt, found.prompt_version) == ("team/special", "2.0.0")
    assert (found.model, found.question.answer_language) == ("coder", "ko")
    assert (found.units, found.diff_context, found.max_tokens) == ("utf-8", 0, 9)
