"""Which change a commit message is about: a file, a pipe, or what git has staged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click
import pytest

from gateway.cli.ai_staged import change_to_describe


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with nothing staged; standard input is /dev/null, as under an editor."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield tmp_path


def test_a_named_file_is_read(checkout: Path) -> None:
    (checkout / "x.diff").write_text("+a\n")
    assert change_to_describe("x.diff") == "+a\n"
    (checkout / "empty.diff").write_text("\n")
    with pytest.raises(click.UsageError, match="the diff is empty"):
        change_to_describe("empty.diff")


def test_a_pipe_is_read(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "x.diff").write_text("+piped\n")
    with (checkout / "x.diff").open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        assert change_to_describe("") == "+piped\n"


def test_else_it_is_what_is_staged(checkout: Path) -> None:
    with pytest.raises(click.UsageError, match="git add first"):
        change_to_describe("")
    (checkout / "a.txt").write_text("new\n")
    subprocess.run(["git", "add", "a.txt"], check=True)
    assert "+new" in change_to_describe("")


def test_an_empty_pipe_is_as_none(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "a.txt").write_text("new\n")
    subprocess.run(["git", "add", "a.txt"], check=True)
    (checkout / "none").write_text("")
    with (checkout / "none").open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        assert "+new" in change_to_describe("")


def test_outside_of_git_what_git_says_is_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(checkout / "nowhere"))
    with pytest.raises(click.UsageError, match="git diff --cached: "):
        change_to_describe("")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(click.UsageError, match="pipe a diff in"):
        change_to_describe("")


def test_the_settings_of_a_user_do_not_change_the_form_of_a_diff(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("diff.noprefix", "true"), ("diff.relative", "true")):
        subprocess.run(["git", "config", name, value], check=True)
    (checkout / "sub").mkdir()
    (checkout / "a.txt").write_text("new\n")
    subprocess.run(["git", "add", "a.txt"], check=True)
    monkeypatch.chdir(checkout / "sub")
    assert "diff --git a/a.txt b/a.txt\n" in change_to_describe("")
