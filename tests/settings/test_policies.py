"""The chain as the file writes it: order, defaults, lines, and what is refused."""

from __future__ import annotations

import pytest

from gateway.domain.document import Document
from gateway.settings.policies import PolicyEntry, When, read_policies


def document(text: str) -> Document:
    return Document("policies.yaml", text)


def test_the_chain_is_read_in_order_with_its_lines() -> None:
    text = """\
policies:
  - use: allowlist
    with: {models: [a, b]}
    when: {teams: [ide], paths: [/v1/chat/completions]}
    on_error: skip
    mode: shadow
  # between
  - use: house.rules:Quiet
"""
    chain, problems = read_policies(document(text))

    assert problems == []
    assert chain == (
        PolicyEntry(
            use="allowlist",
            settings={"models": ["a", "b"]},
            when=When(teams=("ide",), paths=("/v1/chat/completions",)),
            on_error="skip",
            mode="shadow",
            line=2,
        ),
        PolicyEntry(use="house.rules:Quiet", line=8),
    )


@pytest.mark.parametrize("text", ["", "policies:\n", "policies: []\n"])
def test_a_chain_may_be_empty(text: str) -> None:
    assert read_policies(document(text)) == ((), [])


def test_empty_with_and_when_mean_nothing_special() -> None:
    chain, problems = read_policies(document("policies:\n  - use: a\n    with:\n    when:\n"))

    assert problems == []
    assert (chain[0].settings, chain[0].when) == ({}, When())


@pytest.mark.parametrize(
    ("text", "line", "message", "fix"),
    [
        ("- use: a\n", 0, "the file: should be keys and values", "a list of items"),
        ("polices: []\n", 1, "unknown key 'polices'", "did you mean 'policies'?"),
        ("policies: a\n", 1, "policies: should be a list", "a list of items"),
        ("policies:\n  - allowlist\n", 2, "should be keys and values", "- use: NAME"),
        ("policies:\n  - with: {}\n", 2, "policies.0 has no 'use'", "NAME.py"),
        ("policies:\n  - use: a\n    settings: {}\n", 3, "unknown key", "known here"),
        ("policies:\n  - use: a\n    line: 4\n", 3, "unknown key", "known here"),
        ("policies:\n  - use: a\n    on_eror: skip\n", 3, "unknown key", "'on_error'"),
        ("policies:\n  - use: a\n    on_error: ignore\n", 3, "should be 'refuse'", "`skip`"),
        ("policies:\n  - use: a\n    mode: dry\n", 3, "'shadow'", "`enforce`"),
        (
            "policies:\n  - use: a\n    when:\n      team: [x]\n",
            4,
            "unknown key 'policies.0.when.team'",
            "did you mean 'teams'?",
        ),
        ("policies:\n  - use: a\n    when: {models: m}\n", 3, "should be a list", "models: ["),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(
    text: str, line: int, message: str, fix: str
) -> None:
    chain, [problem] = read_policies(document(text))

    assert chain == ()
    assert problem.line == line
    assert message in problem.message
    assert fix in problem.fix
