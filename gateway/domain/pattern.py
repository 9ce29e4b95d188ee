"""Regular expressions that a client sends for a replica to compile, checked before that."""

from __future__ import annotations

from functools import lru_cache

import regex  # type: ignore[import-untyped]

from gateway.domain.errors import InvalidRequest

MOST_NESTED = 16
"""How many groups may be inside each other."""
MOST_REPEATED = 10_000
"""How often one piece may be repeated, the repeats around it counted in."""


def check_pattern(param: str, pattern: object, most_chars: int) -> None:
    """InvalidRequest unless `pattern` is a regular expression of at most `most_chars` characters,
    whose groups and repeats a compiler of automata bears. `{2,3}` of `{4}` is 12 times."""
    if not isinstance(pattern, str):
        raise InvalidRequest(f"{param!r} must be a string.", param=param, code="invalid_type")
    if len(pattern) > most_chars:
        raise InvalidRequest(
            f"{param!r} is a pattern of {len(pattern)} characters; at most {most_chars} are taken "
            "(the operator sets limits.pattern_chars).",
            param=param,
            code="string_above_max_length",
        )
    if trouble := _trouble(pattern):
        raise InvalidRequest(f"{param!r} {trouble}.", param=param, code="invalid_pattern")


@lru_cache(maxsize=256)
def _trouble(pattern: str) -> str:
    """What is wrong with `pattern`, as the end of a sentence; "" for nothing."""
    depth, deepest, repeated = _shape(pattern)
    if depth:
        return "has parentheses that do not match"
    if deepest > MOST_NESTED:
        return f"nests groups {deepest} deep; at most {MOST_NESTED} are taken"
    if repeated > MOST_REPEATED:
        return f"repeats a piece {repeated} times; at most {MOST_REPEATED} are taken"
    try:
        regex.compile(pattern, cache_pattern=False)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        return f"is not a regular expression: {str(error)[:120]}"
    return ""


# An escape, a class, a counted repeat, or one other character.
_PIECE = regex.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|\{(\d*)(?:,(\d*))?\}|.", regex.DOTALL)


def _shape(pattern: str) -> tuple[int, int, int]:
    """Parentheses left open (-1: one is closed that was not opened), how deep they nest, and how
    often the piece is repeated that is repeated most: `*` needs no copies, `{1000}` does."""
    groups = [[1, 1]]  # of each open group: its costliest piece so far, and its last one
    deepest = 0
    for piece in _PIECE.finditer(pattern):
        if piece[0] == "(":
            groups.append([1, 1])
            deepest = max(deepest, len(groups) - 1)
        elif piece[0] == ")":
            inner = groups.pop()[0]
            if not groups:
                return -1, deepest, 1
            groups[-1] = [max(groups[-1][0], inner), inner]
        elif piece[1] is not None and piece[0] != "{}":
            times = max(int((part or "1")[:9]) for part in piece.groups())
            costliest, last = groups[-1]
            groups[-1] = [max(costliest, last * times), last * times]
        else:
            groups[-1][1] = 1
    return len(groups) - 1, deepest, max(costliest for costliest, _ in groups)
