"""How long a replica may take, and when another attempt is made: Timeouts, Retries, Hedging."""

from __future__ import annotations

from pydantic import Field

from gateway.settings.section import Seconds, Section, Share, Wait


class Timeouts(Section):
    """How long a replica may take; the first that passes ends the attempt or the call."""

    connect_s: Seconds = Field(default=5.0, description="seconds to open a connection")
    first_token_s: Seconds = Field(
        default=60.0, description="seconds until the first piece of an answer"
    )
    first_token_by_model: dict[str, Seconds] = Field(
        default_factory=dict, description="model: the same, where a model needs another limit"
    )
    idle_s: Seconds = Field(default=60.0, description="seconds between two pieces of a stream")
    total_s: Seconds = Field(
        default=60.0, description="seconds for a whole answer, retries included"
    )
    stream_total_s: Seconds = Field(default=600.0, description="seconds for a whole stream")


class Retries(Section):
    """Another attempt after connection errors, 5xx and timeouts; never after a 4xx."""

    limit: int = Field(default=3, ge=0, le=3, description="attempts on top of the first, 0 to 3")
    backoff_s: tuple[Wait, ...] = Field(
        default=(1.0, 2.0, 3.0),
        min_length=1,
        description="seconds before each, on the same replica",
    )
    jitter: Share = Field(default=0.1, description="spread of those seconds: 0.1 is ± 10 %")
    budget: Share = Field(default=0.1, description="retries, as a share of all requests")
    floor: int = Field(default=3, ge=0, le=10_000, description="retries a second within any budget")


class Hedging(Section):
    """A second replica is asked where the first is slower than 95 % of the answers before."""

    models: tuple[str, ...] = Field(default=(), description="where this is done, by model name")
    budget: Share = Field(default=0.02, description="second requests, as a share of the first")
    min_samples: int = Field(
        default=20, ge=1, le=200, description="answers seen before anything counts as slow"
    )
