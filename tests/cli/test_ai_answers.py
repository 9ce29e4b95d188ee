"""Answers as they are shown where the gateway's own tests cannot make them: reviews at the edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from gateway.cli.ai_answers import end_of_text, show_review, show_tests
from gateway.cli.ai_session import Session
from gateway.cli.ai_target import Target
from gateway.cli.ai_writing import NotWritten
from gateway.client import ChatMessage, File, Finding, Review, WrittenTests

OPTIONS: dict[str, Any] = {"as_json": False, "no_color": False}


def made(folder: Path, *, as_json: bool = False) -> tuple[Session, Target]:
    session = Session(cast("Any", None), {**OPTIONS, "as_json": as_json})
    return session, Target(Path("a.py"), folder, File("a.py", "x\n"))


def test_a_finding_without_a_place_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("hint", "rename it", suggestion="a\nb")
    answer = Review(id="1", status="reviewed", summary="Fine.", findings=(finding,))
    show_review(*made(tmp_path), answer)
    assert capsys.readouterr().out == "Fine.\na.py: hint: rename it\n    a\n    b\n"
    show_review(*made(tmp_path), Review(id="1", status="reviewed"))
    assert capsys.readouterr().err == "gateway: nothing found\n"


def test_a_review_that_was_cut_shows_what_it_has_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Review(id="1", status="truncated", findings=(Finding("error", "e"),), text="{")
    with pytest.raises(SystemExit) as caught:
        show_review(*made(tmp_path), answer)
    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (1, "a.py: error: e\n")
    assert "--max-tokens" in said.err


def test_new_tests_never_leave_the_project(tmp_path: Path) -> None:
    answer = WrittenTests(id="1", status="created", path="../evil.py", text="x\n")
    with pytest.raises(NotWritten):
        show_tests(*made(tmp_path), answer, applies=True, output=None)
    assert not (tmp_path.parent / "evil.py").exists()


def test_tests_that_are_not_certain_are_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = WrittenTests(id="1", status="unresolved", path="t.py", text="hm")
    with pytest.raises(SystemExit) as caught:
        show_tests(*made(tmp_path), answer, applies=True, output=None)
    assert caught.value.code == 1
    assert not (tmp_path / "t.py").exists()
    assert "hm" in capsys.readouterr().err


def test_a_whole_text_ends_well() -> None:
    end_of_text(ChatMessage(id="1", message="x", finish_reason="stop"))
    with pytest.raises(SystemExit):
        end_of_text(ChatMessage(id="1", message="x", finish_reason="length"))
