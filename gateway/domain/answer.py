"""From a model's answer to the new text of the selection: resolved exactly, or honestly refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.domain import encoding, entities, placeholder, search_replace
from gateway.domain.envelope import Answer, Letter, Protocol, bare, open_letter
from gateway.domain.original import Original
from gateway.domain.splice import Spliced, rejoin, rows_of, splice

__all__ = ["Answer", "Original", "Protocol", "Remark", "Resolution", "resolve"]

Status = Literal["changed", "no_change", "truncated", "unresolved"]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that the user should look at: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of an answer.

    `text` replaces the selection, line ends included, when `status` is `changed`; it is the
    selection itself at `no_change`, and the model's own words at `truncated` and `unresolved`.
    `adjusted` names what was mended on the way; `notes` is the prose around the text.
    """

    status: Status
    text: str
    adjusted: tuple[str, ...] = ()
    notes: str = ""
    warnings: tuple[Remark, ...] = ()


_MARK = "\ufeff"


def resolve(answer: Answer, original: Original, protocol: Protocol | None = None) -> Resolution:
    """The new text of `original.selected`. Never raises: what is not clear is `unresolved`.

    HTML entities and escapes are never decoded. Marks that the prompt renderer put into control
    tokens must have been taken out of `answer.text` by the caller.
    """
    if answer.finish_reason == "length":
        why = "The model reached its limit of output tokens before the end of the text."
        return Resolution("truncated", answer.text, warnings=(Remark("truncated", why),))
    protocol = protocol or Protocol()
    if protocol.edits:
        return _edited(answer, original, protocol)
    letter = open_letter(answer, protocol, original)
    if letter.found == "nothing":
        return _unresolved(answer, "no_text", letter.why)
    text, unmarked = _without_mark(letter.text, original)
    spliced = splice(text, original)
    problem = _problem(spliced, original, protocol.tag)
    if problem:
        return _unresolved(answer, *problem)
    changed = spliced.text != original.selected
    return Resolution(
        "changed" if changed else "no_change",
        spliced.text,
        adjusted=letter.adjusted + unmarked + spliced.adjusted,
        notes=letter.notes,
        warnings=tuple(_warnings(letter, spliced, original)),
    )


def _without_mark(text: str, original: Original) -> tuple[str, tuple[str, ...]]:
    """Without a byte order mark that the model has put there: that of the file, which the selection
    never holds, stays where it is. And what to say of it."""
    if text.startswith(_MARK) and not original.selected.startswith(_MARK):
        return text.removeprefix(_MARK), ("byte_order_mark",)
    return text, ()


def _edited(answer: Answer, original: Original, protocol: Protocol) -> Resolution:
    """The same for SEARCH/REPLACE blocks: all of them, or none."""
    text, adjusted = bare(answer.text, protocol, original.selected)
    if text is None or answer.finish_reason != "stop":
        return _unresolved(answer, "no_text", "the answer ends before the end of its edits")
    try:
        blocks, notes = search_replace.read(text)
        if not blocks and notes:
            return _unresolved(answer, "no_text", "the answer has no SEARCH/REPLACE block")
        made = search_replace.make(blocks, rows_of(original.selected), original.first_line)
    except search_replace.Unmatched as unmatched:
        return _unresolved(answer, "unmatched_edit", str(unmatched))
    spliced = Spliced(rejoin(made.rows, original), made.adjusted)
    problem = _problem(spliced, original, protocol.tag)
    if problem:
        return _unresolved(answer, *problem)
    changed = spliced.text != original.selected
    letter = Letter(spliced.text, "tag", certain=True)
    return Resolution(
        "changed" if changed else "no_change",
        spliced.text,
        adjusted=adjusted + spliced.adjusted,
        notes=notes,
        warnings=tuple(_warnings(letter, spliced, original)),
    )


def _unresolved(answer: Answer, code: str, why: str) -> Resolution:
    message = f"The answer was not applied: {why}."
    return Resolution("unresolved", answer.text, warnings=(Remark(code, message),))


def _warnings(letter: Letter, spliced: Spliced, original: Original) -> list[Remark]:
    found = []
    if not spliced.text and original.selected:
        found.append(Remark("deletes_all", "The answer deletes all selected lines."))
    if "indent" in spliced.doubts:
        text = (
            "The answer is indented otherwise than the selected lines; look whether that is right."
        )
        found.append(Remark("indent", text))
    if entities.new_ones(spliced.text, original.selected, original.language):
        text = "The answer has HTML entities; look whether they are wanted in the file."
        found.append(Remark("entities", text))
    if spliced.repeated:
        text = f"The answer says {spliced.repeated!r} again, which stands near the selection."
        found.append(Remark("repeated_context", text))
    if spliced.text != original.selected and _same_but_spaces(spliced.text, original.selected):
        text = "Only spaces at line ends differ."
        found.append(Remark("only_trailing_spaces", text))
    if spliced.text == original.selected and "edge_blank_lines" in spliced.adjusted:
        text = "Only blank lines at the edge of the selection differed; they were kept."
        found.append(Remark("edge_blank_lines", text))
    if letter.found == "whole" and spliced.text != original.selected:
        text = "Nothing in the answer marks the end of the text; look whether it is whole."
        found.append(Remark("unmarked_end", text))
    return found


def _same_but_spaces(text: str, original: str) -> bool:
    old, new = ([row.rstrip() for row in side.split("\n")] for side in (original, text))
    return old == new


def _problem(spliced: Spliced, original: Original, tag: str) -> tuple[str, str] | None:
    """(code, reason) when the text must not be written into the file."""
    if spliced.why:
        return "only_context", spliced.why
    left_out = placeholder.find(spliced.text, original.selected)
    if left_out:
        return "placeholder", f"it leaves out code, with {left_out!r} in its place"
    row = entities.escaped(spliced.text, original.selected)
    if row:
        return "entities", f"it has HTML entities where the file has none, as in {row!r}"
    left = _leftover(spliced.text, original, tag)
    if left:
        return "leftover", f"{left!r} is left in it, so that its borders are not clear"
    at = encoding.lost(spliced.text, original.encoding)
    if at is not None:
        character = f"U+{ord(spliced.text[at]):04X}"
        return "bad_encoding", f"it has {character}, which {original.encoding} cannot hold"
    if "\0" in spliced.text:
        return "bad_encoding", "it has a NUL character, which would make the file binary"
    return None


_THINK_TAGS = frozenset({"<think>", "</think>", "<thinking>", "</thinking>"})


def _leftover(text: str, original: Original, tag: str) -> str | None:
    """A tag of the protocol, or of thinking on a line of its own, that the original lacks."""
    for mark in (f"<{tag}>", f"</{tag}>"):
        if mark in text and mark not in original.selected:
            return mark
    rows = {row.strip() for row in text.split("\n")} & _THINK_TAGS
    return next((row for row in sorted(rows) if not original.has_row(row)), None)
