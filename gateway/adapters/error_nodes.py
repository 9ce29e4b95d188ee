"""Counts the places where a text does not fit its grammar, in the tree that tree-sitter made."""

from __future__ import annotations

from collections.abc import Callable

from tree_sitter import Node

_STEP = 512
"""Nodes between two looks at the clock: about a tenth of a millisecond."""


def count(root: Node, late: Callable[[], bool]) -> int | None:
    """The nodes that are ERROR (text that fits nothing) or MISSING (what had to be made up); None
    where `late` says that there was no time to count them all.

    Only branches with errors in them are entered. A walk, and not a query: a query cannot be
    stopped.
    """
    if not root.has_error:
        return 0
    cursor = root.walk()
    found = steps = 0
    while True:
        steps += 1
        if steps % _STEP == 0 and late():
            return None
        node = cursor.node
        assert node is not None  # a cursor always stands on one
        found += node.is_error or node.is_missing
        if node.has_error and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found
