"""What the process is given before it serves: descriptors, and a garbage collector at rest."""

from __future__ import annotations

import contextlib
import gc
import resource

# Hundreds of streams in flight are that many objects, and none of them garbage: a call that is over
# leaves no cycle (tests/test_garbage.py). Python's own 700, 10 and 10 would look at them again and
# again. So many objects more, and the youngest are looked at; five times so many, and those that
# outlived it; and a hundred times that, all of them, which takes a tenth of a second.
_THRESHOLDS = (2_000, 5, 100)


def allow_descriptors() -> None:
    """As many open files as the system lets us have. A stream takes two; many shells and service
    managers begin with 1024, a limit from the days of select(), which nothing here uses."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_for_good() -> None:
    """What has been imported and built by now lives as long as the process. To look for garbage in
    all of it halts every stream for a quarter of a second, every few seconds under load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
