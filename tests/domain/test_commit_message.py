"""A commit message is found in what models wrap around it."""

from __future__ import annotations

import pytest

from gateway.domain.commit_message import read


@pytest.mark.parametrize(
    ("text", "subject", "body"),
    [
        ("Add a guard\n", "Add a guard", ""),
        ("Add a guard\n\nThe list may be empty.\n", "Add a guard", "The list may be empty."),
        ("Add a guard\nNo blank line.\n", "Add a guard", "No blank line."),
        ("<think>\nHm.\n</think>\nAdd a guard", "Add a guard", ""),
        ("```\nAdd a guard\n\nWhy.\n```", "Add a guard", "Why."),
        ("Here is the commit message:\n\n```text\nAdd a guard\n```\n", "Add a guard", ""),
        ("Commit message: Add a guard\n\nWhy.", "Add a guard", "Why."),
        ("**Commit message:**\n\nAdd a guard\n\nWhy.", "Add a guard", "Why."),
        ("제목: 빈 목록을 막는다", "빈 목록을 막는다", ""),
        ("`Add a guard`", "Add a guard", ""),
        ('"Add a guard"\n\nWhy.', "Add a guard", "Why."),
        ("Quote `a` and `b`", "Quote `a` and `b`", ""),
        ("Add a guard\n\n```\ncode\n```\n", "Add a guard", "```\ncode\n```"),
        ("Add a guard\r\n\r\nWhy.\r\n", "Add a guard", "Why."),
        ("", "", ""),
        ("<think>never ends", "", ""),
    ],
)
def test_the_subject_is_the_first_line_and_the_body_all_that_follows(
    text: str, subject: str, body: str
) -> None:
    found = read(text)
    assert (found.subject, found.body) == (subject, body)
    assert found.message == (f"{subject}\n\n{body}" if body else subject)


@pytest.mark.parametrize("text", ["", "diff --git a/x b/x\n--- a/x\n", "@@ -1 +1 @@\n", "--- a/x"])
def test_a_diff_that_is_repeated_is_no_message(text: str) -> None:
    assert not read(text).fits
    assert read("Add a guard").fits
