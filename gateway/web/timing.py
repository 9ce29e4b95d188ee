"""The headers that go out with every answer of a call: its policies', its trace, Server-Timing."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gateway.domain.call import Call


def headers_of(call: Call) -> Mapping[str, str]:
    """As of the moment that the answer's head is sent."""
    return {**call.reply_headers, "server-timing": server_timing(call, time.monotonic())}


def server_timing(call: Call, now: float) -> str:
    """W3C's Server-Timing, in milliseconds: `queue`, the wait for a slot; `upstream`, the time with
    replicas; and until now `ttft` (of a stream) or `total`. Only what is over by then: a stream
    that begins with a sign of life knows nothing yet of its first token."""
    parts = [f"queue;dur={call.queue_seconds * 1000:.1f}"]
    if call.away.is_back:
        name = "ttft" if call.stream else "total"
        parts.append(f"upstream;dur={call.away.seconds * 1000:.1f}")
        parts.append(f"{name};dur={(now - call.received) * 1000:.1f}")
    return ", ".join(parts)
