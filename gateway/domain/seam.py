"""Where a continued answer joins what was shown: no character twice, none lost. Seam."""

from __future__ import annotations

# A shorter start that repeats is more likely the model's own than a server's echo.
SHORTEST_ECHO = 16


class Seam:
    """Cleans the beginning of a continuation.

    `sent` is the text that the replica was given to continue; `trailing` is the white space that
    was shown after it: it was not sent, because chat templates trim it, so the model writes it
    again. A server that repeats `sent` first (llama.cpp does) has that taken out as well.
    """

    __slots__ = ("_echo", "_held", "_trailing")

    def __init__(self, sent: str, trailing: str) -> None:
        # A text that consists of its own repetitions ("=====") can go on by repeating itself.
        periodic = sent in (sent + sent)[1:-1]
        self._echo = sent if len(sent) >= SHORTEST_ECHO and not periodic else ""
        self._held = ""
        self._trailing = trailing

    def feed(self, text: str) -> str:
        """What can be shown of this piece; held back only while it may be an echo."""
        if self._echo:
            self._held += text
            if len(self._held) < len(self._echo) and self._echo.startswith(self._held):
                return ""
            text = self._known()
        return self._fresh(text) if self._trailing else text

    def end(self) -> str:
        """What was still held: nothing more comes."""
        return self._fresh(self._known())

    def _known(self) -> str:
        """What was held, now that it is known for an echo or for none."""
        text, self._held = self._held.removeprefix(self._echo), ""
        self._echo = ""
        return text

    def _fresh(self, text: str) -> str:
        """`text` without the white space that was shown already."""
        same = 0
        while same < min(len(text), len(self._trailing)) and text[same] == self._trailing[same]:
            same += 1
        self._trailing = self._trailing[same:] if same == len(text) else ""
        return text[same:]
