"""FILE[:A-B], the project around it, its rules, and the diagnostics that are about it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest

from gateway.cli.ai_target import diagnostics_of, project_of, rules_of, target_of
from gateway.client import Diagnostic, UnusableFile


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with src/a.py, seen from its root."""
    top = tmp_path / "top"
    (top / ".git").mkdir(parents=True)
    (top / "src").mkdir()
    (top / "src" / "a.py").write_text("a\nb\nc\n")
    monkeypatch.chdir(top)
    return top


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("src/a.py", None),
        ("src/a.py:2", (2, 2)),
        ("src/a.py:1-3", (1, 3)),
        ("./src/a.py:3", (3, 3)),
    ],
)
def test_a_target_is_named_as_seen_from_the_top(
    project: Path, text: str, lines: tuple[int, int] | None
) -> None:
    found = target_of(text, "utf-8")
    assert (found.file.path, found.lines, found.root) == ("src/a.py", lines, project)


def test_the_name_is_the_same_from_every_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "src")
    assert target_of("a.py", "utf-8").file.path == "src/a.py"


def test_a_file_whose_name_ends_like_lines_is_that_file(project: Path) -> None:
    (project / "b:1-2").write_text("x\n")
    assert target_of("b:1-2", "utf-8").lines is None


@pytest.mark.parametrize("text", ["src/a.py:4", "src/a.py:0-1", "src/a.py:3-2"])
def test_lines_that_are_not_there_are_refused(project: Path, text: str) -> None:
    with pytest.raises(UnusableFile, match="has 3 lines"):
        target_of(text, "utf-8")


def test_without_git_the_project_is_this_folder_or_the_file_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "sub").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert project_of(Path("sub/a.py")) == tmp_path / "here"
    assert project_of(Path("../else/a.py")) == tmp_path / "else"


def test_rules_are_those_from_the_top_down_to_the_file(project: Path) -> None:
    (project / "AGENTS.md").write_text("top")
    (project / "src" / "AGENTS.md").write_text("src")
    (project / "other").mkdir()
    (project / "other" / "AGENTS.md").write_text("other")
    (project.parent / "AGENTS.md").write_text("outside")
    rules, left_out = rules_of(project, Path("src/a.py"))
    assert [(one.path, one.content) for one in rules] == [
        ("AGENTS.md", "top"),
        ("src/AGENTS.md", "src"),
    ]
    assert left_out == []


def test_rules_that_lead_out_of_the_project_or_are_no_text_are_left_out_and_named(
    project: Path,
) -> None:
    (project.parent / "secret").write_text("key")
    (project / "AGENTS.md").symlink_to(project.parent / "secret")
    (project / "src" / "AGENTS.md").write_bytes(b"\xff")
    rules, left_out = rules_of(project, Path("src/a.py"))
    assert rules == []
    assert "outside the project" in left_out[0]
    assert "no utf-8 text" in left_out[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("src/a.py:2:5: error: no", Diagnostic.at(2, "no", column=5)),
        ("a.py:2: note: hm", Diagnostic.at(2, "hm", severity="information")),
        ("./src/a.py:3:1: F401 unused", Diagnostic.at(3, "F401 unused")),
        ("src/a.py:99: warning: end", Diagnostic.at(3, "end", severity="warning")),
        (f"{os.sep}x{os.sep}a.py:1: error: elsewhere", None),
        ("other/a.py:1: error: another", None),
        ("Found 1 error.", None),
    ],
)
def test_what_compilers_print_is_read(
    project: Path, line: str, expected: Diagnostic | None
) -> None:
    target = target_of("src/a.py", "utf-8")
    if expected is None:
        with pytest.raises(click.UsageError, match=r"src/a\.py:3:5"):
            diagnostics_of(line, target)
    else:
        assert diagnostics_of(f"junk\n{line}\n", target) == [expected]


def test_an_absolute_path_is_the_same_file(project: Path) -> None:
    said = f"{project / 'src' / 'a.py'}:1:1: error: x"
    assert diagnostics_of(said, target_of("src/a.py", "utf-8")) == [Diagnostic.at(1, "x")]


def test_only_the_chosen_lines_count(project: Path) -> None:
    said = "src/a.py:1: error: one\nsrc/a.py:3: error: three\n"
    assert diagnostics_of(said, target_of("src/a.py:2-3", "utf-8")) == [Diagnostic.at(3, "three")]


def test_json_of_a_language_server_is_taken(project: Path) -> None:
    target = target_of("src/a.py", "utf-8")
    place = Diagnostic.at(2, "x").as_json()["range"]
    rows = [
        {"range": place, "message": "m", "severity": 2, "code": "C1", "source": "tool"},
        {"range": place, "message": "n"},
    ]
    first, second = diagnostics_of(json.dumps(rows), target)
    assert (first.severity, first.code, second.severity) == ("warning", "C1", "error")
    for bad in ("[1]", "[{", '[{"message": "x"}]'):
        with pytest.raises(click.UsageError, match="no JSON list"):
            diagnostics_of(bad, target)


def test_a_file_behind_a_linked_folder_has_its_name_in_its_own_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other" / ".git").mkdir(parents=True)
    (tmp_path / "other" / "real").mkdir()
    (tmp_path / "other" / "real" / "a.py").write_text("x = 1\n")
    (tmp_path / "link").symlink_to(tmp_path / "other" / "real")
    monkeypatch.chdir(tmp_path)
    found = target_of("link/a.py", "utf-8")
    assert (found.root, found.file.path) == (tmp_path / "other", "real/a.py")
