"""What was taken out of a request and comes back in its answer: Vault."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.domain.json_view import quoted
from gateway.domain.secret_scan import PLACEHOLDER, begun, placed, restore

_TAKEN = re.compile(rf"{PLACEHOLDER}(X*)")


class Vault:
    """Placeholders of one call. `texts` are all that its client wrote: no placeholder is in them,
    so that nobody can write one and be given a secret for it."""

    __slots__ = ("_json", "_kept", "_marks", "_prefix")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        taken = [len(found[1]) for text in texts for found in _TAKEN.finditer(text)]
        self._prefix = PLACEHOLDER + "X" * (max(taken) + 1 if taken else 0)
        self._marks: dict[str, str] = {}
        self._kept: dict[str, str] = {}
        self._json: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"Vault({len(self)} secrets)"

    def place(self, secret: str) -> str:
        """What stands for `secret` in this call, the same each time. A placeholder stands for
        itself."""
        if placed(secret):
            return secret
        mark = self._marks.get(secret)
        if mark is None:
            mark = self._marks[secret] = f"{self._prefix}{len(self._marks) + 1:04}_"
            self._kept[mark] = secret
            self._json[mark] = quoted(secret)
        return mark

    def holds(self, secret: str) -> bool:
        """Whether it was taken out of this call."""
        return secret in self._marks

    def restore(self, text: str, *, json: bool = False) -> str:
        """`text` with each placeholder replaced by what it stands for; `json`: with escapes."""
        return restore(text, self._json if json else self._kept)

    def settled(self, text: str, place: int) -> int:
        """The last place up to `place` that is in no placeholder, nor in the beginning of one."""
        if not self._kept:
            return place
        return min(place, begun(text, place, self._kept))
