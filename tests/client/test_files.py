"""Files of a question: read as bytes, named in the project, refused where they are no text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import File, Position, Range, UnusableFile
from gateway.client.files import named


@pytest.mark.parametrize(
    "raw", [b"", b"x\r\ny\n\rz", "\ufeffx = 1\n".encode(), "한\u2028글\x0c\n".encode()]
)
def test_a_file_comes_back_byte_for_byte(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.py").write_bytes(raw)
    for encoding in ("utf-8", "UTF8", "utf-8-sig"):
        file = File.read(tmp_path / "a.py", root=tmp_path, encoding=encoding)
        assert (file.path, file.content, file.encoding) == ("a.py", raw, "utf-8")
        assert file.sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("raw", "encoding", "why"),
    [
        (b"a\0b", "utf-8", "NUL"),
        (b"abc\xff", "utf-8", r"byte 3 is 0xff.*name its encoding"),
        (b"abc", "klingon", "no encoding"),
        (b"\xef\xbb\xbfx", "ascii", "no ascii text"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, raw: bytes, encoding: str, why: str) -> None:
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(UnusableFile, match=why) as caught:
        File.read(tmp_path / "a", encoding=encoding)
    assert isinstance(caught.value, ValueError)


def test_text_that_its_encoding_cannot_hold_is_refused() -> None:
    with pytest.raises(UnusableFile, match=r"a\.py cannot be written as ascii"):
        File("a.py", "한", "ascii")
    with pytest.raises(UnusableFile):
        File("a.py", "\ud800")


def test_lines_count_from_one_and_end_where_git_ends_them() -> None:
    file = File("a.py", "a\nbb\r\nc")
    assert file.line_count == 3
    assert file.lines(2, 2) == Range(Position(1, 0), Position(2, 0))
    assert file.lines(3, 3) == Range(Position(2, 0), Position(2, 1))
    assert File("a.py", "").line_count == 0


@pytest.mark.parametrize(
    ("text", "lines", "has"),
    [
        ("a\nb\n", (1, 3), "has 2 lines"),
        ("a\n", (2, 2), "has 1 line;"),
        ("a\n", (0, 1), "1 line"),
        ("a\nb\n", (2, 1), "2 lines"),
        ("", (1, 1), "is empty"),
    ],
)
def test_lines_that_are_not_there_are_refused_with_how_many_there_are(
    text: str, lines: tuple[int, int], has: str
) -> None:
    with pytest.raises(UnusableFile, match=has):
        File("a.py", text).lines(*lines)


@given(st.lists(st.sampled_from(["x", "한", "\n", "\r\n", "\r", "\ufeff"]), max_size=12))
def test_all_its_lines_are_all_of_it(pieces: list[str]) -> None:
    file = File("a.py", "".join(pieces))
    if not file.line_count:
        return
    whole = file.lines(1, file.line_count)
    assert whole.start == Position(0, 0)
    first = file.lines(1, 1)
    assert first.end <= whole.end


def test_a_file_elsewhere_goes_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert named(Path("sub/../a.py")) == "a.py"
    assert named(Path("../private/a.py")) == "a.py"
    assert named(Path("a/b.py")) == "a/b.py"


def test_a_file_without_end_is_refused_before_memory_ends() -> None:
    with pytest.raises(UnusableFile, match="more than 64 MiB"):
        File.read("/dev/zero")
