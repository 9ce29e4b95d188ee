"""`--apply`: the whole change or none, one file, its mode kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.cli.ai_writing import NotWritten, change, create, inside


def test_a_change_keeps_the_mode_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")
    file.chmod(0o640)
    change(file, lambda raw: raw + b" new")
    assert file.read_bytes() == b"old new"
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    change(tmp_path / "link", lambda _: b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_goes_wrong_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")

    def breaks(_: bytes) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change(file, breaks)

    def late(_: bytes) -> bytes:
        file.write_bytes(b"somebody else's")
        return b"new"

    with pytest.raises(NotWritten, match="a moment ago"):
        change(file, late)
    assert file.read_bytes() == b"somebody else's"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_may_not_be_written_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(NotWritten, match="may not be written"):
        change(file, lambda _: b"new")
    assert file.read_bytes() == b"old"


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")
    before = file.stat().st_ino
    change(file, lambda raw: raw)
    assert file.stat().st_ino == before


@pytest.mark.parametrize("path", ["", "../x", "a/../../x", ".git/hooks/pre-commit", "out/x"])
def test_no_answer_leads_out_of_the_project(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(NotWritten, match="--output"):
        inside(root, path)
    with pytest.raises(NotWritten):
        inside(root, str(tmp_path / "x"))
    assert inside(root, "a/b.py") == root / "a" / "b.py"


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    create(tmp_path / "a" / "b.py", b"new")
    assert (tmp_path / "a" / "b.py").read_bytes() == b"new"
    with pytest.raises(NotWritten, match="is there already"):
        create(tmp_path / "a" / "b.py", b"newer")
    assert (tmp_path / "a" / "b.py").read_bytes() == b"new"


def test_a_new_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        create(tmp_path / "a.py", None)  # type: ignore[arg-type]
    assert not (tmp_path / "a.py").exists()
