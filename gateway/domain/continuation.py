"""Asking another replica to go on where one broke off: may it, with what body, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.domain.endpoints import CHAT, COMPLETIONS, Endpoint
from gateway.domain.seam import SHORTEST_ECHO

# What vLLM and OpenAI generate for /v1/completions when nobody says how much.
_COMPLETION_TOKENS = 16
# Fields that tie an answer to the very run that produced it, or bind it to a form of which the
# continuing replica sees only the end.
_BINDING = (
    *("logprobs", "top_logprobs", "prompt_logprobs", "return_token_ids", "echo", "suffix"),
    *("structured_outputs", "grammar", "json_schema", "use_beam_search", "prompt_embeds"),
    *("truncate_prompt_tokens", "kv_transfer_params"),
)
_LIMITS = ("max_completion_tokens", "max_tokens")


def obstacle(endpoint: Endpoint, body: Mapping[str, Any]) -> str:
    """The field of a request for which no other replica can go on with its answer; "" for none.

    `body` is what the replica was sent: the operator's own fields count as the client's do.
    """
    for name, silent in (("tools", "tool_choice"), ("functions", "function_call")):
        if body.get(name) and body.get(silent) != "none":
            return name
    form = body.get("response_format")
    if form and not (isinstance(form, dict) and form.get("type") == "text"):
        return "response_format"
    for name in ("n", "best_of"):
        if body.get(name) not in (None, 1):
            return name
    for name, value in body.items():
        if name in _BINDING and value is not None and value is not False:
            return name
        if name.startswith("guided_") and value is not None:
            return name
    return _obstacle_of(endpoint, body)


def _obstacle_of(endpoint: Endpoint, body: Mapping[str, Any]) -> str:
    """What only concerns one endpoint."""
    if endpoint is COMPLETIONS:
        return "" if isinstance(body.get("prompt"), str) else "prompt"
    if endpoint is not CHAT:
        return endpoint.path
    if body.get("continue_final_message") and not isinstance(_last(body).get("content"), str):
        return "messages"
    return ""


def tokens_left(endpoint: Endpoint, body: Mapping[str, Any], tokens: int) -> int | None:
    """How many tokens an answer may still have after `tokens` of it; None: nobody said."""
    limits = [body[name] for name in _LIMITS if isinstance(body.get(name), int)]
    if not limits and endpoint is COMPLETIONS and tokens < _COMPLETION_TOKENS:
        limits = [_COMPLETION_TOKENS]
    return min(limits) - tokens if limits else None


def continued(
    endpoint: Endpoint, body: Mapping[str, Any], sent: str, tokens: int
) -> dict[str, Any]:
    """`body` as a request for what comes after `sent`, which is `tokens` long."""
    asked = dict(body)
    if endpoint is COMPLETIONS:
        asked["prompt"] = body["prompt"] + sent
    else:
        own = [] if not body.get("continue_final_message") else [_last(body)]
        said = opening(endpoint, body, sent)
        kept = list(body["messages"])[: len(body["messages"]) - len(own)]
        last = {**(own[0] if own else {"role": "assistant"}), "content": said}
        asked["messages"] = [*kept, last]
        asked |= {"continue_final_message": True, "add_generation_prompt": False}
    left = tokens_left(endpoint, body, tokens)
    if left is not None:
        named = [name for name in _LIMITS if body.get(name) is not None] or ["max_tokens"]
        asked |= dict.fromkeys(named, max(1, left))
    if isinstance(least := body.get("min_tokens"), int):
        asked["min_tokens"] = max(0, least - tokens)
    return asked


def opening(endpoint: Endpoint, body: Mapping[str, Any], sent: str) -> str:
    """The whole beginning of the answer that the replica is given: the client's own, and `sent`.
    A server that repeats the client's own has put it into `sent` already."""
    if endpoint is COMPLETIONS or not body.get("continue_final_message"):
        return sent
    own = str(_last(body).get("content") or "")
    if len(own) >= SHORTEST_ECHO and sent.startswith(own):
        return sent
    return own + sent


def _last(body: Mapping[str, Any]) -> dict[str, Any]:
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return last if isinstance(last, dict) else {}
