"""Which files were in the last prompt of each session: in memory, and no more of them than fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

MOST_SESSIONS = 4096
MOST_PATHS = 32

Key = tuple[str, str]
"""A team, and what its client calls the session."""


class Sessions:
    """Forgets the session first that was asked for longest ago."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._places: OrderedDict[Key, Mapping[str, int]] = OrderedDict()

    def places(self, key: Key) -> Mapping[str, int]:
        """The files of the session's last prompt, and which place each had among the candidates;
        none for a new session, or one without a name."""
        found = self._places.get(key, {})
        if found:
            self._places.move_to_end(key)
        return found

    def remember(self, key: Key, places: Mapping[str, int]) -> None:
        """From now on these are the files of its last prompt."""
        if not key[1]:
            return
        first = sorted(places.items(), key=lambda one: one[1])[:MOST_PATHS]
        self._places[key] = dict(first)
        self._places.move_to_end(key)
        while len(self._places) > self._most:
            self._places.popitem(last=False)
