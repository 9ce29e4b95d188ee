"""Globs of models and routes, and how a key's narrow its team's."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.scope import NOTHING, covers, narrowed

globs = st.lists(st.text("ab*?[]", min_size=1, max_size=4), max_size=3).map(tuple)
names = st.text("ab[]", min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("team", "key", "both"),
    [
        ((), (), ()),
        (("a*",), (), ("a*",)),
        ((), ("a",), ("a",)),
        (("qwen-*",), ("qwen-coder",), ("qwen-coder",)),
        (("qwen-coder",), ("qwen-*",), ("qwen-coder",)),
        (("qwen-*",), ("llama",), NOTHING),
        (("a*",), ("*b",), NOTHING),
        (("a", "b"), ("b", "c"), ("b",)),
        (("*b]",), ("[ab]",), NOTHING),
        (("x*]",), ("x[yz]",), NOTHING),
        (("qwen-*",), ("qwen-[awq]",), ("qwen-[awq]",)),
        (("*",), ("[ab]",), ("[ab]",)),
    ],
)
def test_a_key_narrows_its_team(
    team: tuple[str, ...], key: tuple[str, ...], both: tuple[str, ...]
) -> None:
    assert narrowed(team, key) == both


def test_nothing_covers_nothing_and_no_globs_cover_all() -> None:
    assert not covers(NOTHING, "m")
    assert covers((), "m")
    assert covers(("org/[a]",), "org/[a]")


@given(globs, globs, names)
def test_what_both_allow_is_never_more_than_either_allows(
    team: tuple[str, ...], key: tuple[str, ...], name: str
) -> None:
    if covers(narrowed(team, key), name):
        assert covers(team, name)
        assert covers(key, name)


@given(st.text("ab*?[]!", max_size=5), names)
def test_one_glob_covers_what_it_matches(glob: str, name: str) -> None:
    assert covers((glob,), name) == (name == glob or fnmatchcase(name, glob))
