"""Layout: definitions told from headers and indentation, without a grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import layout

BRACES = """import a

class Cart {
    int total(int x) {
        a();
        return 1;
    }
    int old_style()
    {
        return 2;
    }
}
"""
INDENTED = "import os\n\ndef first(x):\n    a\n    b\n\n    c\n\ndef second():\n    d\nx = 1\n"


def names(text: str) -> dict[str, tuple[int, int]]:
    found = layout.read(text.splitlines(keepends=True))
    return {one.name: (one.first, one.end) for one in found.definitions}


def test_a_block_in_braces_ends_with_its_brace() -> None:
    assert names(BRACES) == {"Cart": (2, 12), "total": (3, 7), "old_style": (7, 11)}


def test_a_block_by_indentation_ends_before_the_blank_lines_below_it() -> None:
    assert names(INDENTED) == {"first": (2, 7), "second": (8, 10)}


def test_a_class_is_descended_into_and_a_function_is_not() -> None:
    found = layout.read(BRACES.splitlines(keepends=True))
    assert [one.scope for one in found.definitions] == [True, False, False]
    assert found.imports == ((0, 1),)
    assert found.origin == "layout"


@pytest.mark.parametrize("row", ["if (x) {", "return f(a, b)", "x = 1", "for (;;) {", "}"])
def test_what_is_no_header_makes_no_definition(row: str) -> None:
    assert names(f"{row}\n    a\n    b\n") == {}


def test_a_file_with_too_many_lines_has_no_structure() -> None:
    found = layout.read(["x\n"] * (layout.MOST_LINES + 1), "Why.")
    assert (found.origin, found.definitions) == ("none", ())
    assert found.remark.startswith("Why. It has more than")


@given(st.text(alphabet="def clas{}()\n \tx:=;#", max_size=400))
def test_any_text_gives_definitions_inside_it(text: str) -> None:
    rows = text.splitlines(keepends=True)
    for one in layout.read(rows).definitions:
        assert 0 <= one.first < one.end <= len(rows)
        assert one.first <= one.body[0] <= one.body[1] <= one.end
