"""A selection in a very long line: exact columns, no half secret, and every byte in its place."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain import columns, lines, secret_scan, source
from gateway.domain.columns import LONGEST_LINE, NEAR
from gateway.domain.source import Position, Selection, SourceFile, Span

LONG = "".join(f"f{number}(a, b);" for number in range(400))
KEY = "ghp_" + "a1B2" * 10
WORDS = ["값;", "a ", KEY, "x(y)", "\U0001f600", ' password="', '" ']


def chosen(content: str, start: tuple[int, int], end: tuple[int, int]) -> tuple[SourceFile, Span]:
    file = source.read("a.js", content)
    return file, columns.span(file, Selection(Position(*start), Position(*end)))


@pytest.mark.parametrize(
    ("start", "end", "text", "inside"),
    [
        ((1, 10), (1, 20), LONG[10:20], (True, True)),
        ((1, 0), (1, 19), LONG[:19], (False, True)),
        ((1, 4000), (1, len(LONG)), LONG[4000:].lstrip() + "\r\n", (True, False)),
        ((1, 0), (2, 0), LONG + "\r\n", (False, False)),
        ((1, 0), (1, 99999), LONG + "\r\n", (False, False)),
        ((0, 2), (1, 9), "short\r\n" + LONG[:9], (False, True)),
        ((1, 4999), (2, 1), LONG[4999:].lstrip() + "\r\nend\n", (True, False)),
        ((0, 1), (0, 2), "short\r\n", (False, False)),
        ((2, 1), (2, 1), "end\n", (False, False)),
        ((3, 0), (3, 0), "", (False, False)),
    ],
)
def test_only_the_first_and_last_line_are_cut_and_only_where_they_are_long(
    start: tuple[int, int], end: tuple[int, int], text: str, inside: tuple[bool, bool]
) -> None:
    file, span = chosen(f"short\r\n{LONG}\r\nend\n", start, end)
    assert file.text(span) == text
    assert columns.cut(file, span) == inside
    whole = file.span(Selection(Position(*start), Position(*end)))
    assert (span.first_line, span.end_line) == (whole.first_line, whole.end_line)


def test_spaces_at_the_edges_stay_outside() -> None:
    at = LONG.index(", b", 3000)
    file, span = chosen(LONG, (0, at + 1), (0, at + 3))
    assert file.text(span) == "b"
    file, span = chosen(" " * 3000, (0, 10), (0, 20))
    assert file.text(span) == " " * 10


def test_a_cursor_is_the_statements_around_it() -> None:
    file, span = chosen(LONG, (0, 3000), (0, 3000))
    text = file.text(span)
    assert text.startswith("f")
    assert text.endswith(";")
    assert 2 * NEAR - 60 < len(text) <= 2 * NEAR
    assert span.start < 3000 < span.end
    file, span = chosen("x" * 3000, (0, 3000), (0, 3000))
    assert file.text(span) == "x" * NEAR


def edges_of(file: SourceFile, span: Span) -> tuple[Span, str, str, str]:
    """(the span that leaves no half secret, what is shown before, of, and after it)."""
    clean = secret_scan.clean(file.text(file.whole), reversible=True)
    rows = lines.split(clean.text)
    span = columns.around_secrets(file, span, rows, clean.kept)
    head, tail = columns.edges(file, span, rows, clean.kept)
    shown = "".join(rows[span.first_line : span.end_line])
    chosen_ = shown[len(head) : len(shown) - len(tail)]
    real = [secret_scan.restore(text, clean.kept) for text in (head, chosen_, tail)]
    assert real[1] == file.text(span)
    assert "".join(real) == "".join(
        lines.split(file.text(file.whole))[span.first_line : span.end_line]
    )
    return span, head, chosen_, tail


@pytest.mark.parametrize("shift", [-3, 0, 5, len(KEY) - 1, len(KEY), len(KEY) + 3])
def test_no_secret_is_half_selected(shift: int) -> None:
    content = f"// one\n{LONG}x='{KEY}';{LONG}k='{KEY[::-1]}'\n"
    at = content.split("\n")[1].index(KEY)
    for start, end in ((at + shift, at + 90), (at - 90, at + shift)):
        file, span = chosen(content, (1, start), (1, end))
        span, head, text, tail = edges_of(file, span)
        for piece in (head, text, tail):
            assert not any(KEY[cut : cut + 8] in piece for cut in range(len(KEY) - 8))
        assert file.text(span) in content
        inside = 0 < shift < len(KEY)
        if inside:
            assert KEY in file.text(span), "the whole of it is in the selection"


def long(text: str) -> str:
    """So often as to be more than a line that is shown whole."""
    return text * (LONGEST_LINE // len(text) + 1)


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=20).map("".join).map(long),
    st.integers(0, 4000),
    st.integers(0, 4000),
    st.sampled_from(["", "\n", "\r\nz\n"]),
    st.booleans(),
)
@example(long("값;"), 1, 2002, "\n", False)
def test_what_is_shown_is_what_is_replaced(
    row: str, one: int, other: int, end: str, bom: bool
) -> None:
    file = source.read("a.js", ("\ufeff" if bom else "") + row + end)
    start, stop = sorted((min(one, len(row)), min(other, len(row))))
    where = Selection(Position(0, start), Position(0, stop))
    span = columns.span(file, where, "utf-32")
    edges_of(file, span)
    assert file.replace(span, file.text(span)) == file.content
    if start and len(row) > LONGEST_LINE:
        assert len(file.text(span).rstrip("\r\n")) < len(row)
