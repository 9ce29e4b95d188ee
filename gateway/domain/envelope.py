"""What a model wraps around the text it was asked for: thinking, tags, fences, prose, line numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from gateway.domain.language import PROSE

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
    repeat it); `echoes` are the tags that the prompt put around the selection.
    """

    tag: str = "rewritten"
    prefill: str = ""
    echoes: tuple[str, ...] = ("selected", "selection")


@dataclass(frozen=True, slots=True)
class Letter:
    """The text as found (`found` says by what), the prose around it, what was taken off, or why not.

    `certain` where the model itself marked the end of the text.
    """

    text: str
    found: Found
    certain: bool = False
    notes: str = ""
    adjusted: tuple[str, ...] = ()
    why: str = ""


def open_letter(answer: Answer, protocol: Protocol, original: str, language: str) -> Letter:
    """The text in `answer` that is meant to replace `original`; `nothing` with a reason if unclear.

    Looked for in this order: the tag; the answer after a prefill; the longest closed fence; all of
    the answer, if it reads like `original` rather than like prose.
    """
    text, adjusted = _bare(answer.text, protocol, original)
    if text is None:
        return Letter(answer.text, "nothing", why="the answer ends inside its thinking")
    letter = _tagged(text, answer, protocol)
    if letter is None and protocol.prefill:
        letter = _after_prefill(text, answer, original, language)
    if letter is None:
        letter = _fenced(text, original)
    if letter is None:
        letter = _whole(text, answer, original, language)
    if letter.found == "nothing":
        return letter
    letter = _unwrapped(letter, protocol, original)
    return replace(letter, adjusted=adjusted + letter.adjusted)


# ── before the text ───────────────────────────────────────────────────────────────────────────────

_THINKING = re.compile(r"\s*<(think|thinking|reasoning)>(.*?)(?:</\1>|\Z)", re.S | re.I)
_THOUGHT = re.compile(r"</(?:think|thinking|reasoning)>", re.I)


def _bare(text: str, protocol: Protocol, original: str) -> tuple[str | None, tuple[str, ...]]:
    """`text` without an echoed prefill and leading thinking; None when the thinking never ends."""
    adjusted: list[str] = []
    prefill = protocol.prefill.strip()
    for _ in range(3):  # thinking may stand before the prefill and after it
        if prefill and text.lstrip().startswith(prefill):
            text = text.lstrip().removeprefix(prefill).removeprefix("\r").removeprefix("\n")
            adjusted.append("prefill_echo")
            prefill = ""
        match = _THINKING.match(text)
        if match is None or _THINKING.match(original):
            break
        adjusted.append("thinking")
        if not match[0].lower().endswith(f"</{match[1].lower()}>"):
            return None, tuple(adjusted)
        text = text[match.end() :].removeprefix("\r").removeprefix("\n")
    return _after_thought(text, protocol, adjusted), tuple(adjusted)


def _after_thought(text: str, protocol: Protocol, adjusted: list[str]) -> str:
    """Cut thinking whose opening tag stood in the chat template, so that only its end is seen."""
    end = _THOUGHT.search(text)
    tag = re.search(_open_tag(protocol.tag), text)
    if protocol.prefill or end is None or (tag and tag.start() < end.start()):
        return text
    if "<think" in text[: end.start()].lower() or "```" in text[: end.start()]:
        return text
    adjusted.append("thinking")
    return text[end.end() :].lstrip("\r\n")


# ── the text ──────────────────────────────────────────────────────────────────────────────────────


def _open_tag(name: str) -> str:
    return rf"(?i:<{re.escape(name)}(?:\s[^<>]*)?>)[ \t]*\r?\n?"


def _close_tag(name: str) -> str:
    return rf"(?i:</{re.escape(name)}\s*>)"


def _tagged(text: str, answer: Answer, protocol: Protocol) -> Letter | None:
    """The text of the tag. Its end may be missing when the model stopped of its own accord."""
    pattern = _open_tag(protocol.tag)
    opening = re.search(rf"(?m)^[ \t]*{pattern}", text) or re.search(pattern, text)
    if opening is None:
        return None
    found: list[tuple[str, bool]] = []
    notes = [text[: opening.start()]]
    while opening is not None:
        closing = re.compile(_close_tag(protocol.tag)).search(text, opening.end())
        end = closing.start() if closing else len(text)
        found.append((re.sub(rf"\A(?:{pattern})+", "", text[opening.end() : end]), bool(closing)))
        rest = closing.end() if closing else len(text)
        opening = re.compile(rf"^[ \t]*{pattern}", re.M).search(text, rest)
        notes.append(text[rest : opening.start() if opening else len(text)])
    if len({inside.strip() for inside, _ in found}) > 1:
        why = f"the answer has {len(found)} different <{protocol.tag}> blocks"
        return Letter(answer.text, "nothing", why=why)
    inside, closed = found[0]
    if not closed and answer.finish_reason != "stop":
        return Letter(answer.text, "nothing", why=f"the answer ends inside <{protocol.tag}>")
    closed = closed or _stopped_at(answer, protocol)
    said = "\n".join(note.strip() for note in notes).replace(f"</{protocol.tag}>", "").strip()
    return Letter(inside, "tag", certain=closed, notes=said)


def _stopped_at(answer: Answer, protocol: Protocol) -> bool:
    return isinstance(answer.stop_reason, str) and f"</{protocol.tag}" in answer.stop_reason


def _after_prefill(text: str, answer: Answer, original: str, language: str) -> Letter | None:
    """The answer went on where our prefill left off: all of it, up to the closing tag.

    None when it did not: prose, as of a model that ignored the prefill.
    """


# ── what is left around it ────────────────────────────────────────────────────────────────────────
