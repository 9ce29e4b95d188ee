"""Diffs: the real `git apply` takes every one, byte for byte; what does not apply raises."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import diff

with_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs the program git")

PATHS = [
    "src/main.py",
    "with space.py",
    "한국어/파일 이름.py",
    "tab\there.c",
    'quo"te.js',
    "back\\slash.ts",
    "new\nline.txt",
    "bell\x07.txt",
    "café/naïve.rs",
    "😀.md",
    "trailing ",
    " leading",
    "a => b",
    "dir.with.dots/-dash",
    "--- a/x",
    "delete\x7f",
]

PIECES = [
    b"",
    b"x",
    b"y",
    b"\t",
    b"  z  ",
    b"\r",
    b"a\rb",
    b"-- sql",
    b"++ x",
    b"--- a/file",
    b"+++ b/file",
    b"@@ -1 +1 @@",
    b"diff --git a/x b/x",
    b"\\ No newline at end of file",
    b"\xff\xfe",
    b"\x00nul",
    b"\xef\xbb\xbf",
    "한국어".encode(),
    "\u2028".encode(),
    b"\x0c",
    b"\x1c",
    "\x85".encode(),
    b"-- ",
    b"From 0000 Mon",
    b"index 123..456 100644",
    b"rename from x",
    b"GIT binary patch",
]

ENDS = [b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n", b"\n\n"]


def hostile(draw: random.Random) -> bytes:
    parts = [draw.choice(PIECES) + draw.choice(ENDS) for _ in range(draw.randrange(14))]
    last = draw.choice([b"", b"", draw.choice(PIECES)])
    return draw.choice([b"", b"", b"", b"\xef\xbb\xbf"]) + b"".join(parts) + last


def edited(draw: random.Random, before: bytes) -> bytes:
    parts = before.split(b"\n")
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(parts) + 1)
        parts[at : at + draw.randrange(3)] = [draw.choice(PIECES)] * draw.randrange(3)
    return b"\n".join(parts)


def git_apply(root: Path, files: Iterable[tuple[str, bytes]], patch: bytes, *options: str) -> None:
    for path, content in files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    command = ["git", "apply", "--whitespace=nowarn", *options, "-"]
    home = {"HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        command, input=patch, cwd=root, env=home, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:2000]


@with_git
def test_git_applies_two_thousand_hostile_diffs_byte_for_byte(tmp_path: Path) -> None:
    draw = random.Random(20261122)
    cases: dict[str, tuple[bytes, bytes]] = {}
    for number in range(2000):
        before = hostile(draw)
        after = hostile(draw) if draw.random() < 0.3 else edited(draw, before)
        cases[f"{number}/{draw.choice(PATHS)}"] = (before, after)
    patch = b"".join(
        diff.unified_diff(path, before, after, context=draw.choice([1, 2, 3, 3, 10]))
        for path, (before, after) in cases.items()
    )
    git_apply(tmp_path, ((path, before) for path, (before, _) in cases.items()), patch)
    wrong = [path for path, (_, after) in cases.items() if (tmp_path / path).read_bytes() != after]
    assert wrong == []
    assert sum(before != after for before, after in cases.values()) > 1500


@with_git
def test_git_applies_a_diff_without_context_when_told_so(tmp_path: Path) -> None:
    before, after = b"a\nb\nc\nd\n", b"a\nx\nc\nd\ne"
    patch = diff.unified_diff("f", before, after, context=0)
    git_apply(tmp_path, [("f", before)], patch, "--unidiff-zero")
    assert (tmp_path / "f").read_bytes() == after


@with_git
@pytest.mark.parametrize("path", PATHS)
def test_the_header_is_the_one_that_git_itself_writes(tmp_path: Path, path: str) -> None:
    for side, content in (("a", b"1\n"), ("b", b"2\n")):
        (tmp_path / side / path).parent.mkdir(parents=True)
        (tmp_path / side / path).write_bytes(content)
    done = subprocess.run(
        ["git", "diff", "--no-index", "--no-prefix", "--", f"a/{path}", f"b/{path}"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    theirs = [line for line in done.stdout.split(b"\n") if not line.startswith(b"index ")]
    assert diff.unified_diff(path, b"1\n", b"2\n") == b"\n".join(theirs)


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 4))
def test_our_own_applier_gives_the_new_bytes(before: bytes, after: bytes, context: int) -> None:
    assert diff.apply(diff.unified_diff("p", before, after, context=context), before) == after


few_lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"\n", b"c\r\n"]), max_size=30).map(b"".join)


@given(few_lines, few_lines, st.integers(0, 3))
def test_the_hunks_add_up_to_the_difference_in_lines(
    before: bytes, after: bytes, context: int
) -> None:
    hunks = diff.hunks(before, after, context=context)
    grown = sum(hunk.added - hunk.removed for hunk in hunks)
    assert grown == after.count(b"\n") - before.count(b"\n")
    assert sum(hunk.new_lines - hunk.old_lines for hunk in hunks) == grown
    assert bool(hunks) == (before != after)
    for one, next_one in pairwise(hunks):
        assert one.old_start + one.old_lines <= next_one.old_start + (next_one.old_lines == 0)


def test_equal_bytes_give_no_diff() -> None:
    assert diff.unified_diff("a.py", b"x\r\n", b"x\r\n") == b""
    assert diff.hunks(b"x", b"x") == ()


def test_a_small_change_reads_as_git_would_write_it() -> None:
    before = b"".join(b"line %d\n" % number for number in range(1, 21))
    after = before.replace(b"line 2\n", b"line two\n").replace(b"line 18\n", b"")
    assert diff.unified_diff("src/a b.py", before, after) == (
        b"diff --git a/src/a b.py b/src/a b.py\n"
        b"--- a/src/a b.py\t\n"
        b"+++ b/src/a b.py\t\n"
        b"@@ -1,5 +1,5 @@\n line 1\n-line 2\n+line two\n line 3\n line 4\n line 5\n"
        b"@@ -15,6 +15,5 @@\n line 15\n line 16\n line 17\n-line 18\n line 19\n line 20\n"
    )
    assert diff.hunks(before, after) == (diff.Hunk(1, 5, 1, 5, 1, 1), diff.Hunk(15, 6, 15, 5, 0, 1))


def test_a_missing_final_newline_is_marked_on_the_side_that_lacks_it() -> None:
    text = diff.unified_diff("f", b"a\nb", b"a\nb\n").split(b"@@\n")[1]
    assert text == b" a\n-b\n\\ No newline at end of file\n+b\n"


def test_an_empty_file_starts_at_line_zero() -> None:
    assert b"@@ -0,0 +1 @@\n+x\n" in diff.unified_diff("f", b"", b"x\n")
    assert b"@@ -1 +0,0 @@\n-x\n" in diff.unified_diff("f", b"x\n", b"")
    assert diff.hunks(b"", b"x\n") == (diff.Hunk(0, 0, 1, 1, 1, 0),)


def test_a_changed_line_in_a_crlf_file_touches_no_other_byte() -> None:
    before = b"\xef\xbb\xbfa\r\nb\r\nc\r\n"
    after = b"\xef\xbb\xbfa\r\nB\r\nc\r\n"
    found = diff.compare("f", before, after)
    assert (found.added, found.removed) == (1, 1)
    assert b" \xef\xbb\xbfa\r\n-b\r\n+B\r\n c\r\n" in found.diff


def test_the_header_is_ascii_whatever_the_path_is() -> None:
    for path in PATHS:
        assert diff.unified_diff(path, b"a", b"b").split(b"@@")[0].isascii()


@pytest.mark.parametrize(
    "patch",
    [
        b"@@ -1 +1 @@\n-other\n+b\n",
        b"@@ -1,2 +1 @@\n-a\n",
        b"@@ -1 +1 @@\n?a\n",
        b"@@ nonsense\n",
        b"@@ -1 +1 @@\n-a\n+b\nrubbish\n",
        b"@@ -1 +1 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b\n",
    ],
)
def test_a_diff_that_does_not_fit_its_file_raises(patch: bytes) -> None:
    with pytest.raises(diff.DiffBroken):
        diff.apply(patch, b"a\n")


def test_a_wrong_diff_is_raised_and_never_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "_line", lambda sign, line: sign + line + b"\n")
    with pytest.raises(diff.DiffBroken, match=r"a\.py"):
        diff.unified_diff("a.py", b"a\n", b"b")


def test_twenty_thousand_differing_lines_are_one_hunk() -> None:
    before = b"".join(b"%d\n" % number for number in range(21_000))
    after = b"".join(b"%d\n" % (number * 2) for number in range(21_000))
    assert len(diff.hunks(before, after)) == 1


@pytest.mark.parametrize("content", [b"x\n", b"x", b"a\r\nb\n", b"a\n\nb\n", b"\xff\n"])
@pytest.mark.parametrize("path", ["a.py", "d/with space.py", "d/\ud55c.py"])
def test_git_creates_a_file_from_its_diff(content: bytes, path: str, tmp_path: Path) -> None:
    made = diff.creation(path, content)
    assert diff.apply(made, b"") == content
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": os.devnull}
    git = ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"]
    env = {**os.environ, **quiet}
    subprocess.run(git, cwd=tmp_path, input=made, env=env, check=True)
    assert (tmp_path / path).read_bytes() == content
    again = subprocess.run(git, cwd=tmp_path, input=made, env=env, check=False, capture_output=True)
    assert again.returncode, "it does not overwrite a file that is there"
