"""SEARCH/REPLACE blocks: one place each, for certain; all of them or none."""

from __future__ import annotations

import random

import pytest

from gateway.domain.answer import Answer, Original, Protocol, Resolution, resolve
from gateway.domain.search_replace import Block, Unmatched, make, read

OLD = "def f(x):\r\n    y = x  \r\n    return y\r\n\r\ndef g(x):\n    y = x\n    return y\n"
EDITS = Protocol(tag="edits", edits=True)


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def resolved(text: str, old: str = OLD, *, before: str = "") -> Resolution:
    return resolve(Answer(text, "stop", "</edits>"), Original(old, before), EDITS)


def test_every_line_that_no_block_names_keeps_its_bytes() -> None:
    found = resolved("Sure:\n" + block("def g(x):\n", "def g(z):\n") + "Done.\n")
    assert (found.status, found.notes) == ("changed", "Sure:\nDone.")
    assert found.text == OLD.replace("g(x)", "g(z)")


def test_a_line_of_a_crlf_part_is_replaced_by_one_with_crlf() -> None:
    found = resolved(block("def f(x):\n", "def f(x):\n    # 값\n"))
    assert found.text == OLD.replace("f(x):\r\n", "f(x):\r\n    # 값\r\n")


def test_spaces_at_line_ends_are_looked_over_where_nothing_matches_exactly() -> None:
    found = resolved(block("def f(x):\n    y = x\n", "def f(x):\n    y = -x\n"))
    assert found.adjusted == ("trailing_spaces",)
    assert found.text == OLD.replace("    y = x  \r\n", "    y = -x\r\n")


def test_one_indentation_for_all_lines_is_put_right() -> None:
    old = "class A:\n    def f(self):\n        return 1\n"
    found = resolved(block("def f(self):\n    return 1\n", "def f(self):\n    return 2\n\n"), old)
    assert found.adjusted == ("indent_shift",)
    assert found.text == "class A:\n    def f(self):\n        return 2\n\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (block("    return y\n", "    return x\n"), "block 1 matches 2 places, at lines 13, 17"),
        (block("def h(x):\n    return y\n", ""), "block 1 matches no lines; some of its lines"),
        (block("nothing\n", ""), "block 1 matches no lines."),
        (block("", "x\n"), "empty SEARCH"),
        (block("def f(x):\n", "") + block("def f(x):\n", "a\n"), "two blocks change line 11"),
        ("<<<<<<< SEARCH\ndef f(x):\n=======\nx\n", "block 1 does not end"),
        ("<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n>>>>>>> REPLACE\n", "not expected"),
        ("=======\n", "outside a block"),
        ("I would rather not.", "no SEARCH/REPLACE block"),
    ],
)
def test_what_has_no_one_place_is_refused_with_the_lines_to_look_at(text: str, says: str) -> None:
    good = block("def g(x):\n", "def g(z):\n") if "block 1" in says and "SEARCH" in text else ""
    found = resolved(text + ("" if "does not end" in says else good), before="\n" * 10)
    assert found.status == "unresolved"
    assert says in found.warnings[0].message


def test_no_block_between_the_tags_is_no_change() -> None:
    assert resolved("<edits>\n").status == "no_change"
    assert resolved("<think>hm</think>\n<edits>\n</edits>").status == "no_change"


@pytest.mark.parametrize("finish", ["length", None, "content_filter"])
def test_an_answer_without_its_end_is_never_taken(finish: str | None) -> None:
    text = block("def g(x):\n", "def g(z):\n")
    found = resolve(Answer(text, finish), Original(OLD), EDITS)
    assert found.status == ("truncated" if finish == "length" else "unresolved")


def test_a_block_fills_an_empty_selection() -> None:
    assert resolved(block("", "x = 1\n"), "").text == "x = 1\n"


def test_a_placeholder_is_refused_here_too() -> None:
    text = block("def g(x):\n", "def g(x):\n    # ... existing code ...\n")
    assert resolved(text).warnings[0].code == "placeholder"


def test_random_edits_are_made_exactly_or_refused() -> None:
    draw = random.Random(7)
    made = 0
    for _ in range(400):
        old = [
            draw.choice(["a", "b", "  c", "", "d = 1", "}"]) for _ in range(draw.randrange(3, 30))
        ]
        start = draw.randrange(len(old))
        end = min(len(old), start + draw.randrange(1, 6))
        new = [draw.choice(["x", "  y", ""]) for _ in range(draw.randrange(4))]
        places = [at for at in range(len(old)) if old[at : at + end - start] == old[start:end]]
        try:
            found = make([Block(tuple(old[start:end]), tuple(new))], old, 1)
        except Unmatched:
            assert len(places) > 1 or not any(old[start:end])
        else:
            assert places == [start]
            assert found.rows == old[:start] + new + old[end:]
            made += 1
    assert made > 150


def test_fences_and_tags_around_blocks_are_no_notes() -> None:
    blocks, notes = read("```\n" + block("a\n", "b\n") + "```\n</edits>")
    assert (blocks, notes) == ([Block(("a",), ("b",))], "")
