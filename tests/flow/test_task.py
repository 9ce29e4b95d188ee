"""A Task that names nothing but its question asks for what the gateway does by default."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from gateway.domain import source
from gateway.domain.material import Material
from gateway.flow.task import Question, Task

FILE = source.read("a.py", "x = 1\n")
TASK = Task(Question(Material(FILE, FILE.whole, ""), "code/explain"))


def test_what_is_not_said_is_left_to_the_gateway() -> None:
    assert (TASK.model, TASK.prompt_version, TASK.max_tokens) == (None, None, None)
    assert TASK.question.answer_language == ""
    assert TASK.remarks == ()


def test_positions_are_counted_as_language_servers_do() -> None:
    assert TASK.units == "utf-16"


def test_a_diff_has_gits_three_lines_around_a_change() -> None:
    assert TASK.diff_context == 3


def test_a_task_does_not_change_on_its_way() -> None:
    with pytest.raises(FrozenInstanceError):
        TASK.model = "other"  # type: ignore[misc]


def test_no_log_shows_the_file_by_accident() -> None:
    assert "x = 1" not in repr(TASK)
