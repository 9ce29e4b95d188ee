"""What a process is given before it serves."""

from __future__ import annotations

import gc
import resource

from gateway.web.process import allow_descriptors, keep_for_good


def test_what_is_built_by_the_start_is_not_looked_through_for_garbage_while_it_serves() -> None:
    before = gc.get_freeze_count(), gc.get_threshold()
    try:
        keep_for_good()
        assert gc.get_freeze_count() > before[0] + 10_000
        assert gc.get_threshold() == (2000, 5, 100)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before[1])


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
        allow_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
