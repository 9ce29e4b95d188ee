"""Takes the marks of neutralised control tokens out of text that comes in pieces: Unmarking."""

from __future__ import annotations

from gateway.domain.control_tokens import MARK, restore

_OPENERS = frozenset("<[]")
# Longer than any control token that we neutralise, its marks included.
_LONGEST = 96


class Unmarking:
    """`restore` for a stream, which also drops `prefill` where the server repeats it.

    Text is held back only while it may be the beginning of a marked token.
    """

    def __init__(self, prefill: str = "") -> None:
        self._prefill = prefill
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown after this piece."""
        self._held += piece
        if self._prefill:
            if self._prefill.startswith(self._held) and self._held != self._prefill:
                return ""
            self._held = self._held.removeprefix(self._prefill)
            self._prefill = ""
        end = self._settled()
        shown, self._held = self._held[:end], self._held[end:]
        return restore(shown)

    def end(self) -> str:
        """What was still held: nothing more comes."""
        shown, self._held = self._held, ""
        return restore(shown)

    def _settled(self) -> int:
        held = self._held
        for at in range(max(0, len(held) - _LONGEST), len(held)):
            if held[at] in _OPENERS and held[at + 1 : at + 2] in ("", MARK):
                return at
        return len(held)
