"""What of a client's request goes out to a provider, which LiteLLM translates it for.

Only what is listed here: a client must not reach LiteLLM's own arguments (addresses, keys,
callbacks), nor make this gateway fetch a URL, which some of its translations do with media.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.endpoints import CHAT, EMBEDDINGS, Endpoint

_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    CHAT.name: frozenset(
        {
            *("messages", "temperature", "top_p", "n", "stop", "seed", "user", "verbosity"),
            *("max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty"),
            *("logit_bias", "logprobs", "top_logprobs", "response_format", "reasoning_effort"),
            *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
        }
    ),
    EMBEDDINGS.name: frozenset({"input", "dimensions", "encoding_format", "user"}),
}
# Asked of every upstream in our own way, so nobody misses them.
_SILENT: Final = frozenset({"model", "stream", "stream_options"})
_MESSAGE: Final = frozenset(
    {
        *("role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal"),
        "reasoning_content",
    }
)
_MOST_NAMED: Final = 8
_NAME_CHARS: Final = 40


class NotOutbound(Exception):
    """The request has something that no provider is sent; the text is for the client."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """The fields that go out; the names of those that stay here, at most eight."""

    fields: Mapping[str, Any]
    dropped: tuple[str, ...] = ()


def goes_out(endpoint: Endpoint) -> bool:
    """Whether providers are asked for this at all."""
    return endpoint.name in _FIELDS


def outbound(endpoint: Endpoint, body: Mapping[str, Any]) -> Outbound:
    """Of a body for an endpoint that `goes_out`. An answer that the messages begin is left out: a
    provider may refuse to go on with it. NotOutbound for media that are not in the request
    itself."""
    known = _FIELDS[endpoint.name]
    fields = {name: value for name, value in body.items() if name in known}
    dropped = [name[:_NAME_CHARS] for name in body if name not in known and name not in _SILENT]
    messages = fields.get("messages")
    if isinstance(messages, list):
        if body.get("continue_final_message") is True and _role(messages[-1:]) == "assistant":
            messages = messages[:-1]
        fields["messages"] = [_message(one) for one in messages]
    tools = fields.get("tools") or ()
    if not isinstance(tools, list | tuple) or not all(map(_is_function, tools)):
        raise NotOutbound("This model takes tools of type function only.")
    return Outbound(fields, tuple(dropped[:_MOST_NAMED]))


def _is_function(tool: object) -> bool:
    """Not those that a provider runs itself, which may reach out to anywhere."""
    return isinstance(tool, dict) and tool.get("type") == "function"


def _role(messages: list[Any]) -> object:
    return messages[0].get("role") if messages and isinstance(messages[0], dict) else None


def _message(message: object) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise NotOutbound("Each message must be an object.")
    kept = {name: value for name, value in message.items() if name in _MESSAGE}
    if isinstance(kept.get("content"), list):
        kept["content"] = [_part(part) for part in kept["content"]]
    elif not isinstance(kept.get("content"), str | None):
        raise NotOutbound("A message's content must be text or a list of parts.")
    return kept


def _part(part: object) -> dict[str, Any]:
    """A part of a message, with nothing in it that would have to be fetched."""
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise NotOutbound("Each part of a message's content must be an object with a type.")
    inner = part.get(kind)
    if kind in ("text", "refusal") and isinstance(inner, str):
        return {"type": kind, kind: inner}
    if kind == "image_url":
        url = inner.get("url") if isinstance(inner, dict) else inner
        if _is_inline(url):
            detail = inner.get("detail") if isinstance(inner, dict) else None
            more = {"detail": detail} if isinstance(detail, str) else {}
            return {"type": kind, kind: {"url": url, **more}}
    if kind == "input_audio" and isinstance(inner, dict):
        sound, form = inner.get("data"), inner.get("format")
        if isinstance(sound, str) and "://" not in sound and isinstance(form, str):
            return {"type": kind, kind: {"data": sound, "format": form}}
    if kind == "file" and isinstance(inner, dict) and _is_inline(inner.get("file_data")):
        name = inner.get("filename")
        more = {"filename": name} if isinstance(name, str) else {}
        return {"type": kind, kind: {"file_data": inner["file_data"], **more}}
    raise NotOutbound(
        "This model takes text, and images, sounds and files only as data inside the request "
        "(data:image/png;base64,…), never by address."
    )


def _is_inline(url: object) -> bool:
    return isinstance(url, str) and url.startswith("data:")
