"""Each setting reaches the room that it is for (see also tests/settings/)."""

from __future__ import annotations

from gateway.rules import (
    assist_limits_of,
    queue_limits_of,
    screen_of,
    streams_of,
    timeouts_of,
)
from gateway.settings import Settings


def test_bounds_of_time() -> None:
    settings = Settings(
        timeouts={"total_s": 7, "idle_s": 3},  # type: ignore[arg-type]
        streams={"keepalive_s": 4, "client_stall_s": 9},  # type: ignore[arg-type]
    )
    assert (timeouts_of(settings).total, timeouts_of(settings).idle) == (7, 3)
    streams = streams_of(settings)
    assert (streams.keepalive, streams.client_stall) == (4, 9)


def test_bounds_of_the_queue() -> None:
    limits = queue_limits_of(Settings(queue={"size": 5, "wait_s": 2}))  # type: ignore[arg-type]
    assert (limits.size, limits.wait) == (5, 2)


def test_what_the_assistant_may_take_and_must_not_see() -> None:
    assist = {"explain_max_tokens": 11, "rewrite_max_tokens": 22, "denied_paths": ["private/*"]}
    settings = Settings(assist=assist)  # type: ignore[arg-type]
    limits = assist_limits_of(settings)
    assert (limits.explain_tokens, limits.rewrite_tokens) == (11, 22)
    screen = screen_of(settings)
    assert [screen.pattern(path) for path in ("private/a.py", ".env", "a.py")] == [
        "private/*",
        ".env",
        None,
    ]
