"""Sessions: the last prompt's files, for as long as there is room to remember them."""

from __future__ import annotations

from gateway.flow.sessions import MOST_PATHS, Sessions

KEY = ("ide", "s1")


def test_the_last_prompt_of_a_session_is_remembered() -> None:
    sessions = Sessions()
    assert sessions.places(KEY) == {}
    sessions.remember(KEY, {"a.py": 0})
    sessions.remember(KEY, {"b.py": 1})
    assert sessions.places(KEY) == {"b.py": 1}


def test_a_session_belongs_to_its_team() -> None:
    sessions = Sessions()
    sessions.remember(KEY, {"a.py": 0})
    assert sessions.places(("other", "s1")) == {}


def test_without_a_name_nothing_is_remembered() -> None:
    sessions = Sessions()
    sessions.remember(("ide", ""), {"a.py": 0})
    assert sessions.places(("ide", "")) == {}


def test_the_session_that_was_asked_for_longest_ago_is_forgotten() -> None:
    sessions = Sessions(most=2)
    for name in ("a", "b"):
        sessions.remember(("t", name), {name: 0})
    sessions.places(("t", "a"))
    sessions.remember(("t", "c"), {"c": 0})
    assert [bool(sessions.places(("t", name))) for name in "abc"] == [True, False, True]


def test_only_so_many_files_of_a_session_are_remembered_and_those_are_the_first() -> None:
    sessions = Sessions()
    sessions.remember(KEY, {f"{at}": at for at in range(MOST_PATHS + 9)})
    assert max(sessions.places(KEY).values()) == MOST_PATHS - 1
