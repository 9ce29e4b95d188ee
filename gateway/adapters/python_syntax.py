"""Whether a text is Python, by the parser of the Python that runs the gateway: PythonSyntax."""

from __future__ import annotations

import ast
import threading
import warnings

MAX_CHARS = 100_000
"""Longer texts are not parsed: it takes up to four seconds for each million, and Python's parser
lets no other thread go on meanwhile: every stream would stand still."""

_LOCK = threading.Lock()  # what Python warns of is set for the whole process


class PythonSyntax:
    """Stricter than a grammar, which takes code that nothing could run. Only `TreeSitter` asks."""

    def count(self, language: str, text: str) -> int | None:
        """1 where the text is no Python, for the parser stops there. Code that is indented as a
        whole, or for a later Python than ours, is an error too: compare with the text before."""
        if language != "python" or len(text) > MAX_CHARS:
            return None
        try:
            with _LOCK, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes, which are no errors
                ast.parse(text)
        except SyntaxError:
            return 1
        except (ValueError, RecursionError, MemoryError):  # a NUL; nested beyond what it can read
            return None
        return 0
