"""How many more descriptors this process may open, told by the number of the newest: a system gives
the lowest that is free."""

from __future__ import annotations

import resource
import sys

_MOST_KEPT = 256


def left_above(descriptor: int) -> int:
    """How many may be opened beyond this one. It is exact where nothing below is free, which is so
    where it matters: as they run out."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(0, limit - descriptor - 1)


def kept_for_clients() -> int:
    """How many a connection to a replica leaves to clients. A client that cannot be accepted is cut
    off unheard; a replica that cannot be reached for want of one is a 503 that says so."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_KEPT if limit == resource.RLIM_INFINITY else min(_MOST_KEPT, limit // 8)


def kept_for_refusals() -> int:
    """How many a client whose request is served leaves: to those who are told to come back, to
    operators, and to the gateway's own files."""
    return kept_for_clients() // 2
