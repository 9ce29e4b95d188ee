"""A rewriting's change, made on bytes: by its edits, its diff or its text, whichever it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.client.errors import NothingToApply
from gateway.domain import diff as diffs
from gateway.domain import source
from gateway.domain.errors import GatewayError

if TYPE_CHECKING:
    from gateway.client.places import Position, Range
    from gateway.client.results import Rewriting


def applied(answer: Rewriting, content: bytes) -> bytes:
    """`content` after the change. NothingToApply when the answer has none that fits."""
    try:
        return _applied(answer, content)
    except (GatewayError, UnicodeError) as error:
        raise NothingToApply(f"the change does not fit the file: {error}") from error


def _applied(answer: Rewriting, content: bytes) -> bytes:
    sent = answer.sent
    file = source.SourceFile(sent.path, "", content, sent.encoding)
    if answer.edits is not None:
        edits = [(edit.range, edit.new_text) for edit in answer.edits]
        return _edited(answer, file, edits)
    if answer.diff is not None:
        return diffs.apply(answer.diff.encode(sent.encoding), content)
    if answer.text is not None and answer.range is not None:
        return _edited(answer, file, [(answer.range, answer.text)])
    raise NothingToApply("the answer has no edits, diff or text; ask for one of them in formats")


def _edited(answer: Rewriting, file: source.SourceFile, edits: list[tuple[Range, str]]) -> bytes:
    """All edits at once, in positions of the old file, from the bottom up."""
    after = file.content

    def byte(place: Position) -> int:
        at = source.Position(place.line, place.character)
        return file.offset(at, answer.sent.position_encoding)

    for place, text in sorted(edits, key=lambda edit: edit[0].start, reverse=True):
        start, end = byte(place.start), byte(place.end)
        after = after[:start] + text.encode(answer.sent.encoding) + after[end:]
    return after
