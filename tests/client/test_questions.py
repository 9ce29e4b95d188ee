"""The bodies of questions: what is given is in them, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client import Diagnostic, File, Position, Range, Rule, Turn, UnusableFile, questions

FILE = File("a.py", "a\nb\n", language="python")
WHERE = Range(Position(0, 0), Position(1, 0))


def test_a_question_holds_its_file_with_its_hash_and_nothing_it_was_not_given() -> None:
    body = questions.explain(FILE).body
    assert set(body) == {"file", "position_encoding"}
    assert body["file"]["sha256"] == FILE.sha256
    assert body["file"]["language"] == "python"
    assert body["position_encoding"] == "utf-32"
    assert questions.chat("hi").body == {"instruction": "hi"}
    assert questions.commit_message("diff").body == {"diff": "diff"}


def test_each_thing_that_is_given_has_its_place() -> None:
    question = questions.explain(
        FILE,
        "why?",
        lines=(1, 1),
        scope="auto",
        related=[File("b.py", "x")],
        rules=[Rule("AGENTS.md", "r")],
        diagnostics=[Diagnostic(WHERE, "m")],
        conversation=[Turn("user", "u")],
        model="m",
        prompt="code/explain",
        prompt_version="1.0.0",
        prompt_variant="v",
        answer_language="ko",
        max_output_tokens=7,
        repair=1,
        syntax_check=False,
        diff_context=0,
        formats=["diff"],
        session="s",
        timeout=3.0,
        idempotency_key="k",
        fields={"later": True},
    )
    body: dict[str, Any] = dict(question.body)
    assert body.pop("file")["path"] == "a.py"
    assert body == {
        "position_encoding": "utf-32",
        "instruction": "why?",
        "selection": WHERE.as_json(),
        "scope": "auto",
        "related": [{"path": "b.py", "content": "x", "reason": "attached"}],
        "rules": [{"path": "AGENTS.md", "content": "r"}],
        "diagnostics": [{"range": WHERE.as_json(), "severity": "error", "message": "m"}],
        "conversation": [{"role": "user", "content": "u"}],
        "model": "m",
        "prompt": {"name": "code/explain", "version": "1.0.0", "variant": "v"},
        "answer_language": "ko",
        "options": {
            "max_output_tokens": 7,
            "repair": 1,
            "syntax_check": False,
            "diff_context": 0,
            "format": ["diff"],
        },
        "client": {"session": "s"},
        "later": True,
    }
    assert (question.timeout, question.idempotency_key) == (3.0, "k")


def test_every_question_can_be_previewed() -> None:
    preview = questions.preview(questions.tests(FILE, target_path="t.py", max_output_tokens=3))
    assert preview.action == "context/preview"
    assert preview.body["action"] == "tests"
    assert preview.body["options"] == {"max_output_tokens": 3, "target_path": "t.py"}


def test_places_are_given_in_one_way() -> None:
    assert questions.explain(FILE, selection=WHERE).body["selection"] == WHERE.as_json()
    with pytest.raises(ValueError, match="not both"):
        questions.explain(FILE, lines=(1, 1), selection=WHERE)
    with pytest.raises(ValueError, match="position_encoding"):
        questions.explain(FILE, lines=(1, 1), position_encoding="utf-8")
    with pytest.raises(UnusableFile, match="2 lines"):
        questions.explain(FILE, lines=(1, 3))
    with pytest.raises(ValueError, match="go with a file"):
        questions.chat("hi", lines=(1, 1))


def test_an_argument_that_does_not_exist_is_not_without_effect_in_silence() -> None:
    wrong: dict[str, Any] = {"max_tokens": 3}
    with pytest.raises(TypeError, match=r"'max_tokens' is no argument.*max_output_tokens"):
        questions.explain(FILE, **wrong)


def test_further_fields_add_to_a_group_and_leave_the_rest_of_it() -> None:
    fields = {"options": {"brand_new": 1}, "newer": True}
    body = questions.chat("hi", max_output_tokens=3, fields=fields).body
    assert body["options"] == {"max_output_tokens": 3, "brand_new": 1}
    assert body["newer"] is True


def test_a_key_or_a_body_is_not_in_a_repr() -> None:
    assert "content" not in repr(questions.explain(File("a.py", "secret")))
    assert "secret" not in repr(File("a.py", "secret"))
