"""A change made on bytes: what the gateway's own diff and edits say is what comes out."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import Edit, NothingToApply, Position, Range, Rewriting
from gateway.client.applying import applied
from gateway.client.results import Sent
from gateway.client.shapes import read
from gateway.domain import diff, source, text_edits
from gateway.flow.results import edit_of

UNITS = st.sampled_from(["utf-8", "utf-16", "utf-32"])
TEXTS = st.lists(
    st.sampled_from(["a", "한", "😀", " ", "\n", "\r\n", "\r", "\u2028", "x = 1\n", "\ufeff"]),
    max_size=20,
).map("".join)


def rewriting(before: bytes, after: bytes, sent: Sent, **change: Any) -> Rewriting:
    return Rewriting(
        id="1",
        status="changed",
        base_sha256=hashlib.sha256(before).hexdigest(),
        result_sha256=hashlib.sha256(after).hexdigest(),
        sent=sent,
        **change,
    )


@given(TEXTS, TEXTS, UNITS)
def test_the_edits_of_a_gateway_make_the_new_file(old: str, new: str, units: Any) -> None:
    before, after = old.encode(), new.encode()
    file = source.read("a.py", before)
    if file.bom != after.startswith(b"\xef\xbb\xbf"):
        return  # a rewrite keeps the BOM
    said = [edit_of(one) for one in text_edits.edits(file, after, units)]
    edits = tuple(read(Edit, one) for one in said)
    sent = Sent("a.py", "utf-8", units)
    assert rewriting(before, after, sent, edits=edits).apply(before) == after


@given(TEXTS, TEXTS)
def test_the_diff_of_a_gateway_makes_the_new_file(old: str, new: str) -> None:
    before, after = old.encode(), new.encode()
    said = diff.unified_diff("a.py", before, after).decode()
    assert rewriting(before, after, Sent("a.py"), diff=said).apply(before) == after


def test_all_edits_are_in_positions_of_the_old_file() -> None:
    first = Edit(Range(Position(0, 0), Position(1, 0)), "A\nA\n")
    last = Edit(Range(Position(2, 0), Position(3, 0)), "C\n")
    for edits in ((first, last), (last, first)):
        one = rewriting(b"a\nb\nc\n", b"A\nA\nb\nC\n", Sent(), edits=edits)
        assert one.apply(b"a\nb\nc\n") == b"A\nA\nb\nC\n"


def test_without_either_the_text_takes_the_place_of_its_range() -> None:
    place = Range(Position(1, 0), Position(2, 0))
    one = rewriting(b"a\nb\nc\n", b"a\nB\nc\n", Sent(), text="B\n", range=place)
    assert one.apply(b"a\nb\nc\n") == b"a\nB\nc\n"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"diff": "@@ -1 +1 @@\n-z\n+y\n"},
        {"edits": (Edit(Range(Position(9, 0), Position(9, 0)), "x"),)},
        {"edits": (Edit(Range(Position(0, 0), Position(0, 0)), "\ud800"),)},
    ],
)
def test_a_change_that_does_not_fit_changes_nothing(change: Any) -> None:
    with pytest.raises(NothingToApply):
        applied(rewriting(b"a\n", b"b\n", Sent(), **change), b"a\n")
