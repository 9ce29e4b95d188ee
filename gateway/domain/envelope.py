"""What a model wraps around the text it was asked for: thinking, tags, fences, prose, numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from gateway.domain import fences, prose
from gateway.domain.language import PROSE
from gateway.domain.original import Original

Found = Literal["tag", "prefill", "fence", "whole", "nothing"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said. `stop_reason` is vLLM's: the stop string that ended it, if one did."""

    text: str
    finish_reason: str | None
    stop_reason: str | int | None = None


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the prompt asked for the text.

    `tag` goes around it; `prefill` is the start of the answer that we gave the model (some servers
    repeat it); `echoes` are the tags that the prompt put around the selection. `edits` is True
    where SEARCH/REPLACE blocks were asked for instead of the whole text.
    """

    tag: str = "rewritten"
    prefill: str = ""
    echoes: tuple[str, ...] = ("selected", "selection")
    edits: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """The text as found, the prose around it, and what was taken off; or why there is none.

    `found` says by what; `certain` where something in the answer marks the end of the text.
    """

    text: str
    found: Found
    certain: bool = False
    notes: str = ""
    adjusted: tuple[str, ...] = ()
    why: str = ""


def open_letter(answer: Answer, protocol: Protocol, original: Original) -> Letter:
    """The text in `answer` that is meant to replace `original`; `nothing` with a reason if unclear.

    Looked for in this order: the tag; what follows a prefill; the longest closed fence; all of the
    answer, if it reads like `original` rather than like prose.
    """
    selected, language = original.selected, original.language
    text, adjusted = bare(answer.text, protocol, selected)
    if text is None:
        return _nothing("the answer ends inside its thinking")
    stopped = answer.finish_reason == "stop"
    sealed = isinstance(answer.stop_reason, str) and f"</{protocol.tag}" in answer.stop_reason
    if protocol.prefill:
        letter = _after_prefill(text, protocol.tag, original, sealed=sealed)
    else:
        letter = _tagged(text, protocol.tag, sealed=sealed)
    letter = letter or _fenced(text, selected, language) or Letter(text, "whole")
    if letter.found != "nothing":
        letter = _unwrapped(letter, protocol, original)
    if letter.found == "nothing" or letter.certain:
        return replace(letter, adjusted=adjusted + letter.adjusted)
    why = _doubt(letter, selected, language, stopped=stopped)
    return _nothing(why) if why else replace(letter, adjusted=adjusted + letter.adjusted)


def _nothing(why: str) -> Letter:
    return Letter("", "nothing", why=why)


def _doubt(letter: Letter, original: str, language: str, *, stopped: bool) -> str:
    """Why a text whose end nothing marks is not to be trusted; empty when it is."""
    if not stopped:
        return "the answer ends before the end of the text"
    if not letter.text.strip():
        return "the answer is empty"
    if prose.around(letter.text, original, language):
        return "the answer is prose"
    if letter.found == "whole" and not prose.related(letter.text, original):
        return "the answer has neither tag nor fence and nothing in common with the selection"
    return ""


# ── before the text ───────────────────────────────────────────────────────────────────────────────

_THINKING = re.compile(r"\s*<(think|thinking|reasoning)>(.*?)(?:(?P<end></\1>)|\Z)", re.S | re.I)
_THOUGHT = re.compile(r"</(?:think|thinking|reasoning)>", re.I)


def bare(text: str, protocol: Protocol, original: str) -> tuple[str | None, tuple[str, ...]]:
    """`text` without an echoed prefill and leading thinking; None when the thinking never ends."""
    adjusted: list[str] = []
    prefill = protocol.prefill.strip()
    for _ in range(2):  # thinking may stand before the prefill and after it
        if prefill and text.lstrip().startswith(prefill):
            text = _after_line(text.lstrip().removeprefix(prefill))
            adjusted.append("prefill_echo")
        match = _THINKING.match(text)
        if match is None or _THINKING.match(original):
            break
        if not match["end"]:
            return None, ()
        text = _after_line(text[match.end() :])
        adjusted.append("thinking")
    thought = None if protocol.prefill or _THOUGHT.search(original) else _THOUGHT.search(text)
    if thought and _is_thinking(text, thought, protocol.tag):
        text = _after_line(text[thought.end() :])
        adjusted.append("thinking")
    return text, tuple(dict.fromkeys(adjusted))


def _is_thinking(text: str, thought: re.Match[str], tag: str) -> bool:
    """Whether what stands before `</think>` was thought; its opening may be in the template.

    It is not when the answer has begun: the tag is open there, and not opened again after it.
    """
    before, after = text[: thought.start()].lower(), text[thought.end() :].lower()
    opened, closed = (before.rfind(mark + tag.lower()) for mark in ("<", "</"))
    return "<think" not in before and (opened <= closed or f"<{tag.lower()}" in after)


def _after_line(text: str) -> str:
    return re.sub(r"\A[ \t]*\r?\n", "", text)


# ── the text ──────────────────────────────────────────────────────────────────────────────────────


def _patterns(tag: str) -> tuple[str, re.Pattern[str], re.Pattern[str]]:
    """The opening tag with its line end; the same at the start of a line; the closing tag."""
    open_tag = rf"(?i:<{re.escape(tag)}(?:\s[^<>\n]*)?>)[ \t]*(?:\r?\n)?"
    at_line = re.compile(rf"^[ \t]*(?:{open_tag})+", re.M)
    return open_tag, at_line, re.compile(rf"</{re.escape(tag)}\s*>", re.I)


def _tagged(text: str, tag: str, *, sealed: bool) -> Letter | None:
    """The text of the tag; `sealed` when the server stopped at its end, which is then not shown."""
    open_tag, at_line, close_tag = _patterns(tag)
    opening = at_line.search(text)
    if opening is None:  # inside a line it is a mention of the tag, unless something closes it
        opening = re.search(rf"(?<!`){open_tag}", text)
        if opening is None or not (sealed or close_tag.search(text, opening.end())):
            return None
    inside: list[str] = []
    notes: list[str] = []
    at = 0
    while opening is not None:
        closing = close_tag.search(text, opening.end())
        notes.append(text[at : opening.start()])
        inside.append(text[opening.end() : closing.start() if closing else len(text)])
        at = closing.end() if closing else len(text)
        sealed = bool(closing) or sealed
        opening = at_line.search(text, at)
    if len({part.strip() for part in inside}) > 1:
        return _nothing(f"the answer has {len(inside)} different <{tag}> blocks")
    notes.append(close_tag.sub("", text[at:]))
    return Letter(inside[0], "tag", certain=sealed, notes=_joined(notes))


def _after_prefill(text: str, tag: str, original: Original, *, sealed: bool) -> Letter | None:
    """All that follows our prefill, up to the closing tag; None when a fence holds the text.

    The model may open the tag again, at once or after prose, as if there had been no prefill.
    """
    _, at_line, close_tag = _patterns(tag)
    opening, closing = at_line.search(text), close_tag.search(text)
    if opening and not (closing and closing.start() < opening.start()):
        head = text[: opening.start()]
        if not head.strip() or prose.around(head, original.selected, original.language):
            return _tagged(text, tag, sealed=sealed)
        return _nothing(f"the answer opens <{tag}> in the middle of the text")
    if closing:
        return _tagged(f"<{tag}>\n{text}", tag, sealed=sealed)
    code = original.language not in PROSE and not fences.any_in(original.selected)
    if not sealed and code and fences.any_in(text):
        return None
    return Letter(text, "prefill", certain=sealed)


def _fenced(text: str, original: str, language: str) -> Letter | None:
    """The longest closed fence. Where `original` has fences itself, only one around everything."""
    wrapped = fences.wrapped(text)
    if wrapped is not None:
        return Letter(wrapped.text, "fence", certain=True, adjusted=("fence",))
    if fences.any_in(original) or not fences.any_in(text):
        return None
    closed = fences.blocks(text)
    found = [block for block in closed if block.fits(language)]
    news = [block for block in found if block.text.strip() != original.strip()]
    if not found:
        return _nothing("only a part of the answer is in a fence" if closed else _UNCLOSED)
    best = max(news or found, key=lambda block: len(block.text))
    if not prose.related(best.text, original):
        return _nothing("the fenced block has nothing in common with the selection")
    notes = _joined([text[: best.start], text[best.end :]])
    return Letter(best.text, "fence", certain=True, notes=notes, adjusted=("fence",))


_UNCLOSED = "a fence in the answer does not close"


def _joined(parts: list[str]) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())


# ── around the text, inside its tag or fence ──────────────────────────────────────────────────────


def _unwrapped(letter: Letter, protocol: Protocol, original: Original) -> Letter:
    """`letter` without echoed tags, a fence around all of it, and line numbers on every line.

    In Markdown a block of code at the start is a part of the text, and stays.
    """
    for _ in range(3):
        text = _without_echoes(letter.text, protocol, original.selected)
        if text != letter.text:
            letter = replace(letter, text=text, adjusted=(*letter.adjusted, "echoed_tag"))
        if not fences.starts(letter.text) or fences.starts(original.selected):
            break
        if original.language == "markdown" and fences.starts_block(letter.text):
            break
        inner = _fenced(letter.text, original.selected, original.language)
        if inner is None or inner.found == "nothing":
            return _nothing(_UNCLOSED)
        notes = _joined([letter.notes, inner.notes])
        letter = replace(inner, adjusted=letter.adjusted + inner.adjusted, notes=notes)
    text = _without_gutter(letter.text, original)
    if text != letter.text:
        letter = replace(letter, text=text, adjusted=(*letter.adjusted, "gutter"))
    return replace(letter, adjusted=tuple(dict.fromkeys(letter.adjusted)))


def _without_echoes(text: str, protocol: Protocol, original: str) -> str:
    for name in protocol.echoes:
        opening = re.search(rf"^[ \t]*<{re.escape(name)}>[ \t]*\r?\n?", text, re.M)
        closing = re.search(rf"(?:^[ \t]*)?</{re.escape(name)}>[ \t]*(?:\r?\n|\Z)", text, re.M)
        if f"<{name}>" in original or f"</{name}>" in original:
            continue
        if opening and closing and opening.end() <= closing.start():
            text = text[opening.end() : closing.start()]
        elif opening and not text[: opening.start()].strip():
            text = text[opening.end() :]
        elif closing and not text[closing.end() :].strip():
            text = text[: closing.start()]
    return text


_GUTTER = re.compile(r"[ \t]*(\d{1,9})(?:[ \t]*[|│:]|\t)(.*)\Z", re.S)


def _without_gutter(text: str, original: Original) -> str:
    """`text` without line numbers, if all its lines have them, rising by one.

    They must be the numbers that the lines have in the file, or stand before lines of `original`:
    else they may be data, as the keys of a dictionary are.
    """
    rows = text.strip("\r\n").split("\n")
    matches = [match for match in (_GUTTER.match(row) for row in rows) if match is not None]
    if len(matches) != len(rows) or _GUTTER.match(original.selected):
        return text
    numbers = [int(match[1]) for match in matches]
    if numbers != list(range(numbers[0], numbers[0] + len(rows))):
        return text
    rest = [match[2] for match in matches]
    own = {row.strip() for row in original.selected.split("\n")} - {""}
    known = any(row.strip() in own for row in rest)
    if numbers[0] != original.first_line and not (known and len(rows) > 1):
        return text
    spaced = all(row.startswith(" ") for row in rest if row.strip())
    return "\n".join(row[spaced:] for row in rest) + "\n"
