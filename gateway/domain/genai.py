"""OpenTelemetry's names for GenAI work, and what a call and its outcome are called by them.

Source: the "Development" conventions of open-telemetry/semantic-conventions-genai (they left the
main conventions after 1.41). They may be renamed again: only genai_metrics.py spells them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.domain.call import Call, Outcome, OutcomeKind
from gateway.domain.metric import Convention

_LATEST_SCHEMA = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
_OLD_SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
# The error.type of a call whose client has gone.
CLIENT_LEFT = "client_disconnected"

# The conventions have no word for vLLM: a provider is the dialect that is spoken.
PROVIDER = "openai"

Attributes = dict[str, str | bool | int | float | list[str]]

_MAX_TEXT = 256
_MAX_INT = 2**63
_INTEGERS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_NUMBERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}


def schema_url(convention: Convention) -> str:
    """Of the names that spans bear: with both conventions the newer ones, which hold the older."""
    return _OLD_SCHEMA if convention is Convention.V1_41 else _LATEST_SCHEMA


def span_name(call: Call) -> str:
    """The name of the span of one logical inference: `chat qwen2.5-coder-7b`."""
    return f"{call.endpoint.operation} {short(call.model)}"


def request_attributes(call: Call, convention: Convention = Convention.BOTH) -> Attributes:
    """What is asked for. Of the body numbers and words of a fixed choice; never a text."""
    attributes: Attributes = {
        "gen_ai.operation.name": call.endpoint.operation,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": short(call.model),
        "gen_ai.request.stream": call.stream,
    }
    attributes.update(_request_numbers(call.body))
    if call.prompt is not None:
        attributes["gen_ai.prompt.name"] = short(call.prompt.name)
        if Convention.LATEST.covers(convention):
            attributes["gen_ai.prompt.version"] = short(call.prompt.version)
        if Convention.V1_41.covers(convention):  # which has no word for it
            attributes["gw.prompt.version"] = short(call.prompt.version)
        attributes["gw.prompt.sha"] = call.prompt.sha
        if call.prompt.variant:
            attributes["gw.prompt.variant"] = call.prompt.variant
        if call.prompt.locale:
            attributes["gw.prompt.locale"] = call.prompt.locale
    if call.shadow:
        attributes["gw.shadow"] = True
    return attributes


def outcome_attributes(outcome: Outcome, *, stream: bool) -> Attributes:
    """What is known when it has ended. Tokens only as somebody counted them; the finish reason of
    anything but a completed inference is `error`."""
    attributes: Attributes = {}
    if (usage := outcome.counted) is not None:
        attributes["gen_ai.usage.input_tokens"] = usage.prompt
        attributes["gen_ai.usage.output_tokens"] = usage.completion
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached
        if usage.reasoning:
            attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning
    elif outcome.usage is not None:
        attributes["gw.usage.estimated"] = True
    if outcome.answer_id:
        attributes["gen_ai.response.id"] = short(outcome.answer_id)
    if outcome.served_model:
        attributes["gen_ai.response.model"] = short(outcome.served_model)
    if stream and outcome.first_token_seconds is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = outcome.first_token_seconds
    if outcome.kind is not OutcomeKind.COMPLETED:
        attributes["gen_ai.response.finish_reasons"] = ["error"]
    elif outcome.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = [short(outcome.finish_reason)]
    return attributes


def error_type(outcome: Outcome) -> str | None:
    """OpenTelemetry's `error.type`, of few values: None for a completed call, else the kind of the
    end, the fault of the last attempt, or the status."""
    if outcome.kind is OutcomeKind.COMPLETED:
        return None
    if outcome.kind is OutcomeKind.CANCELLED:
        return CLIENT_LEFT
    if outcome.kind in (OutcomeKind.TIMEOUT, OutcomeKind.TRUNCATED):
        return outcome.kind.value
    last = outcome.attempts[-1].result if outcome.attempts else "ok"
    return str(outcome.status) if last == "ok" else last


def short(text: str) -> str:
    """A client's text made fit for an attribute: at most 256 characters that UTF-8 can hold."""
    if len(text) <= _MAX_TEXT and text.isascii():
        return text
    # One lone surrogate would make the exporter throw away the whole batch.
    return text[:_MAX_TEXT].encode("utf-8", "replace").decode("utf-8")


def _request_numbers(body: Mapping[str, Any]) -> Attributes:
    found: Attributes = {}
    for key, attribute in _INTEGERS.items():
        value = body.get(key)
        # Past 64 bits the exporter would throw away the whole batch.
        if type(value) is int and -_MAX_INT <= value < _MAX_INT:
            found[attribute] = value
    for key, attribute in _NUMBERS.items():
        value = body.get(key)
        if isinstance(value, int | float) and type(value) is not bool and abs(value) < _MAX_INT:
            found[attribute] = float(value)
    if (effort := body.get("reasoning_effort")) in _EFFORTS:
        found["gen_ai.request.reasoning.level"] = str(effort)
    shape = body.get("response_format")
    if isinstance(shape, dict) and shape.get("type") in ("json_object", "json_schema"):
        found["gen_ai.output.type"] = "json"
    choices = body.get("n")
    if type(choices) is int and 1 < choices < _MAX_INT:
        found["gen_ai.request.choice.count"] = choices
    return found
