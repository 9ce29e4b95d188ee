"""What git knows of prompts: real repositories, made for the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gateway.adapters.prompt_git import NoGit, author, export, user


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "user.email", "ann@x.test")
    git(tmp_path, "config", "user.name", "Ann")
    (tmp_path / "deep" / "prompts").mkdir(parents=True)
    (tmp_path / "deep" / "prompts" / "a.j2").write_text("one")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "x")
    git(tmp_path, "config", "user.email", "bob@x.test")
    return tmp_path / "deep" / "prompts"


def test_the_author_is_who_made_the_newest_commit_of_it(repository: Path) -> None:
    assert author(repository, [repository / "a.j2"]) == "ann@x.test"
    assert user(repository) == "bob@x.test"


def test_what_is_not_committed_is_by_who_works_here(repository: Path) -> None:
    (repository / "a.j2").write_text("two")

    assert author(repository, [repository / "a.j2"]) == "bob@x.test"


def test_a_folder_is_exported_as_it_was(repository: Path, tmp_path: Path) -> None:
    (repository / "a.j2").write_text("two")
    (tmp_path / "out").mkdir()

    there = export(repository, "HEAD", tmp_path / "out")

    assert (there / "a.j2").read_text() == "one"


@pytest.mark.parametrize("revision", ["no-such", "--output=/x"])
def test_what_is_no_revision_is_told(repository: Path, tmp_path: Path, revision: str) -> None:
    with pytest.raises(NoGit):
        export(repository, revision, tmp_path)


def test_outside_of_a_repository_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(NoGit):
        author(tmp_path, [tmp_path / "a"])
