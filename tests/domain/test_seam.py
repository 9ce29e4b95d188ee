"""The seam between two replicas' texts: nothing twice, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.seam import Seam


def joined(shown: str, pieces: list[str], *, sent: str | None = None) -> str:
    """What the client has after a continuation in `pieces`."""
    sent = shown.rstrip() if sent is None else sent
    seam = Seam(sent, shown[len(shown.rstrip()) :])
    return shown + "".join(seam.feed(piece) for piece in pieces) + seam.end()


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@given(st.text(alphabet="ab \n", min_size=1, max_size=40), st.integers(0, 40), st.integers(1, 5))
def test_a_model_that_writes_the_white_space_again_joins_to_the_same_text(
    text: str, place: int, size: int
) -> None:
    shown = text[:place]
    rest = text[len(shown.rstrip()) :]
    if len(shown.rstrip()) >= 16 and rest.startswith(shown.rstrip()):
        return  # a text that repeats its own beginning cannot be told from an echo
    assert joined(shown, cut(rest, size)) == text


@given(st.integers(1, 60))
def test_a_server_that_repeats_what_it_was_given_is_not_shown_repeating_it(size: int) -> None:
    shown, rest = "def add(a, b):\n    return", "\n\n  a + b"
    sent = shown.rstrip()
    assert joined(shown + "\n", cut(sent + rest, size)) == shown + rest


def test_a_short_beginning_that_comes_again_is_the_models_own() -> None:
    assert joined("ha", ["ha", "ha"]) == "hahaha"


def test_a_line_of_one_sign_goes_on() -> None:
    assert joined("=" * 20, ["=" * 20, "\n"]) == "=" * 40 + "\n"


@pytest.mark.parametrize("rest", ["The quick brown f", "The quick", "T"])
def test_what_only_looks_like_an_echo_is_shown_in_the_end(rest: str) -> None:
    shown = "The quick brown dog said:"
    assert joined(shown, cut(rest, 1)) == shown + rest


def test_other_white_space_than_was_shown_stays() -> None:
    assert joined("a\n\n", ["\n", " b"]) == "a\n\n b"
    assert joined("a ", ["b"]) == "a b"


def test_white_space_that_comes_in_pieces_is_taken_out_in_pieces() -> None:
    assert joined("a\n\n", ["\n", "\n", "\n", "b"]) == "a\n\n\nb"
