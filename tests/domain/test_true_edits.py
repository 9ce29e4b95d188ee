"""Edits of real files: git applies each diff, editors each edit, and answers come back exactly."""

from __future__ import annotations

import html
import random
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.domain import diff
from gateway.domain.answer import Answer, Original, Protocol, Resolution, resolve
from gateway.domain.text_edits import apply, edits
from tests.domain.test_diff import git_apply, with_git
from tests.domain.true_edits import TrueEdit, true_edits

PAIRS = list(true_edits(seed=4, count=420))


@with_git
def test_git_applies_hundreds_of_real_edits_byte_for_byte(tmp_path: Path) -> None:
    draw = random.Random(5)
    patch = b"".join(
        diff.unified_diff(
            pair.file.path, pair.file.content, pair.after, context=draw.choice([1, 3, 10])
        )
        for pair in PAIRS
    )
    git_apply(tmp_path, ((pair.file.path, pair.file.content) for pair in PAIRS), patch)
    wrong = [
        pair.file.path for pair in PAIRS if (tmp_path / pair.file.path).read_bytes() != pair.after
    ]
    assert wrong == []
    assert sum(pair.after != pair.file.content for pair in PAIRS) >= 300


def test_the_edits_for_editors_give_the_same_bytes() -> None:
    for pair in PAIRS:
        found = edits(pair.file, pair.after)
        assert apply(found, pair.file.content, "utf-8") == pair.after


# ── mutated answers ──────────────────────────────────────────────────────────────────────────────

TAGGED = Protocol()
PREFILLED = Protocol(prefill="<rewritten>\n")
Bend = Callable[[str, TrueEdit, random.Random], str]


def around(pair: TrueEdit, rows: int, side: str) -> str:
    """Lines right above or below the selection, as a model says them."""
    text = pair.file.before(pair.span) if side == "above" else pair.file.after(pair.span)
    parts = text.replace("\r\n", "\n").splitlines(keepends=True)
    return "".join(parts[-rows:] if side == "above" else parts[:rows])


def without_blanks(text: str) -> str:
    return re.sub(r"\n{2,}", "\n", text).lstrip("\n")


BENDS: dict[str, Bend] = {
    "as it is": lambda text, pair, draw: text,
    "with CRLF": lambda text, pair, draw: text.replace("\n", "\r\n"),
    "stripped": lambda text, pair, draw: text.strip(),
    "dedented": lambda text, pair, draw: textwrap.dedent(text),
    "further in": lambda text, pair, draw: textwrap.indent(text, "    "),
    "with five lines above": lambda text, pair, draw: around(pair, 5, "above") + text,
    "with five lines below": lambda text, pair, draw: text + around(pair, 5, "below"),
    "with lines above but no blank ones": lambda text, pair, draw: (
        without_blanks(around(pair, 5, "above")) + text
    ),
    "with the whole file": lambda text, pair, draw: (
        around(pair, 10**6, "above") + text + around(pair, 10**6, "below")
    ),
    "without trailing spaces": lambda text, pair, draw: re.sub(r"[ \t]+\n", "\n", text),
    "entity-escaped": lambda text, pair, draw: html.escape(text),
    "with a placeholder": lambda text, pair, draw: (
        text.split("\n")[0] + "\n# ... rest of the code stays the same ...\n"
    ),
    "cut in the middle": lambda text, pair, draw: text[: draw.randrange(len(text) // 2 + 1)],
}

Wrap = Callable[[str], tuple[str, str | None, Protocol]]
WRAPS: dict[str, Wrap] = {
    "a tag": lambda text: (f"<rewritten>\n{text}</rewritten>", None, TAGGED),
    "prose and a tag": lambda text: (
        f"Sure, here it is:\n<rewritten>\n{text}</rewritten>\nI hope that this helps you.",
        None,
        TAGGED,
    ),
    "thinking": lambda text: (
        f"<think>\nhm\n</think>\n<rewritten>\n{text}</rewritten>", None, TAGGED
    ),
    "a prefill": lambda text: (text, "</rewritten>", PREFILLED),
    "a fence": lambda text: (f"`````python\n{text}\n`````\n", None, TAGGED),
    "a fence in the tag": lambda text: (
        f"<rewritten>\n````\n{text}\n````\n</rewritten>", None, TAGGED
    ),
    "echoed tags": lambda text: (f"<selected>\n{text}\n</selected>\n", "</rewritten>", PREFILLED),
}  # fmt: skip

DAMAGED = {"entity-escaped", "with a placeholder", "cut in the middle"}


def answered(pair: TrueEdit, bend: str, wrap: str, draw: random.Random) -> Resolution:
    """What becomes of the true new text, bent and wrapped."""
    said = BENDS[bend](pair.new.replace("\r\n", "\n"), pair, draw)
    text, stop, protocol = WRAPS[wrap](said)
    finish = "length" if bend == "cut in the middle" else "stop"
    return resolve(Answer(text, finish, stop), Original.of(pair.file, pair.span), protocol)


def exact(pair: TrueEdit, found: Resolution) -> bool:
    """The very bytes; blank lines at the edges and spaces at line ends are kept as they were."""
    ours, theirs = (
        [row.rstrip() for row in text.strip().split("\n")] for text in (found.text, pair.new)
    )
    free = bool(found.adjusted) or pair.file.newline == "mixed"  # which end a new line takes
    return ours == theirs and (found.text == pair.new or free)


@pytest.mark.parametrize("bend", sorted(BENDS.keys() - DAMAGED))
def test_a_true_text_bent_and_wrapped_comes_back_or_is_refused_or_warned_of(bend: str) -> None:
    draw = random.Random(bend)
    wrong, resolved = [], 0
    for pair in PAIRS:
        if not pair.has_news:
            continue  # where nothing but the indentation differs, that is the wish
        wrap = draw.choice(sorted(WRAPS))
        found = answered(pair, bend, wrap, draw)
        if found.status == "changed":
            resolved += 1
            if not exact(pair, found) and not found.warnings:
                wrong.append((pair.file.path, pair.span, wrap, found.adjusted))
    assert wrong == []
    assert resolved > 0.85 * len(PAIRS)


def test_an_entity_escaped_answer_is_refused_or_warned_of() -> None:
    draw = random.Random(6)
    refused = 0
    for pair in PAIRS:
        if html.escape(pair.new) == pair.new or "&" in pair.new.replace("&lt;x&gt;", ""):
            continue
        found = answered(pair, "entity-escaped", draw.choice(sorted(WRAPS)), draw)
        refused += found.status == "unresolved"
        assert found.status == "unresolved" or found.warnings, (pair.file.path, found)
    assert refused > 150


@pytest.mark.parametrize("bend", ["with a placeholder", "cut in the middle"])
def test_an_answer_with_code_left_out_is_never_applied(bend: str) -> None:
    draw = random.Random(bend)
    for pair in PAIRS:
        found = answered(pair, bend, draw.choice(sorted(WRAPS)), draw)
        assert found.status in ("unresolved", "truncated"), (pair.file.path, found)
