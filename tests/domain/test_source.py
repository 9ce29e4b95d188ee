"""Source files: bytes in are bytes out, and positions mean what the editor meant."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import source
from gateway.domain.encoding import ENCODINGS, BadEncoding
from gateway.domain.source import BadPath, InvalidRange, Position, PositionEncoding, Selection, Span

UNITS: tuple[PositionEncoding, ...] = ("utf-8", "utf-16", "utf-32")


def select(first: int, start: int, last: int, end: int) -> Selection:
    return Selection(Position(first, start), Position(last, end))


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def test_text_is_kept_as_the_bytes_of_its_encoding() -> None:
    file = source.read("a.py", "이름 = 1\r\n", encoding="CP949")
    assert file.content == "이름 = 1\r\n".encode("cp949")
    assert file.encoding == "cp949"
    assert file.sha256 == hashlib.sha256(file.content).hexdigest()


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_in_every_encoding_lines_are_cut_out_and_put_back(encoding: str) -> None:
    raw = b"first = 1\r\nsecond = 2\nthird\rfourth"
    file = source.read("a.txt", raw, encoding=encoding)
    span = file.span(select(1, 0, 1, 3))
    assert file.text(span) == "second = 2\n"
    assert file.replace(span, "new\n") == b"first = 1\r\nnew\nthird\rfourth"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp949", "가나다\n한글 = 1\n"), ("shift_jis", "表示ソ\n能 = 2\n"), ("gb18030", "汉字\n𠀀\n")],
)
def test_no_byte_of_another_character_ends_a_line(encoding: str, text: str) -> None:
    file = source.read("a.py", text.encode(encoding), encoding=encoding)
    assert file.text(file.span(select(1, 0, 1, 0))) == text.split("\n")[1] + "\n"


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        (b"a\0b", None, "NUL byte at offset 1"),
        ("a\0b", None, "NUL byte"),
        ("x".encode("utf-16"), "utf-8", "NUL byte"),
        (b"caf\xe9\n", None, "not utf-8 at byte 3"),
        (b"\xff", "ascii", "not ascii"),
        (b"a", "utf-16", "not supported"),
        (b"a", "iso2022_jp", "not supported"),
        (b"a", "klingon", "not supported"),
        (b"a", "base64", "not supported"),
        (b"a", "a\0b", "not supported"),
        ("a\n😀", "cp949", "Line 2 .*U\\+1F600"),
        ("\ud800", None, "U\\+D800"),
    ],
)
def test_what_is_no_text_is_refused_with_a_word_of_help(
    content: str | bytes, encoding: str | None, words: str
) -> None:
    with pytest.raises(BadEncoding, match=words) as caught:
        source.read("a.py", content, encoding=encoding)
    assert (caught.value.status, caught.value.code) == (422, "bad_encoding")


@pytest.mark.parametrize(
    "path",
    ["", "/", ".", "../a.py", "a/../../b", "..\\a.py", "a\\..\\b", "a\0b", "\udcff.py"],
)
def test_a_path_outside_the_project_is_refused(path: str) -> None:
    with pytest.raises(BadPath):
        source.read(path, "x")


@pytest.mark.parametrize("path", ["/src/a.py", "./src/a.py", "src//a.py", "src/./a.py"])
def test_a_path_is_taken_relative_to_the_project(path: str) -> None:
    assert source.read(path, "x").path == "src/a.py"


def test_the_language_comes_from_client_name_or_first_line() -> None:
    assert source.read("a.py", "").language == "python"
    assert source.read("a.py", "", language="Go").language == "go"
    assert source.read("run", "\ufeff#!/bin/sh\r\nls\r\n").language == "shellscript"


@pytest.mark.parametrize(
    ("content", "newline", "eol", "final"),
    [
        ("", "lf", "\n", False),
        ("a", "lf", "\n", False),
        ("a\n", "lf", "\n", True),
        ("a\r\nb\r\n", "crlf", "\r\n", True),
        ("a\r\nb\nc\r\n", "mixed", "\r\n", True),
        ("a\r\nb\nc", "mixed", "\n", False),
    ],
)
def test_line_ends_are_seen(content: str, newline: str, eol: str, final: bool) -> None:
    file = source.read("a", content)
    assert (file.newline, file.eol, file.final_newline) == (newline, eol, final)


@pytest.mark.parametrize(
    ("content", "unit"),
    [
        ("", ""),
        ("a\nb\n", ""),
        ("if x:\n    a\n    if y:\n        b\n", "    "),
        ("a:\n  b:\n    c: 1\nd:\n  e: 2\n", "  "),
        ("f() {\n\ta\n\t\tb\n}\n", "\t"),
        ("/*\n * a\n * b\n */\nf() {\n  a\n}\n", "  "),
    ],
)
def test_one_step_of_indentation_is_seen(content: str, unit: str) -> None:
    assert source.read("a", content).indent == unit


# ── positions ────────────────────────────────────────────────────────────────────────────────────

LINE = "a😀é한b"


@pytest.mark.parametrize(
    ("units", "places"),
    [
        ("utf-32", {0: 0, 1: 1, 2: 5, 3: 7, 4: 10, 5: 11, 99: 11}),
        ("utf-16", {0: 0, 1: 1, 3: 5, 4: 7, 5: 10, 6: 11, 99: 11}),
        ("utf-8", {0: 0, 1: 1, 5: 5, 7: 7, 10: 10, 11: 11, 99: 11}),
    ],
)
def test_characters_are_counted_in_the_units_of_the_client(
    units: PositionEncoding, places: dict[int, int]
) -> None:
    file = source.read("a", f"x\r\n{LINE}\r\ny")
    for character, offset in places.items():
        assert file.offset(Position(1, character), units) == 3 + offset
        if character != 99:
            assert file.position(3 + offset, units) == Position(1, character)


@pytest.mark.parametrize(("units", "character"), [("utf-16", 2), ("utf-8", 2), ("utf-8", 6)])
def test_a_position_inside_a_character_is_refused(units: PositionEncoding, character: int) -> None:
    with pytest.raises(InvalidRange, match="inside a character when counted in utf-"):
        source.read("a", LINE).offset(Position(0, character), units)


def test_a_byte_order_mark_is_no_character_and_never_in_a_selection() -> None:
    file = source.read("a", "\ufeffone\ntwo\n")
    assert file.bom
    assert file.offset(Position(0, 0)) == 3
    assert file.text(file.span(select(0, 0, 0, 2))) == "one\n"
    assert file.text(file.whole) == "one\ntwo\n"
    assert file.before(file.span(select(1, 0, 1, 0))) == "one\n"
    assert file.replace(file.whole, "x") == b"\xef\xbb\xbfx"
    assert file.position(0) == Position(0, 0)


def test_lines_end_as_in_the_language_server_protocol() -> None:
    file = source.read("a", "a\rb\r\nc\u2028d\x0ce\n")
    assert [file.offset(Position(line, 0)) for line in range(4)] == [0, 2, 5, 13]


@given(st.text(alphabet="a\r\né😀 \ufeff", max_size=30), st.sampled_from(UNITS))
def test_every_place_between_characters_comes_back(text: str, units: PositionEncoding) -> None:
    file = source.read("a", text)
    start = 3 if file.bom else 0
    body = file.content[start:].decode()
    for index in range(len(body) + 1):
        offset = start + len(body[:index].encode())
        if body[index - 1 : index + 1] == "\r\n" or body[index : index + 1] in ("\r", "\n"):
            continue  # the end of a line: one place, whichever of its bytes is meant
        assert file.offset(file.position(offset, units), units) == offset


# ── selections ───────────────────────────────────────────────────────────────────────────────────

TEXT = "zero\none\r\n\nthree\nfour"


@pytest.mark.parametrize(
    ("selection", "lines", "text"),
    [
        (select(0, 0, 0, 0), (0, 1), "zero\n"),
        (select(1, 2, 1, 2), (1, 2), "one\r\n"),
        (select(2, 0, 2, 0), (2, 3), "\n"),
        (select(4, 1, 4, 1), (4, 5), "four"),
        (select(0, 2, 1, 1), (0, 2), "zero\none\r\n"),
        (select(0, 0, 1, 0), (0, 1), "zero\n"),
        (select(1, 0, 2, 0), (1, 2), "one\r\n"),
        (select(1, 3, 3, 0), (1, 3), "one\r\n\n"),
        (select(3, 0, 4, 99), (3, 5), "three\nfour"),
        (select(0, 0, 5, 0), (0, 5), TEXT),
    ],
)
def test_a_selection_grows_to_whole_lines(
    selection: Selection, lines: tuple[int, int], text: str
) -> None:
    file = source.read("a", TEXT)
    span = file.span(selection)
    assert (span.first_line, span.end_line) == lines
    assert file.text(span) == text
    assert file.before(span) + text + file.after(span) == TEXT


def test_a_cursor_after_the_last_newline_selects_nothing() -> None:
    file = source.read("a", "one\n")
    span = file.span(select(1, 0, 1, 0))
    assert span == Span(4, 4, 1, 1)
    assert file.replace(span, "two\n") == b"one\ntwo\n"


def test_an_empty_file_has_one_empty_line() -> None:
    file = source.read("a", "")
    assert file.span(select(0, 0, 0, 0)) == file.whole == Span(0, 0, 0, 0)


def test_a_span_goes_back_to_the_client_in_its_own_units() -> None:
    file = source.read("a", "x\r\n😀é\r\nlast😀")
    span = file.span(select(1, 0, 2, 1))
    assert file.selection(span) == select(1, 0, 2, 6)
    assert file.selection(span, "utf-8") == select(1, 0, 2, 8)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (select(2, 0, 1, 0), r"ends \(line 1, character 0\) before it starts"),
        (select(9, 0, 9, 0), r"line 9, character 0 is outside a, which has 5 lines \(0 to 4;"),
        (select(0, 0, 5, 1), "line 5, character 1 is outside"),
        (select(-1, 0, 0, 0), "line -1"),
        (select(0, -1, 0, 0), "character -1 is outside"),
    ],
)
def test_a_selection_that_the_file_does_not_have_is_refused(
    selection: Selection, words: str
) -> None:
    with pytest.raises(InvalidRange, match=words) as caught:
        source.read("a", TEXT).span(selection)
    assert (caught.value.status, caught.value.code) == (422, "invalid_range")
    assert str(caught.value.param).startswith("selection")


@given(st.text(alphabet="ab\r\n한😀\ufeff", max_size=40), st.data())
def test_any_selection_becomes_whole_lines_around_it(text: str, data: st.DataObject) -> None:
    file = source.read("a", text)
    count = len(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    places = st.builds(Position, st.integers(0, count - 1), st.just(0) | st.just(10**9))
    start, end = sorted((data.draw(places), data.draw(places)))
    span = file.span(Selection(start, end))
    first = 3 if file.bom else 0
    assert first <= span.start <= file.offset(start) <= file.offset(end) <= span.end
    assert span.start == first or file.content[span.start - 1 : span.start] == b"\n"
    assert span.end == len(file.content) or file.content[span.end - 1 : span.end] == b"\n"
    assert span.first_line == file.content.count(b"\n", 0, span.start)
    rows = file.text(span).split("\n")
    assert span.end_line - span.first_line == len(rows) - (rows[-1] == "")
    assert file.replace(span, file.text(span)) == file.content


def test_text_that_the_encoding_lacks_cannot_be_put_in() -> None:
    file = source.read("a.py", "이름\n".encode("cp949"), encoding="cp949")
    with pytest.raises(BadEncoding, match=r"Line 1 .*U\+1F600"):
        file.replace(file.whole, "😀\n")


@pytest.mark.parametrize("content", ["\ufeffa\r\nb\nc", "a\nb\nc\n", "a\nb\rb\nc"])
def test_lines_by_number_are_the_bytes_between_their_ends(content: str) -> None:
    file = source.read("a.py", content)
    rows = content.removeprefix("\ufeff").split("\n")
    for first in range(3):
        for end in range(first, 4):
            span = file.lines(first, end)
            text = "\n".join(rows[first:end]) + ("\n" if end < len(rows) and end > first else "")
            assert file.text(span) == text
            assert (span.first_line, span.end_line) == (first, min(end, len(rows) - (not rows[-1])))


def test_lines_beyond_the_file_are_left_out() -> None:
    file = source.read("a.py", "a\nb\n")
    assert file.lines(1, 99) == file.lines(1, 2)
    assert file.text(file.lines(7, 9)) == ""
