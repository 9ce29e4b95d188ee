"""Text edits as the language server protocol has them: one for each run of lines that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain import lines
from gateway.domain.encoding import BOM
from gateway.domain.source import PositionEncoding, Selection, SourceFile, Span


@dataclass(frozen=True, slots=True)
class TextEdit:
    """`new_text` takes the place of `range`: whole lines, or columns where a line is very long.
    Bytes `start:end` are the same place."""

    range: Selection
    new_text: str
    start: int
    end: int


def edits(
    file: SourceFile, after: bytes, units: PositionEncoding = "utf-16"
) -> tuple[TextEdit, ...]:
    """What turns `file` into `after`, from the top; they do not touch each other.

    Each is in the positions of the old file, so that a client applies them from the bottom, or all
    at once as editors do. `after` must be text in the file's encoding, and have its BOM.
    """
    head = len(BOM) if file.bom else 0
    old, new = lines.split(file.content[head:]), lines.split(after[head:])
    starts = _starts(old, head)
    found = []
    a = b = 0
    for run in [*lines.runs(old, new), lines.Run(len(old), len(new), 0)]:
        if run.old > a or run.new > b:
            start, end = starts[a], starts[run.old]
            place = Selection(file.position(start, units), file.position(end, units))
            text = b"".join(new[b : run.new]).decode(file.encoding)
            found.append(TextEdit(place, text, start, end))
        a, b = run.old + run.size, run.new + run.size
    return tuple(found)


def column_edit(
    file: SourceFile, span: Span, text: str, units: PositionEncoding = "utf-16"
) -> TextEdit:
    """`text` in the place of `span`, but for what the two begin and end with alike. No position is
    inside of a `\r\n`, so neither is an end of it."""
    old = file.text(span)
    most = min(len(old), len(text))
    head = next((at for at in range(most) if old[at] != text[at]), most)
    head -= old[head - 1 : head + 1] == "\r\n"
    most -= head
    tail = next((at for at in range(most) if old[-1 - at] != text[-1 - at]), most)
    tail -= old[len(old) - tail - 1 : len(old) - tail + 1] == "\r\n"
    start = span.start + len(old[:head].encode(file.encoding))
    end = span.end - len(old[len(old) - tail :].encode(file.encoding))
    place = Selection(file.position(start, units), file.position(end, units))
    return TextEdit(place, text[head : len(text) - tail], start, end)


def apply(found: Sequence[TextEdit], content: bytes, encoding: str) -> bytes:
    """`content` with the edits made, bottom up."""
    for edit in reversed(found):
        content = content[: edit.start] + edit.new_text.encode(encoding) + content[edit.end :]
    return content


def _starts(rows: list[bytes], at: int) -> list[int]:
    """Where each line starts, and where the last one ends."""
    found = [at]
    for row in rows:
        found.append(found[-1] + len(row))
    return found
