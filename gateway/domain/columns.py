"""A selection inside lines too long to be shown whole: exact columns, where others are lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.domain import lines
from gateway.domain.secret_scan import restore
from gateway.domain.source import PositionEncoding, Selection, SourceFile, Span

LONGEST_LINE = 2000
"""Characters of a line that is shown whole."""
NEAR = 500
"""Characters on either side of a cursor that it stands for in a longer line."""

_BORDERS = (re.compile(r"[;{}>]"), re.compile(r"\s"))
"""What ends a statement or an element; and what ends a word, for want of those."""


def span(file: SourceFile, selection: Selection, units: PositionEncoding = "utf-16") -> Span:
    """The selection grown to whole lines, as `SourceFile.span` does; in a first or last line longer
    than LONGEST_LINE it stays as it is, but for spaces at its edges. A cursor in such a line is
    what lies around it. Raises `InvalidRange`."""
    whole = file.span(selection, units)
    rows = lines.split(file.text(whole))
    if not rows or max(len(rows[0]), len(rows[-1])) <= LONGEST_LINE:
        return whole
    start, end = file.offset(selection.start, units), file.offset(selection.end, units)
    if start == end:
        return _around(file, whole, rows[0], start)
    body_end = whole.end - _size(file, rows[-1]) + _size(file, rows[-1].rstrip("\r\n"))
    head = start if len(rows[0]) > LONGEST_LINE else whole.start
    tail = end if len(rows[-1]) > LONGEST_LINE and end < body_end else whole.end
    return _bare(file, replace(whole, start=head, end=tail))


def cut(file: SourceFile, span: Span) -> tuple[bool, bool]:
    """Whether `span` starts, and whether it ends, inside a line."""
    content = file.content
    if span.start == span.end:
        return False, False
    starts = span.start > file.whole.start and content[span.start - 1 : span.start] != b"\n"
    return starts, span.end < len(content) and content[span.end - 1 : span.end] != b"\n"


def edges(
    file: SourceFile, span: Span, rows: Sequence[str], secrets: Mapping[str, str]
) -> tuple[str, str]:
    """What the first line has before `span`, and the last one after it; `rows` are the lines of the
    file as they may be shown, with placeholders for `secrets`."""
    starts, ends = cut(file, span)
    head = tail = ""
    if starts:
        lead = file.content.rfind(b"\n", 0, span.start) + 1
        before = file.content[max(lead, file.whole.start) : span.start].decode(file.encoding)
        row = rows[span.first_line]
        head = row[: _shown_at(row, secrets, len(before), after=False)]
    if ends:
        row = rows[span.end_line - 1]
        found = file.content.find(b"\n", span.end) + 1
        after = file.content[span.end : found or len(file.content)].decode(file.encoding)
        real = len(restore(row, secrets)) - len(after)
        tail = row[_shown_at(row, secrets, real, after=True) :]
    return head, tail


def around_secrets(
    file: SourceFile, span: Span, rows: Sequence[str], secrets: Mapping[str, str]
) -> Span:
    """`span`, moved outwards where it starts or ends inside a secret: half of one is one still."""
    head, tail = edges(file, span, rows, secrets)
    starts, ends = cut(file, span)
    if starts:
        line = max(file.content.rfind(b"\n", 0, span.start) + 1, file.whole.start)
        span = replace(span, start=line + _size(file, restore(head, secrets)))
    if ends:
        line_end = (file.content.find(b"\n", span.end) + 1) or len(file.content)
        span = replace(span, end=line_end - _size(file, restore(tail, secrets)))
    return span


def _around(file: SourceFile, whole: Span, row: str, cursor: int) -> Span:
    """The columns around a cursor, from the border of a statement to another where there is one."""
    body = row.rstrip("\r\n")
    at = min(len(file.content[whole.start : cursor].decode(file.encoding)), len(body))
    left, right = max(at - NEAR, 0), min(at + NEAR, len(body))
    if left:
        left = next((m.end() for border in _BORDERS if (m := border.search(body, left, at))), left)
    if right < len(body):
        ends = ([m.end() for m in border.finditer(body, at, right)] for border in _BORDERS)
        right = next((found[-1] for found in ends if found), right)
    start = whole.start + _size(file, body[:left])
    return _bare(file, replace(whole, start=start, end=start + _size(file, body[left:right])))


def _bare(file: SourceFile, span: Span) -> Span:
    """Without the spaces at edges inside a line: an answer would lose them, and join two words."""
    text = file.text(span)
    starts, ends = cut(file, span)
    if not text.strip():
        return span
    lead = len(text) - len(text.lstrip(" \t")) if starts else 0
    trail = len(text) - len(text.rstrip(" \t")) if ends else 0
    start = span.start + _size(file, text[:lead])
    return replace(span, start=start, end=span.end - _size(file, text[len(text) - trail :]))


def _shown_at(row: str, secrets: Mapping[str, str], column: int, *, after: bool) -> int:
    """Where in `row`, which has placeholders, that column of the real line is; inside a secret the
    place before its placeholder, or the one `after` it."""
    at = real = 0
    for match in re.finditer("|".join(map(re.escape, secrets)), row) if secrets else ():
        ahead = real + match.start() - at
        if column <= ahead:
            break
        real = ahead + len(secrets[match[0]])
        at = match.end()
        if column < real:
            return at if after else match.start()
    return at + column - real


def _size(file: SourceFile, text: str) -> int:
    return len(text.encode(file.encoding))
