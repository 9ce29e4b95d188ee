"""Streamed text: whatever the pieces are, it reads as the whole answer will, and hardly later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import secret_scan
from gateway.domain.control_tokens import neutralise
from gateway.domain.control_tokens import restore as unmark
from gateway.flow.restoring import Restoring

KEYS = ("ghp_" + "a1" * 18, "hf_" + "b2" * 17)
SECRETS = secret_scan.clean("\n".join(KEYS), reversible=True).kept
ONE, TWO = SECRETS
PREFILL = "<rewritten>\n"

cuts = st.sampled_from([*SECRETS, secret_scan.PLACEHOLDER, "SECRET_REMOVED_0003_"]).flatmap(
    lambda mark: st.builds(mark.__getitem__, st.slices(len(mark)))
)
parts = st.one_of(
    st.sampled_from([ONE, TWO, neutralise("<|im_end|>"), "SECRET_", "S", PREFILL]),
    cuts,
    st.text("SERT_01 <|\n한", max_size=9),
)


@st.composite
def in_pieces(draw: st.DrawFn) -> list[str]:
    text = draw(st.lists(parts, max_size=6).map("".join))
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def through(pieces: list[str], prefill: str = "") -> str:
    restoring = Restoring(prefill, SECRETS)
    return "".join([*map(restoring.feed, pieces), restoring.end()])


@given(in_pieces())
def test_text_in_any_pieces_is_what_the_whole_answer_is_restored_to(pieces: list[str]) -> None:
    assert through(pieces) == secret_scan.restore(unmark("".join(pieces)), SECRETS)


@given(in_pieces())
def test_after_a_repeated_prefill_it_is_the_same(pieces: list[str]) -> None:
    assert through([PREFILL, *pieces], PREFILL) == through(pieces)


@pytest.mark.parametrize("at", range(1, len(ONE)))
def test_a_placeholder_that_is_cut_anywhere_is_never_shown(at: int) -> None:
    restoring = Restoring("", SECRETS)
    assert restoring.feed(f"key = '{ONE[:at]}") == "key = '"
    assert restoring.feed(f"{ONE[at:]}'\n") == f"{KEYS[0]}'\n"
    assert restoring.end() == ""


def test_nothing_is_held_that_cannot_become_a_placeholder() -> None:
    restoring = Restoring("", SECRETS)
    texts = ["S = 1\n", "SECRET_KEY", "SECRET_REMOVED_0003_", "class Session:", ONE]
    assert [restoring.feed(text) for text in texts] == [*texts[:-1], KEYS[0]]


def test_what_is_held_at_the_end_comes_as_it_was() -> None:
    restoring = Restoring("", SECRETS)
    assert (restoring.feed(f"{TWO} {ONE[:-1]}"), restoring.end()) == (f"{KEYS[1]} ", ONE[:-1])


def test_without_secrets_text_passes_as_it_comes() -> None:
    assert Restoring("", {}).feed("SECRET_REMOVED_") == "SECRET_REMOVED_"
