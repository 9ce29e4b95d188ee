"""Which files were in the last prompt of each session: in memory, and no more of them than fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MOST_SESSIONS = 4096
MOST_PATHS = 32

Key = tuple[str, str]
"""A team, and what its client calls the session."""


class Sessions:
    """Forgets the session first that was asked for longest ago."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._paths: OrderedDict[Key, frozenset[str]] = OrderedDict()

    def paths(self, key: Key) -> frozenset[str]:
        """The files of the session's last prompt; none for a new one, or one without a name."""
        found = self._paths.get(key, frozenset())
        if found:
            self._paths.move_to_end(key)
        return found

    def remember(self, key: Key, paths: Iterable[str]) -> None:
        """From now on these are the files of its last prompt."""
        if not key[1]:
            return
        self._paths[key] = frozenset(sorted(paths)[:MOST_PATHS])
        self._paths.move_to_end(key)
        while len(self._paths) > self._most:
            self._paths.popitem(last=False)
