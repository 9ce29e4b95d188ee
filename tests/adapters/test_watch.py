"""Watching files by looking at them: every change is seen, what does not count is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.adapters import watch
from gateway.adapters.watch import digest, look


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "inner" / "b.py").write_text("2")
    return tmp_path


def names(places: watch.Places) -> set[str]:
    return {os.path.basename(file) for file in look(places)}


def test_files_of_a_pattern_are_seen_at_any_depth(folder: Path) -> None:
    (folder / "c.txt").write_text("3")
    assert names({folder: "*.py"}) == {"a.py", "b.py"}


def test_a_file_is_a_place_of_its_own_and_may_be_missing(folder: Path) -> None:
    assert names({folder / "a.py": "", folder / "missing": ""}) == {"a.py"}


def test_hidden_files_and_folders_do_not_count(folder: Path) -> None:
    for hidden in (".git", "__pycache__"):
        (folder / hidden).mkdir()
        (folder / hidden / "x.py").write_text("")
    (folder / ".a.py").write_text("")
    assert names({folder: "*.py"}) == {"a.py", "b.py"}


def test_a_change_of_the_same_length_at_the_same_moment_is_seen_when_the_file_is_replaced(
    folder: Path,
) -> None:
    file = folder / "a.py"
    before, when = look({folder: "*.py"}), file.stat()
    fresh = folder / "new"
    fresh.write_text("9")
    os.utime(fresh, ns=(when.st_atime_ns, when.st_mtime_ns))
    fresh.replace(file)
    assert look({folder: "*.py"}) != before


def test_the_digest_changes_with_a_content_a_name_and_a_deletion_and_comes_back(
    folder: Path,
) -> None:
    places = {folder: "*.py", folder / "c.yaml": ""}
    first = digest(places)
    seen = {first}
    (folder / "a.py").write_text("other")
    seen.add(digest(places))
    (folder / "a.py").rename(folder / "z.py")
    seen.add(digest(places))
    (folder / "z.py").unlink()
    seen.add(digest(places))
    (folder / "c.yaml").write_text("x: 1")
    seen.add(digest(places))
    assert len(seen) == 5
    (folder / "c.yaml").unlink()
    (folder / "a.py").write_text("1")
    assert digest(places) == first
    assert len(first) == 12


def test_a_mounted_configmap_is_seen_to_switch(tmp_path: Path) -> None:
    """Kubernetes puts files behind two links, and changes the inner one."""
    for version in ("one", "two"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "gateway.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "gateway.yaml").symlink_to("..data/gateway.yaml")
    places = {tmp_path / "gateway.yaml": ""}
    before, was = look(places), digest(places)
    (tmp_path / "..fresh").symlink_to("..two")
    (tmp_path / "..fresh").replace(tmp_path / "..data")
    assert look(places) != before
    assert digest(places) != was


def test_a_folder_that_is_its_own_child_is_walked_to_a_bound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_MOST_ENTRIES", 50)
    (folder / "loop").symlink_to(folder)
    assert len(look({folder: "*.py"})) < 100
