"""What a key may be used for: its models, routes and roles, and how a key narrows its team."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase

# A glob that no name matches: an empty tuple would mean all of them.
NOTHING = ("",)


class Role(StrEnum):
    """What a key's holder is. No role holds another: a key may have several."""

    USER = "user"
    AUTHOR = "author"
    OPERATOR = "operator"


ROLES: frozenset[str] = frozenset(Role)
USUAL: frozenset[str] = frozenset({Role.USER})


def covers(globs: tuple[str, ...], name: str) -> bool:
    """Whether one of them is that name or matches it; an empty tuple means any name."""
    # A model name may hold brackets of its own, so equality is asked as well.
    return not globs or any(name == glob or fnmatchcase(name, glob) for glob in globs)


def narrowed(team: tuple[str, ...], key: tuple[str, ...]) -> tuple[str, ...]:
    """Globs for what both allow. Two that only overlap count as nothing in common: whoever writes
    `a*` and `*b` gets less, never more."""
    if not team or not key:
        return key or team
    both = [glob for glob in key if _within(glob, team)]
    both += [glob for glob in team if glob not in both and _within(glob, key)]
    return tuple(both) or NOTHING


def _within(glob: str, others: tuple[str, ...]) -> bool:
    """Whether all that `glob` matches is matched by one of the others, as far as can be told."""
    return any(glob == other or _holds(other, glob) for other in others)


def _holds(wide: str, glob: str) -> bool:
    if set("?[") & set(wide):
        return False
    if "[" not in glob:
        return fnmatchcase(glob, wide)
    # Matched as a name, a bracket would stand for itself: `*b]` holds the text [ab], and not a.
    start = wide.removesuffix("*")
    return start != wide and "*" not in start and glob.partition("[")[0].startswith(start)
