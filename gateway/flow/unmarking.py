"""Takes the marks of neutralised control tokens out of text that comes in pieces: Unmarking."""

from __future__ import annotations

import re

from gateway.domain.control_tokens import MARK, restore

# The end of a text that may be the beginning of a marked token: its first character, then marks,
# then what stands in tokens before their last character (the longest have 66 of it).
_BEGUN = re.compile(
    rf"[<\[\]](?:{MARK}+(?:</?(?:S(?:Y(?:S>?)?)?)?|[\w.:/|\uff5c\u2581~!-]{{0,66}}))?\Z"
)


class Unmarking:
    """`restore` for a stream, which also drops `prefill` where the server repeats it.

    Text is held back only while it may be the beginning of a marked token, or of the prefill.
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
        whole = restore(self._held)
        begun = _BEGUN.search(self._held)
        self._held = begun[0] if begun else ""
        # Cut after restoring: a token may end with the very bracket that another begins with.
        return whole[: len(whole) - len(restore(self._held))]

    def end(self) -> str:
        """What was still held: nothing more comes."""
        shown, self._held = self._held, ""
        return restore(shown)
