"""How much each of several texts has to do with some words: BM25."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

K1, B = 1.2, 0.75
"""How soon a word that is said again stops counting; and how much a long text is held back."""


def relevance(wanted: Collection[str], texts: Sequence[Sequence[str]]) -> list[float]:
    """A number for each text, given as its words: 0 where it has none of those `wanted`. It is more
    the more of them it has, the oftener, and the fewer other texts have them. Numbers of one call
    can be compared, and do not depend on the order of the texts."""
    counts = [Counter(words) for words in texts]
    mean = sum(map(len, texts)) / len(texts) if texts else 0.0
    # A word that no text has would cost its time in each, and add nothing.
    said = set().union(*counts).intersection(wanted)
    weights = {word: _rarity(word, counts) for word in sorted(said)}
    found = []
    for count, words in zip(counts, texts, strict=True):
        held = K1 * (1 - B + B * len(words) / mean) if mean else K1
        shares = (rare * count[word] / (count[word] + held) for word, rare in weights.items())
        found.append((K1 + 1) * sum(shares))
    return found


def _rarity(word: str, counts: Sequence[Counter[str]]) -> float:
    """Never negative: a word that all have tells little, but nothing against a text."""
    having = sum(word in count for count in counts)
    return math.log1p((len(counts) - having + 0.5) / (having + 0.5))
