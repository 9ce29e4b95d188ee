"""What a replica says of its own load on its /metrics page: ReplicaLoad."""

from __future__ import annotations

import re
from dataclasses import dataclass

# vLLM's names (the third is that of versions before 0.11), then llama.cpp's. A data-parallel
# vLLM has one line for each engine.
_LINE = re.compile(
    rb"^(vllm:num_requests_waiting|vllm:kv_cache_usage_perc|vllm:gpu_cache_usage_perc"
    rb"|llamacpp:requests_deferred|llamacpp:kv_cache_usage_ratio)(?:\{[^\n]*\})? ([0-9.eE+-]+)",
    re.MULTILINE,
)
_WAITING = (b"vllm:num_requests_waiting", b"llamacpp:requests_deferred")


@dataclass(frozen=True, slots=True)
class ReplicaLoad:
    """`waiting` requests in the replica's own queue, over all its engines; `kv` the share of its
    KV cache in use, 0 to 1, of the fullest engine (None: not told); `at` in monotonic seconds."""

    waiting: float
    kv: float | None
    at: float


def read_load(page: bytes, now: float) -> ReplicaLoad | None:
    """The load on a Prometheus page in vLLM's or llama.cpp's words; None where it says none."""
    waiting: list[float] = []
    used: list[float] = []
    for name, text in _LINE.findall(page):
        try:
            number = float(text)
        except ValueError:
            continue
        (waiting if name in _WAITING else used).append(number)
    if not waiting:
        return None
    return ReplicaLoad(sum(waiting), max(used, default=None), now)
