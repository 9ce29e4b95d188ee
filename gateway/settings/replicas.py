"""Settings about the choice of a replica: how health is watched, what prefix affinity allows."""

from __future__ import annotations

from pydantic import Field

from gateway.settings.section import Seconds, Section, Share


class Health(Section):
    """Replicas are asked for a sign of life; LiteLLM's cooldowns come on top of that."""

    probe: bool = Field(default=True, description="GET /health of each; else only requests tell")
    interval_s: Seconds = Field(default=5.0, description="seconds from one probe to the next")
    jitter: Share = Field(default=0.2, description="spread of those seconds: 0.2 is ± 20 %")
    timeout_s: Seconds = Field(default=2.0, description="seconds that a probe may take")
    unhealthy_after: int = Field(
        default=2, ge=1, le=100, description="probes in a row without a good answer: it leaves"
    )
    panic: bool = Field(
        default=True, description="none in rotation, no fallback: try all but the drained"
    )
    poll_metrics: bool = Field(
        default=False, description="read /metrics of each also without prefix_affinity"
    )


class Affinity(Section):
    """`routing_strategy: prefix_affinity`: the same conversation to the same replica."""

    load_factor: float = Field(
        default=1.25, ge=1, le=100, description="in flight there: of its fair share at most so much"
    )
    load_slack: int = Field(default=2, ge=0, le=10_000, description="and so many requests more")
    waiting: int = Field(
        default=1, ge=0, le=10_000, description="requests in its queue, beyond another's"
    )
    kv_cache: Share = Field(default=0.95, description="share of its KV cache that counts as full")
    poll_s: Seconds = Field(default=2.0, description="seconds between looks at its /metrics")
    max_age_s: Seconds = Field(default=10.0, description="seconds after which these are unknown")
