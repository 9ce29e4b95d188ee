"""Answers: what is certain may be applied, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import pytest

from gateway.client import (
    Answer,
    ChatMessage,
    CommitMessage,
    Explanation,
    NothingToApply,
    PromptUsed,
    Review,
    Rewriting,
    StaleFile,
    WrittenTests,
)
from gateway.domain.actions import Form
from gateway.domain.result_fields import EVERY, OWN, PARTS

OLD = b"a\nb\n"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def rewriting(status: str, after: bytes = OLD) -> Rewriting:
    return Rewriting(id="1", status=status, base_sha256=sha(OLD), result_sha256=sha(after))


def test_no_change_gives_the_same_bytes() -> None:
    assert rewriting("no_change").apply(OLD) == OLD


@pytest.mark.parametrize(
    ("status", "fix"), [("truncated", "select less"), ("unresolved", "repair=1"), ("new", "repair")]
)
def test_what_is_not_certain_is_not_applied(status: str, fix: str) -> None:
    with pytest.raises(NothingToApply, match=f"the answer is {status}: .*{fix}"):
        rewriting(status).apply(OLD)


def test_another_content_than_was_sent_is_stale() -> None:
    with pytest.raises(StaleFile) as caught:
        rewriting("no_change").apply(b"a\nc\n")
    assert (caught.value.expected, caught.value.actual) == (sha(OLD), sha(b"a\nc\n"))


def test_a_result_that_does_not_come_out_is_not_given() -> None:
    with pytest.raises(NothingToApply, match="promises"):
        rewriting("no_change", b"other").apply(OLD)


def test_new_tests_are_given_only_whole() -> None:
    good = WrittenTests(id="1", status="created", text="x = 1\n", sha256=sha(b"x = 1\n"))
    assert good.content() == b"x = 1\n"
    with pytest.raises(NothingToApply, match="sha256"):
        WrittenTests(id="1", status="created", text="y", sha256=sha(b"x")).content()
    with pytest.raises(NothingToApply, match="unresolved"):
        WrittenTests(id="1", status="unresolved", text="y").content()


def test_an_answer_at_its_limit_says_so() -> None:
    assert Explanation(id="1", explanation="x", finish_reason="length").truncated
    assert not Explanation(id="1", explanation="x", finish_reason="stop").truncated


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("explanation", Explanation),
        ("rewriting", Rewriting),
        ("review", Review),
        ("file", WrittenTests),
        ("commit_message", CommitMessage),
        ("message", ChatMessage),
    ],
)
def test_each_field_that_a_gateway_says_has_its_place(form: Form, kind: type[Answer]) -> None:
    assert {*EVERY, *OWN[form]} <= {field.name for field in fields(kind)}
    assert {*PARTS["prompt"]} <= {field.name for field in fields(PromptUsed)}
