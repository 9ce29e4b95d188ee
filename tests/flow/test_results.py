"""What the client of /api/ai/* reads: statuses, diffs that git applies, edits, warnings."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.client import Completion
from gateway.domain import source
from gateway.domain.answer import Remark
from gateway.domain.budget import Budget
from gateway.domain.call import PromptRef, Usage
from gateway.domain.candidates import candidates
from gateway.domain.context import fit
from gateway.domain.item import strings
from gateway.domain.material import Material
from gateway.domain.prompt import Rendered
from gateway.domain.source import Position, PositionEncoding, Selection, SourceFile
from gateway.flow.context import Context
from gateway.flow.provenance import context_report
from gateway.flow.results import commit, explanation, message, rewriting
from gateway.flow.revision import revise
from gateway.flow.task import Question, Task
from gateway.testing.fakes import a_call

OLD = "import os\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n\n\nprint(mean([1]))\n"
NEW = "def mean(xs):\n    return sum(xs) / len(xs) if xs else 0\n"
REF = PromptRef("code/rewrite", "1.0.0", "abc123abc123")


def a_task(
    file: SourceFile | None = None,
    lines: tuple[int, int] = (3, 5),
    *,
    units: PositionEncoding = "utf-16",
    remarks: tuple[Remark, ...] = (),
    diff_context: int = 3,
) -> Task:
    """Lines `lines` of a file are selected."""
    file = file or source.read("src/mean.py", OLD)
    first, end = lines
    span = file.span(Selection(Position(first, 0), Position(end, 0)))
    question = Question(Material(file, span, "handle an empty list"), REF.name)
    return Task(question, units=units, remarks=remarks, diff_context=diff_context)


def a_context(task: Task, *, exact: bool = True, prefill: str | None = None) -> Context:
    budget = Budget(1000, 100)
    items = candidates(task.question.material, budget)
    counts = {key: len(text) // 4 for key, text in strings(items).items()}
    rendered = Rendered(REF, (), {}, tag="rewritten", stop=("</rewritten>",), prefill=prefill)
    return Context(task.question, rendered, fit(items, counts, budget, 40), exact)


def said(
    text: str, finish: str = "stop", stop: str | None = None, usage: Usage | None = None
) -> Completion:
    return Completion(text, finish, "served-m", "r0", 2, usage, stop)


def rewrite(
    text: str,
    task: Task | None = None,
    *,
    finish: str = "stop",
    stop: str | None = "</rewritten>",
    exact: bool = True,
) -> dict[str, Any]:
    """The result of a model that continues our prefill with `text`, as vLLM does."""
    task = task or a_task()
    context = a_context(task, exact=exact, prefill="<rewritten>\n")
    answer = said(text, finish, stop)
    return rewriting(a_call(), task, context, answer, revise(task, context, answer, text))


def git_applies(result: dict[str, Any], file: SourceFile, folder: Path) -> bytes:
    """The file after `git apply` of the diff in the result."""
    on_disk = folder / file.path
    on_disk.parent.mkdir(parents=True, exist_ok=True)
    on_disk.write_bytes(file.content)
    # A patch is bytes: git must not translate line ends, whatever the developer's settings say.
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": os.devnull}
    subprocess.run(
        ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"],
        cwd=folder,
        input=result["diff"].encode(file.encoding),
        env={**os.environ, **quiet},
        check=True,
        capture_output=True,
    )
    return on_disk.read_bytes()


def edited(result: dict[str, Any], file: SourceFile, units: PositionEncoding = "utf-16") -> bytes:
    """The file after the client has made the edits in the result."""
    content = file.content
    for edit in reversed(result["edits"]):
        ends = [edit["range"][end] for end in ("start", "end")]
        start, end = (file.offset(Position(at["line"], at["character"]), units) for at in ends)
        content = content[:start] + edit["new_text"].encode(file.encoding) + content[end:]
    return content


# ---- A rewrite -----------------------------------------------------------------------------------


def test_a_change_is_a_diff_edits_and_hashes_that_agree(tmp_path: Path) -> None:
    task = a_task()
    file = task.question.material.file
    result = rewrite(NEW, task)
    assert result["status"] == "changed"
    assert result["text"] == NEW
    after = git_applies(result, file, tmp_path)
    assert after.decode() == OLD.replace("len(xs)\n", "len(xs) if xs else 0\n")
    assert edited(result, file) == after
    assert result["base_sha256"] == hashlib.sha256(file.content).hexdigest()
    assert result["result_sha256"] == hashlib.sha256(after).hexdigest()
    (hunk,) = result["hunks"]
    assert (hunk["added"], hunk["removed"]) == (1, 1)
    assert result["range"] == {
        "start": {"line": 3, "character": 0},
        "end": {"line": 5, "character": 0},
    }


HARD = {
    "crlf": (source.read("a.py", OLD.replace("\n", "\r\n")), (3, 5), NEW),
    "no final newline": (source.read("a.py", OLD.rstrip("\n")), (7, 7), "print(mean([]))\n"),
    "a korean path with a space": (source.read("소스 코드/평균.py", OLD), (3, 5), NEW),
    "a path with quotes": (source.read('a"b\\c.py', OLD), (3, 5), NEW),
    "a bom": (source.read("a.py", "\ufeff" + OLD), (0, 1), "import sys\n"),
    "cp949": (
        source.read("a.py", "# 한글 주석\nx = 1\n# 끝\n", encoding="cp949"),
        (1, 2),
        "x = 2  # 둘\n",
    ),
    "mixed line ends": (source.read("a.py", "a = 1\r\nb = 2\nc = 3\r\n"), (1, 2), "b = 4\nd = 5\n"),
    "lone carriage returns": (source.read("a.py", "a = 1\rb\nc = 2\n"), (2, 3), "c = 3\n"),
    "the whole file": (source.read("a.py", "x = 1\n"), (0, 1), "x = 2\ny = 3\n"),
    "the end of the file": (source.read("a.py", OLD), (7, 8), "print(mean([1, 2]))\n"),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("diff_context", [1, 3, 10])
def test_git_applies_the_diff_and_an_editor_the_edits_to_the_same_bytes(
    name: str, diff_context: int, tmp_path: Path
) -> None:
    file, lines, text = HARD[name]
    task = a_task(file, lines, diff_context=diff_context)
    result = rewrite(text, task)
    assert result["status"] == "changed", result["warnings"]
    after = git_applies(result, file, tmp_path)
    assert after != file.content
    assert edited(result, file) == after
    assert result["result_sha256"] == hashlib.sha256(after).hexdigest()
    assert result["newline"] == file.newline


def test_the_lines_of_a_crlf_file_keep_their_ends() -> None:
    file, lines, text = HARD["crlf"]
    result = rewrite(text, a_task(file, lines))
    assert result["newline"] == "crlf"
    assert result["text"] == text.replace("\n", "\r\n")
    assert "\r\n" in result["diff"]


@pytest.mark.parametrize("units", ["utf-8", "utf-16", "utf-32"])
def test_ranges_are_counted_in_the_units_of_the_client(units: PositionEncoding) -> None:
    file = source.read("a.py", "x = 1\ns = '한😀'")
    result = rewrite("s = '한😀!'\n", a_task(file, (1, 1), units=units))
    assert result["status"] == "changed"
    end = {"line": 1, "character": {"utf-8": 13, "utf-16": 9, "utf-32": 8}[units]}
    assert result["range"]["end"] == result["edits"][0]["range"]["end"] == end
    assert edited(result, file, units).decode() == "x = 1\ns = '한😀!'"


def test_an_answer_that_repeats_the_lines_changes_nothing() -> None:
    selected = "def mean(xs):\n    return sum(xs) / len(xs)\n"
    result = rewrite(selected)
    assert result["status"] == "no_change"
    assert (result["diff"], result["hunks"], result["edits"]) == ("", [], [])
    assert result["base_sha256"] == result["result_sha256"]
    assert result["text"] == selected


def test_an_answer_that_ran_out_of_tokens_is_not_applied() -> None:
    result = rewrite("def mean(xs):\n    ret", finish="length", stop=None)
    assert result["status"] == "truncated"
    assert (result["diff"], result["edits"]) == ("", [])
    assert result["base_sha256"] == result["result_sha256"]
    assert result["text"] == "def mean(xs):\n    ret", "what was paid for is shown"
    assert "truncated" in codes(result)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("def mean(xs):\n    # ... existing code ...\n", "placeholder"),
        ("", "no_text"),
        ("Sorry, I cannot help with that.", "no_text"),
    ],
)
def test_an_answer_that_is_no_text_is_unresolved_and_says_why(text: str, code: str) -> None:
    result = rewrite(text, stop=None)
    assert result["status"] == "unresolved"
    assert (result["diff"], result["edits"], result["text"]) == ("", [], text)
    assert code in codes(result)


def test_an_answer_that_the_files_encoding_cannot_hold_is_unresolved() -> None:
    file = source.read("a.py", "# 한글\nx = 1\n", encoding="cp949")
    result = rewrite("x = '😀'\n", a_task(file, (1, 2)))
    assert result["status"] == "unresolved"
    assert codes(result) == ["bad_encoding"]


def test_prose_around_the_text_becomes_notes_and_what_was_mended_is_named() -> None:
    text = f"<rewritten>\n{NEW}</rewritten>\nI added a guard.\n"
    result = rewrite(text, stop=None)
    assert result["status"] == "changed"
    assert result["notes"] == "I added a guard."
    assert "prefill_echo" in result["adjusted"]


def test_the_tags_of_this_very_rendering_are_read() -> None:
    task = a_task()
    rendered = Rendered(REF, (), {}, tag="rewritten-2", suffix="-2", stop=("</rewritten-2>",))
    context = Context(task.question, rendered, a_context(task).fitted, exact=True)
    text = f"<rewritten-2>\n{NEW}</rewritten-2>"
    revision = revise(task, context, said(text), text)
    result = rewriting(a_call(), task, context, said(text), revision)
    assert result["text"] == NEW


# ---- An explanation ------------------------------------------------------------------------------


def explain(finish: str = "stop", *, exact: bool = True, task: Task | None = None) -> Any:
    task = task or a_task()
    usage = Usage(50, 7, 20)
    answer = said("ignored", finish, usage=usage)
    return explanation(a_call(), task, a_context(task, exact=exact), answer, "\n It **adds**.\n")


def codes(result: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in result["warnings"]]


def test_an_explanation_is_the_text_its_lines_and_where_it_comes_from() -> None:
    result = explain()
    assert result["explanation"] == "It **adds**."
    assert result["range"]["start"] == {"line": 3, "character": 0}
    assert result["id"] == "req-1"
    assert (result["model"], result["served_model"], result["replica"]) == ("m", "served-m", "r0")
    assert (result["finish_reason"], result["attempts"]) == ("stop", 2)
    assert result["usage"] == {"prompt_tokens": 50, "completion_tokens": 7, "cached_tokens": 20}
    assert result["prompt"] == {"name": "code/rewrite", "version": "1.0.0", "sha": "abc123abc123"}
    assert result["warnings"] == []


def test_an_explanation_that_ran_out_of_tokens_says_that_it_ends_early() -> None:
    result = explain("length")
    assert codes(result) == ["truncated"]
    assert result["explanation"], "it is still worth reading"


def test_usage_that_nobody_counted_is_null_and_not_zero() -> None:
    assert rewrite(NEW)["usage"] is None


def test_a_context_fitted_by_an_estimate_is_warned_of() -> None:
    assert codes(explain(exact=False)) == ["estimated_tokens"]
    assert "estimated_tokens" in codes(rewrite(NEW, exact=False))


def test_remarks_about_the_request_come_first() -> None:
    task = a_task(remarks=(Remark("ignored_field", "scope has no effect yet."),))
    assert codes(explain("length", exact=False, task=task)) == [
        "ignored_field",
        "estimated_tokens",
        "truncated",
    ]
    assert codes(rewrite(NEW, task)) == ["ignored_field"]


def test_the_result_is_plain_json() -> None:
    for result in (explain(), rewrite(NEW), rewrite("", stop=None)):
        assert orjson.loads(orjson.dumps(result)) == result


# ---- The report of the context -------------------------------------------------------------------


def test_the_report_tells_each_part_its_lines_and_why_it_was_cut() -> None:
    task = a_task()
    report = context_report(a_context(task))
    assert (report["window"], report["reserved_output"], report["exact"]) == (1000, 100, True)
    assert report["used"] == sum(item["tokens"] for item in report["items"])
    by_id = {item["id"]: item for item in report["items"]}
    assert "range" not in by_id["template"]
    assert "path" not in by_id["template"]
    assert by_id["selection"]["path"] == "src/mean.py"
    assert by_id["selection"]["range"] == {
        "start": {"line": 3, "character": 0},
        "end": {"line": 5, "character": 0},
    }
    assert {item["state"] for item in report["items"]} <= {"included", "trimmed", "dropped"}


# ---- Formats -------------------------------------------------------------------------------------


def test_only_the_formats_that_were_asked_for_come() -> None:
    for name, formats in (("diff", {"diff"}), ("edits", {"edits"}), ("text", {"text"})):
        result = rewrite(NEW, replace(a_task(), formats=frozenset(formats)))  # type: ignore[arg-type]
        assert {"diff", "edits", "text"} & result.keys() == {name}
        assert result["hunks"]


def test_the_words_of_an_answer_that_was_not_applied_always_come() -> None:
    task = replace(a_task(), formats=frozenset(("diff",)))
    assert rewrite("", task, stop=None)["text"] == ""
    assert rewrite("def", task, finish="length")["text"] == "def"


def test_an_edit_touches_only_what_changed() -> None:
    (edit,) = rewrite(NEW)["edits"]
    assert edit["range"]["start"] == {"line": 4, "character": 0}
    assert edit["new_text"] == NEW.split("\n")[1] + "\n"


# ---- Texts ---------------------------------------------------------------------------------------


def test_a_commit_message_that_is_none_or_too_long_is_warned_of() -> None:
    task = a_task()
    made = [
        commit(a_call(), task, a_context(task), said(text), text)
        for text in ("Add a guard\n\nWhy.", f"Add {'x' * 80}", "@@ -1 +1 @@")
    ]
    assert [codes(result) for result in made] == [[], ["long_subject"], ["no_message"]]
    assert (made[0]["subject"], made[0]["body"]) == ("Add a guard", "Why.")


def test_a_chats_answer_is_its_text() -> None:
    task = a_task()
    result = message(a_call(), task, a_context(task), said("", "length"), "\nA lock.\n")
    assert (result["message"], codes(result)) == ("A lock.", ["truncated"])
    assert "range" not in result


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_answer_that_says_nothing_is_warned_of(text: str) -> None:
    task = a_task()
    result = message(a_call(), task, a_context(task), said(text), text)
    assert (result["message"], codes(result)) == ("", ["empty_answer"])
