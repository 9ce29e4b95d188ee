"""JSON text read piece by piece: what it says, and where each character of it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.json_view import quoted, view


@given(st.text(), st.booleans())
def test_it_says_what_a_parser_says(text: str, ascii_only: bool) -> None:
    raw = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    said = view(raw)
    assert (said.text if said else raw) == text


@given(st.text(), st.booleans(), st.integers(0, 200))
def test_cut_anywhere_it_says_the_beginning_of_that(text: str, ascii_only: bool, cut: int) -> None:
    raw = json.dumps(text, ensure_ascii=ascii_only)[1:-1][:cut]
    said = view(raw)
    if said is None:
        assert text.startswith(raw)
    else:
        assert text.startswith(said.text)
        assert len(said.starts) == len(said.text) + 1
        rest = view(raw[: said.starts[-1]])
        assert (rest.text if rest else raw[: said.starts[-1]]) == said.text


@pytest.mark.parametrize("tail", ["\\", "\\u", "\\u00", "\\ud83d", "\\ud83d\\", "\\ud83d\\udd1"])
def test_an_escape_that_is_not_over_is_not_read(tail: str) -> None:
    said = view("ab" + tail)
    assert said is not None
    assert (said.text, said.starts) == ("ab", (0, 1, 2))


def test_a_backslash_that_is_said_begins_no_escape() -> None:
    said = view("a\\\\")
    assert said is not None
    assert (said.text, said.starts) == ("a\\", (0, 1, 3))


def test_a_place_in_the_json_is_found_in_what_it_says() -> None:
    said = view('\\n\\"AK')
    assert said is not None
    assert [said.index(place) for place in (0, 2, 4, 6)] == [0, 1, 2, 4]


@given(st.text())
def test_quoted_text_stands_inside_a_json_string(text: str) -> None:
    assert json.loads(f'"{quoted(text)}"') == text
