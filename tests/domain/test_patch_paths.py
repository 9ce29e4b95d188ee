"""The files that a diff is about, from its headers and from nothing else."""

from __future__ import annotations

import pytest

from gateway.domain.diff import compare, creation
from gateway.domain.patch_paths import read


@pytest.mark.parametrize(
    ("diff", "paths"),
    [
        ("diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n", "x.py"),
        ("--- old.py\t2020-01-01\n+++ new.py\t2020-01-02\n@@ -1 +1 @@\n-a\n+b\n", "old.py new.py"),
        ("diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", "x y"),
        ("diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n", "x.png"),
        ("diff --git i/x w/x\n--- i/x\n+++ w/x\n@@ -1 +1 @@\n-a\n+b\n", "x"),
        ("diff --cc x.py\n@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n++c\n", "x.py"),
        ("--- /dev/null\n+++ b/.env\n@@ -0,0 +1 @@\n+K=1\n", ".env"),
        ("diff --git k.p12 k.p12\nGIT binary patch\nliteral 1\nI\n", "k.p12"),
        ("diff --git i/k.p12 w/k.p12\nGIT binary patch\nliteral 1\nI\n", "k.p12"),
        (
            "--- .env\t(revision 7)\n+++ .npmrc (working copy)\n@@ -1 +1 @@\n-a\n+b\n",
            ".env .npmrc",
        ),
    ],
)
def test_every_header_counts(diff: str, paths: str) -> None:
    for said in (diff, diff.replace("\n", "\r\n")):
        found = read(said)
        assert found is not None
        assert set(paths.split()) <= set(found)
        assert "/dev/null" not in found


@pytest.mark.parametrize("path", ["ключ.pem", 'a "b".py', "with space.py", "tab\there", "b/x.py"])
def test_names_that_git_quotes_are_read(path: str) -> None:
    for diff in (compare(path, b"1\n", b"2\n").diff, creation(path, b"1\n")):
        assert path in (read(diff.decode()) or ())


def test_a_removed_line_that_looks_like_a_header_is_none() -> None:
    diff = "--- a/q.sql\n+++ b/q.sql\n@@ -1,2 +1,2 @@\n--- .env\n+++ .npmrc\n x\n"
    assert set(read(diff) or ()) == {"a/q.sql", "q.sql", "b/q.sql"}


def test_counts_that_lie_do_not_hide_the_next_file() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1,99 +1,99 @@\n-a\ndiff --git a/.env b/.env\n"
    assert ".env" in (read(diff) or ())


@pytest.mark.parametrize("text", ["", "hello", "--- a\n+++ b\n", "- a\n+ b\n", "diff of x and y"])
def test_what_is_no_unified_diff_is_none(text: str) -> None:
    assert read(text) is None


def test_a_count_of_thousands_of_digits_is_no_count() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1 +1,%s @@\n-a\n+b\n" % ("9" * 5000)
    assert set(read(diff) or ()) == {"a/x", "x", "b/x"}
