"""The table of OpenAI endpoints that we carry. A new one is a row here, not a handler."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row. `name` is OpenAI's own, `operation` OpenTelemetry's GenAI word for it;
    `upstream` is joined to a replica's base URL; `required` are fields a body must have.
    """

    name: str
    path: str
    upstream: str
    operation: str
    required: tuple[str, ...]
    streams: bool


CHAT = Endpoint(
    "chat.completions", "/v1/chat/completions", "chat/completions", "chat", ("messages",), True
)
COMPLETIONS = Endpoint(
    "completions", "/v1/completions", "completions", "text_completion", ("prompt",), True
)
EMBEDDINGS = Endpoint("embeddings", "/v1/embeddings", "embeddings", "embeddings", ("input",), False)

ENDPOINTS: tuple[Endpoint, ...] = (CHAT, COMPLETIONS, EMBEDDINGS)
