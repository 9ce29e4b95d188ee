"""Indentation: what a file uses, and an answer brought back to it when it slipped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rebased:
    """Lines with the indentation of the original; what was done to them; whether to warn."""

    lines: list[str]
    adjusted: tuple[str, ...] = ()
    doubtful: bool = False


# A line that may stand left of the block it follows: no sign that the whole answer is too far left.
_OUTDENTED = re.compile(
    r"\s*(?:(?:else|elif|elsif|except|finally|catch|case|default|end|when|ensure|rescue|then|fi|done)\b"
    r"|[})\]]|</)"
)
_OPENS_A_BLOCK = re.compile(r"[:({\[]\s*(?:#.*|//.*)?$|\b(?:do|then|begin)\s*$")


def leading(line: str) -> str:
    """The spaces and tabs at the start of `line`."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def common(lines: Sequence[str]) -> str:
    """The indentation that all lines share that are not blank."""
    leads = [leading(line) for line in lines if line.strip()]
    if not leads:
        return ""
    least, most = min(leads), max(leads)  # in the order of strings: what they share, all share
    size = next(
        (at for at, pair in enumerate(zip(least, most, strict=False)) if len({*pair}) > 1), None
    )
    return least[:size]


def unit(lines: Sequence[str]) -> str:
    """One step of indentation: a tab, 2 to 8 spaces, or `""` when nothing is indented."""
    tabs = sum(line.startswith("\t") for line in lines if line.strip())
    steps: Counter[int] = Counter()
    last = 0
    for line in lines:
        if line.strip() and not line.startswith("\t"):
            width = len(leading(line))
            steps[width - last] += 1
            last = width
    inward = {step: count for step, count in steps.items() if 2 <= step <= 8}
    if tabs > sum(inward.values()):
        return "\t"
    return " " * max(inward, key=lambda step: (inward[step], -step)) if inward else ""


def rebase(answer: list[str], original: list[str]) -> Rebased:
    """`answer` at the indentation of `original`, where the difference is plainly the model's slip.

    Slips are: tabs for spaces or the reverse, a first line that lost its indentation, and one
    constant shift of all lines. Anything else is left as it is and `doubtful`, if it looks wrong.
    Both are lines without ends.
    """
    home = common(original)
    answer, retabbed = _retabbed(answer, original)
    done = ("indent_style",) if retabbed else ()
    base = common(answer)
    shifted = [home + line[len(base) :] if line.strip() else line for line in answer]
    if base != home and _fits(shifted, original) and _stripped(answer) != _stripped(original):
        return Rebased(shifted, (*done, "indent_shift"))
    if _first_line_slipped(answer, original, home):
        first = next(index for index, line in enumerate(answer) if line.strip())
        lines = [*answer[:first], home + answer[first], *answer[first + 1 :]]
        return Rebased(lines, (*done, "first_line"))
    if base == home:
        return Rebased(answer, done, doubtful=_moved(answer, original))
    if not _stripped(answer) or not _stripped(original):
        return Rebased(answer, done)
    first_line = next(line for line in answer if line.strip())
    if not leading(first_line) and not _OUTDENTED.match(first_line):
        # A block that starts at column 0 where every line was indented.
        strange = bool(_shared(shifted, original)) and not _fits(shifted, original)
        return Rebased(shifted, (*done, "indent_shift"), doubtful=strange)
    same = [line.strip() for line in answer] == [line.strip() for line in original]
    return Rebased(answer, done, doubtful=not same)


def _shared(answer: list[str], original: list[str]) -> list[tuple[str, str]]:
    """(here, there) for each line that occurs once in both, spaces around it aside."""
    old, new = _once(original), _once(answer)
    return [(new[text], old[text]) for text in old.keys() & new.keys() - {""}]


def _fits(answer: list[str], original: list[str]) -> bool:
    """Whether there are such lines, and all stand as they did."""
    shared = _shared(answer, original)
    return bool(shared) and all(here == there for here, there in shared)


def _moved(answer: list[str], original: list[str]) -> bool:
    """Whether all lines that both have moved sideways by one step, or the first to column 0, and
    no new line around them says why: a sign that the model lost the place."""
    filled, own = ([line for line in side if line.strip()] for side in (answer, original))
    if not filled or not own or _stripped(answer) == _stripped(original):
        return False
    if leading(own[0]) and not leading(filled[0]) and len(filled) > 1:
        return True
    pairs = _shared(answer, original)
    shifts = {len(leading(here)) - len(leading(there)) for here, there in pairs}
    if len(shifts) != 1 or shifts == {0}:
        return False
    wraps = filled[0].strip() not in _stripped(original) and _OPENS_A_BLOCK.search(filled[0])
    return not wraps


def _first_line_slipped(answer: list[str], original: list[str], home: str) -> bool:
    """Whether only the first line is at column 0, as after a `strip()` of the text."""
    filled = [line for line in answer if line.strip()]
    if not home or len(filled) < 2 or leading(filled[0]):
        return False
    if not common(filled[1:]).startswith(home) or _OUTDENTED.match(filled[0]):
        return False
    deeper = len(leading(filled[1])) > len(home)
    return deeper or not _OPENS_A_BLOCK.search(filled[0])


def _retabbed(answer: list[str], original: list[str]) -> tuple[list[str], bool]:
    """`answer` with the original's tabs or spaces, if that makes the lines they share equal."""
    kinds = {leading(line)[:1] for line in original if line.strip()} - {""}
    used = {leading(line)[:1] for line in answer if line.strip()} - {""}
    if len(kinds) != 1 or len(used) != 1 or kinds == used:
        return answer, False
    for width in (4, 2, 8, 3):
        changed = [_converted(line, width, to_tabs=kinds == {"\t"}) for line in answer]
        if _agree(changed, original):
            return changed, True
    return answer, False


def _converted(line: str, width: int, *, to_tabs: bool) -> str:
    lead = leading(line)
    if to_tabs:
        columns = len(lead.expandtabs(width))
        return "\t" * (columns // width) + " " * (columns % width) + line[len(lead) :]
    return lead.replace("\t", " " * width) + line[len(lead) :]


def _agree(answer: list[str], original: list[str]) -> bool:
    """Whether all lines that occur once in both, indentation aside, are equal, and there are some.

    One that sits at column 0 on either side says nothing of tabs and spaces, and does not count.
    """
    old, new = _once(original), _once(answer)
    shared = [text for text in old.keys() & new.keys() if old[text] != text and new[text] != text]
    return bool(shared) and all(old[text] == new[text] for text in shared)


def _once(lines: list[str]) -> dict[str, str]:
    counts = Counter(line.strip() for line in lines)
    return {line.strip(): line.rstrip() for line in lines if counts[line.strip()] == 1}


def _stripped(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]
