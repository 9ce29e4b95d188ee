"""Splicing: the new text stands where the old one stood, and no byte moves that need not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.original import Original
from gateway.domain.splice import Spliced, splice

ABOVE = "import os\nimport re\n\n"
BELOW = "\ndef other():\n    pass\n"


def text_of(new: str, old: str, before: str = "", after: str = "", eol: str = "\n") -> str:
    found = splice(new, Original(old, before, after, eol=eol))
    assert found.why == ""
    return found.text


# ── line ends ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("new", "old", "eol", "text"),
    [
        ("a\nB\n", "a\r\nb\r\n", "\r\n", "a\r\nB\r\n"),
        ("a\r\nB\r\n", "a\nb\n", "\n", "a\nB\n"),
        ("A\nb\nC\n", "a\nb\r\nc\n", "\n", "A\nb\r\nC\n"),  # each as the line it replaces
        ("a\nnew\nb\n", "a\r\nb\n", "\n", "a\r\nnew\r\nb\n"),  # as the line above it
        ("new\na\n", "a\r\n", "\n", "new\r\na\r\n"),  # as the line below, the only one
        ("x\ny\n", "", "\r\n", "x\r\ny\r\n"),  # as the file does
        ("a\nx\ny\n", "a\r\nb", "\r\n", "a\r\nx\r\ny"),  # no end after the last, as it was
        ("a\nb\n", "a", "\r\n", "a\r\nb"),
        ("a\nc", "a\nb\n", "\n", "a\nc\n"),  # an end, as it was
        ("c", "a\r\nb\r\n", "\r\n", "c\r\n"),
    ],
)
def test_a_line_ends_as_the_line_it_replaces_or_as_its_neighbour(
    new: str, old: str, eol: str, text: str
) -> None:
    assert text_of(new, old, eol=eol) == text


def test_only_a_line_feed_ends_a_line() -> None:
    old = 'a = "\u2028\x0c\x85\x1c"\nb\rc = 1\r\r\n'
    assert text_of(old.replace("1", "2"), old) == old.replace("1", "2")


def test_a_korean_line_keeps_its_neighbours_to_the_byte() -> None:
    old = "값 = 1  \r\n# 한글\t\n둘 = 2\r\n"
    assert text_of("값 = 1\n# 한글\n둘 = 3\n", old) == "값 = 1  \r\n# 한글\t\n둘 = 3\r\n"


# ── spaces ───────────────────────────────────────────────────────────────────────────────────────


def test_spaces_at_the_end_of_a_line_that_did_not_change_stay() -> None:
    found = splice("one\n2\nthree\n", Original("one  \ntwo \nthree\t\n"))
    assert (found.text, found.adjusted) == ("one  \n2\nthree\t\n", ("trailing_spaces",))


def test_where_spaces_at_line_ends_are_all_that_changed_they_were_the_wish() -> None:
    assert splice("one\ntwo  \n", Original("one  \ntwo\n")) == Spliced("one\ntwo  \n")


@pytest.mark.parametrize(
    ("new", "old", "text", "adjusted"),
    [
        ("b\n", "\n\na\n\n", "\n\nb\n\n", ("edge_blank_lines",)),
        ("\n\nb\n\n\n", "a\n", "b\n", ("edge_blank_lines",)),
        ("\nb\n", "\r\na\r\n", "\r\nb\r\n", ()),
        ("b\n", "  \na\n\t", "  \nb\n\t", ("edge_blank_lines",)),
        ("\nb\n\nc\n", "a\n", "b\n\nc\n", ("edge_blank_lines",)),  # blank lines inside are text
        ("x\n", "\n", "x\n", ()),  # a blank line is filled
    ],
)
def test_blank_lines_at_the_edges_stay_as_they_were(
    new: str, old: str, text: str, adjusted: tuple[str, ...]
) -> None:
    found = splice(new, Original(old))
    assert (found.text, found.adjusted) == (text, adjusted)


@pytest.mark.parametrize("new", ["", "\n", " \r\n\t\n", "\u3000\n"])
@pytest.mark.parametrize("old", ["a\n", "\n", "", "a"])
def test_a_blank_text_deletes_the_lines(new: str, old: str) -> None:
    assert splice(new, Original(old, ABOVE, BELOW)) == Spliced("")


@pytest.mark.parametrize(
    ("new", "old", "adjusted", "doubts"),
    [
        ("a = 1\nb = 3\n", "    a = 1\n    b = 2\n", ("indent_shift",), ()),
        ("if y:\n        a()\n", "    if x:\n        a()\n", ("first_line",), ()),
        ("\tif y:\n\t\ta()\n", "    if x:\n        a()\n", ("indent_style",), ()),
        (
            "if y:\n\t\ta()\n\t\tb()\n",
            "    if x:\n        a()\n        b()\n",
            ("indent_style", "first_line"),
            (),
        ),
        ("    y = 5\n", "        x = 1\n", (), ("indent",)),
        ("    y = 5\n", "\n", (), ()),
    ],
)
def test_what_became_of_the_indentation_is_told(
    new: str, old: str, adjusted: tuple[str, ...], doubts: tuple[str, ...]
) -> None:
    found = splice(new, Original(old))
    assert (found.adjusted, found.doubts) == (adjusted, doubts)


# ── repeated context ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ("import os\nimport re\n\nx = 2\n", "x = 2\n"),
        ("import re\n\nx = 2\n", "x = 2\n"),  # a blank line counts too
        ("import re\nx = 2\n", "x = 2\n"),  # nor does the blank line that was lost
        ("import os\nx = 2\n", "import os\nx = 2\n"),  # not what stands right above
        ("x = 2\n\ndef other():\n", "x = 2\n"),
        ("x = 2\n\ndef other():\n    pass\n", "x = 2\n"),
        ("\nx = 2\n\ndef other():\n", "x = 2\n"),
        ("import os\r\nimport re \r\n\r\nx = 2\r\n", "x = 2\n"),
        (ABOVE + "x = 2\ny = 3\n" + BELOW, "x = 2\ny = 3\n"),
    ],
)
def test_lines_of_the_context_are_cut(new: str, text: str) -> None:
    found = splice(new, Original("x = 1\n", ABOVE, BELOW))
    assert found.text == text
    assert ("context_overlap" in found.adjusted) == (new.split() != text.split())


@pytest.mark.parametrize(
    ("new", "before", "after"),
    [
        ("y = 1\nx = 2\n", "import os\ny = 1\n", ""),
        ("x = 2\nreturn x\n", "", "return x\nprint()\n"),
        ("x = 2\n  }\n}\n", "", "  }\n}\n"),  # brackets alone may be its own
    ],
)
def test_one_line_or_brackets_alone_may_be_meant(new: str, before: str, after: str) -> None:
    assert text_of(new, "x = 1\n", before, after) == new


def test_one_line_on_each_side_is_context() -> None:
    assert text_of("if a:\nx = 2\nend\n", "x = 1\n", "if a:\n", "end\n") == "x = 2\n"


def test_brackets_left_of_the_selection_are_context() -> None:
    new = "    x()\n  }\n}\n"
    assert text_of(new, "    y()\n", after="  }\n}\n") == "    x()\n"


def test_lines_that_the_selection_begins_with_too_are_its_own() -> None:
    assert text_of("a()\nb()\nc()\n", "a()\nb()\n", "a()\nb()\n", "") == "a()\nb()\nc()\n"
    assert text_of("a()\nb()\na()\nb()\nc()\n", "a()\nb()\n", "a()\nb()\n") == "a()\nb()\nc()\n"
    assert text_of("c()\na()\nb()\n", "a()\nb()\n", after="a()\nb()\n") == "c()\na()\nb()\n"
    thrice = "a()\na()\na()\nd()\nend\n"
    assert text_of(thrice, "a()\na()\nc()\n", "a()\na()\n", "end\n") == "a()\na()\nd()\n"


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12), st.integers(2, 12), st.booleans())
def test_however_lines_repeat_all_of_the_context_is_cut(
    context: list[str], size: int, above: bool
) -> None:
    order = 1 if above else -1
    new = [*context[-size:], "z = 1"][::order]
    text = "".join(f"{row}\n" for row in context[::order])
    before, after = (text, "") if above else ("", text)
    said = "".join(f"{row}\n" for row in new)
    assert text_of(said, "y = 1\n", before, after) == "z = 1\n"


def test_context_and_nothing_else_is_refused_with_the_models_words() -> None:
    found = splice("import os\nimport re\n", Original("x = 1\n", "import os\nimport re\n"))
    assert found == Spliced(
        "import os\nimport re\n", why="the answer repeats only the text around the selection"
    )


# ── for any text ─────────────────────────────────────────────────────────────────────────────────

rows = st.sampled_from(
    ["a = 1", "    b()", "\tc()", "", "  ", "}", "값 = 2 ", "x\ry", "if z:", "\u2028", "d\r"]
)
ends = st.sampled_from(["\n", "\r\n"])
texts = st.lists(st.tuples(rows, ends), max_size=8).map(
    lambda parts: "".join(row + end for row, end in parts)
)
selections = st.one_of(texts, texts.map(lambda text: text.removesuffix("\n").removesuffix("\r")))


@given(selections)
def test_the_selection_itself_comes_back_to_the_byte(old: str) -> None:
    assert splice(old, Original(old)).text == (old if old.strip() else "")
    unix = old.replace("\r\n", "\n")
    if "\r\r\n" not in old:  # there a `\r` of the line would become a part of its end
        assert splice(unix, Original(old)).text == (old if old.strip() else "")


@given(texts, selections, texts, texts)
def test_the_last_line_has_an_end_if_it_had_one(
    new: str, old: str, before: str, after: str
) -> None:
    found = splice(new, Original(old, before, after if old.endswith("\n") else ""))
    if found.why or not found.text:
        return
    assert found.text.endswith("\n") == (old.endswith("\n") or not old)


@given(texts, selections, texts, texts)
def test_the_lines_are_those_of_the_answer_but_for_spaces_and_context(
    new: str, old: str, before: str, after: str
) -> None:
    found = splice(new, Original(old, before, after))
    filled = [row.strip() for row in new.split("\n") if row.strip()]
    kept = [row.strip() for row in found.text.split("\n") if row.strip()]
    if "context_overlap" not in found.adjusted:
        assert kept == filled
    assert any(filled[at : at + len(kept)] == kept for at in range(len(filled) + 1))
    assert set(found.doubts) <= {"indent"}


@given(texts, selections)
def test_splicing_twice_changes_nothing_more(new: str, old: str) -> None:
    once = splice(new, Original(old)).text
    assert splice(once, Original(once)).text == once


@pytest.mark.timeout(20)
def test_lines_repeated_without_end_are_no_burden() -> None:
    draw = random.Random(1)
    many = "x\n" * 20_000
    mixed = "".join(draw.choice(["x\n", "y\n"]) for _ in range(20_000))
    for new in (many, mixed):
        for old in (many, mixed, "z\n"):
            assert splice(new, Original(old, many, mixed)).text or new == many
