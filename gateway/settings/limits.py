"""What a client may ask for: Limits of every model, and of those that have some of their own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gateway.settings.section import Section

_HOST = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("not a host in lower case, such as images.example.com or *.example.com")
    return value


Host = Annotated[str, AfterValidator(_host)]
Most = Annotated[int, Field(ge=0, le=2**31)]
Some = Annotated[int, Field(ge=1, le=2**31)]


class ModelLimits(Section):
    """What one model takes. All but what is named is as for every model."""

    messages: Some = Field(default=4096, description="messages of a chat")
    parts: Some = Field(default=4096, description="content parts of all messages together")
    n: Some = Field(default=16, description="answers to one prompt")
    best_of: Some = Field(default=16, description="answers to choose from")
    max_tokens: Some = Field(default=131_072, description="tokens of an answer, and min_tokens")
    logprobs: Most = Field(default=20, description="logprobs and top_logprobs, for each token")
    prompt_logprobs: Most = Field(default=1, description="the same for the tokens of the prompt")
    stop: Most = Field(default=16, description="texts that end an answer")
    stop_chars: Some = Field(default=256, description="characters of each, and of each bad word")
    logit_bias: Most = Field(default=1024, description="entries; stop_token_ids, bad_words as well")
    tools: Most = Field(default=128, description="tools, or functions")
    tools_bytes: Some = Field(default=524_288, description="bytes of all of them as JSON")
    prompts: Some = Field(default=128, description="prompts of a completion, times n")
    inputs: Some = Field(default=2048, description="texts to embed")
    schema_bytes: Some = Field(default=65_536, description="bytes of a JSON Schema or the choices")
    schema_depth: Some = Field(default=32, le=64, description="levels of a schema or a grammar")
    pattern_chars: Some = Field(default=1024, le=16_384, description="characters of a regex")
    grammar_bytes: Most = Field(default=16_384, description="bytes of a grammar")
    choices: Most = Field(default=1024, description="texts that an answer must be one of")
    media_parts: Most = Field(default=64, description="images and other media of all messages")
    media_bytes: Some = Field(default=20_971_520, description="bytes of each, as a data: URL")
    media_hosts: tuple[Host, ...] = Field(
        default=(), description="hosts to fetch media from; none: data: URLs only"
    )
    window: bool = Field(default=True, description="refuse a prompt longer than the window (413)")
    unknown_parameters: Literal["refuse", "pass"] = Field(
        default="refuse", description="refuse or pass: those nobody knows"
    )
    allow: tuple[str, ...] = Field(
        default=(), description="guarded parameters, or chat_template_kwargs.KEY"
    )


class Limits(ModelLimits):
    """What a client may ask for; operators' own fields in litellm_config.yaml are not measured."""

    json_depth: int = Field(default=64, ge=8, le=200, description="levels of a body as JSON")
    json_values: Some = Field(default=1_000_000, description="values in a body as JSON")
    models: dict[str, ModelLimits] = Field(
        default_factory=dict, description="model: {name: value}, if it has its own"
    )

    def of(self, model: str) -> dict[str, Any]:
        """The values that hold for `model`: its own, and the usual ones for all others."""
        names = ModelLimits.model_fields
        own = self.models.get(model)
        return {
            name: getattr(own if own is not None and name in own.model_fields_set else self, name)
            for name in names
        }
