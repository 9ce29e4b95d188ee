"""Edits for editors: applied they give the new bytes, and they touch nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import diff, source
from gateway.domain.source import Position, PositionEncoding, SourceFile
from gateway.domain.text_edits import TextEdit, apply, column_edit, edits

UNITS: list[PositionEncoding] = ["utf-8", "utf-16", "utf-32"]


def in_an_editor(
    file: SourceFile, found: tuple[TextEdit, ...], units: PositionEncoding = "utf-16"
) -> bytes:
    """What a client gets that knows lines and characters, and no bytes."""
    content = file.content
    for edit in reversed(found):
        start, end = (file.offset(at, units) for at in (edit.range.start, edit.range.end))
        content = content[:start] + edit.new_text.encode(file.encoding) + content[end:]
    return content


def test_each_run_of_changed_lines_is_an_edit() -> None:
    file = source.read("a.py", "a\nb\nc\nd\ne\n")
    first, second = edits(file, b"a\nB\nc\nd\ne\nf\n")
    assert (first.range.start, first.range.end) == (Position(1, 0), Position(2, 0))
    assert first.new_text == "B\n"
    assert (second.range.start, second.range.end) == (Position(5, 0), Position(5, 0))
    assert second.new_text == "f\n"


def test_equal_texts_need_no_edit() -> None:
    assert edits(source.read("a.py", "a\r\nb"), b"a\r\nb") == ()


def test_a_byte_order_mark_is_never_in_an_edit() -> None:
    file = source.read("a.py", b"\xef\xbb\xbfa\nb\n")
    (edit,) = edits(file, b"\xef\xbb\xbfx\nb\n")
    assert (edit.range.start, edit.new_text) == (Position(0, 0), "x\n")
    assert in_an_editor(file, (edit,)) == b"\xef\xbb\xbfx\nb\n"


@pytest.mark.parametrize("encoding", ["cp949", "shift_jis", "utf-8"])
def test_files_in_any_encoding_come_out_in_it(encoding: str) -> None:
    text = "a = '한국'\n" if encoding != "shift_jis" else "a = '日本'\n"
    file = source.read("a.py", (text * 3).encode(encoding), encoding=encoding)
    after = (text + "b = 1\n" + text * 2).encode(encoding)
    assert in_an_editor(file, edits(file, after)) == after


rows = st.sampled_from(["a", "b", "  x = 1", "값", "😀 y", "a\rb", "", "\t", "\u2028", "\x0c"])
ends = st.sampled_from(["\n", "\n", "\r\n", "\r\r\n"])
texts = st.tuples(
    st.sampled_from(["", "", "\ufeff"]),
    st.lists(st.tuples(rows, ends), max_size=12),
    st.one_of(st.just(""), rows),
).map(lambda parts: parts[0] + "".join(row + end for row, end in parts[1]) + parts[2])


@given(texts, texts, st.sampled_from(UNITS))
def test_edits_the_text_and_the_diff_agree(old: str, new: str, units: PositionEncoding) -> None:
    before, after = old.encode(), new.removeprefix("\ufeff").encode()
    if before.startswith(b"\xef\xbb\xbf"):
        after = b"\xef\xbb\xbf" + after
    file = source.read("a.py", before)
    found = edits(file, after, units)
    assert apply(found, before, "utf-8") == after
    assert in_an_editor(file, found, units) == after
    assert diff.apply(diff.unified_diff("a.py", before, after), before) == after


@given(texts, texts)
def test_bytes_outside_the_edits_stay_and_edits_do_not_touch(old: str, new: str) -> None:
    before, after = (text.replace("\ufeff", "").encode() for text in (old, new))
    file = source.read("a.py", before)
    at, grown = 0, 0
    for edit in edits(file, after):
        assert edit.start >= at
        kept = before[at : edit.start]
        assert after[at + grown : edit.start + grown] == kept
        assert edit.start == 0 or before[edit.start - 1 : edit.start] == b"\n" or not edit.end
        grown += len(edit.new_text.encode()) - (edit.end - edit.start)
        at = edit.end
    assert after[at + grown :] == before[at:]


@pytest.mark.parametrize(
    ("old", "new"),
    [("a(b,c)", "a(b,d,c)"), ("aaa", "aa"), ("aa", "aaa"), ("값x", "값y"), ("x", ""), ("ab", "ab")],
)
def test_an_edit_in_columns_says_no_more_than_what_differs(old: str, new: str) -> None:
    file = source.read("a.js", f"one\n값;{old};two\n")
    start = file.content.index(old.encode(), 4)
    span = source.Span(start, start + len(old.encode()), 1, 2)
    edit = column_edit(file, span, new)
    assert apply([edit], file.content, "utf-8") == file.replace(span, new)
    place = edit.range
    assert file.offset(place.start) == edit.start
    assert file.offset(place.end) == edit.end
    assert not old or not new or len(edit.new_text) < len(new)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("text", ["a\nb\r\n", "a\rb\r\n", "a\r\nb\n", "\nb\r\n", "a\r\r\nb", ""])
def test_a_column_edit_cuts_no_line_end_in_two(units: PositionEncoding, text: str) -> None:
    file = source.read("a.js", "a\r\nb\r\n")
    edit = column_edit(file, file.whole, text, units)
    assert in_an_editor(file, (edit,), units) == apply((edit,), file.content, "utf-8")
    assert apply((edit,), file.content, "utf-8") == text.encode()
