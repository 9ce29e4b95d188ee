"""How problems are shown."""

from __future__ import annotations

import pytest

from gateway.cli.options import show
from gateway.domain.document import Problem


def test_problems_go_to_stderr_and_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show([Problem("a.yaml", 3, "is wrong", "do right"), Problem("B", 0, "too")], "not serving")

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "a.yaml:3: is wrong\n    fix: do right\nB: too\ngateway: 2 problems; not serving\n"
    )


def test_one_problem_is_one_problem(capsys: pytest.CaptureFixture[str]) -> None:
    show([Problem("a.yaml", 3, "is wrong")], "not serving")

    assert capsys.readouterr().err.endswith("gateway: 1 problem; not serving\n")
