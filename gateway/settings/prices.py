"""What models cost: Prices, for what is said nowhere else or other than in litellm_config.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.settings.section import Section

Money = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class ModelPrice(Section):
    """One model's, for a million tokens."""

    input_per_million: Money = Field(default=0.0, description="of the prompt")
    output_per_million: Money = Field(default=0.0, description="of the answer")
    cached_per_million: Money | None = Field(
        default=None, description="of the prompt, from the cache; null: as any other"
    )


class Prices(Section):
    """What a million tokens cost, where litellm_config.yaml does not say it or other."""

    currency: str = Field(
        default="USD", pattern=r"^[A-Z]{3}$", description="of all prices; LiteLLM's are in USD"
    )
    models: dict[str, ModelPrice] = Field(
        default_factory=dict, description="model: {input_per_million: 3, output_per_million: 15}"
    )
