"""What a healthy vLLM answers to each path, as JSON: shapes and errors of vLLM 0.32."""

import base64
import hashlib
import math
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.testing.mock_script import Behaviour
from gateway.testing.mock_stream import Event, chat_events, completion_events, usage_of
from gateway.testing.mock_text import (
    Generation,
    generate,
    prompt_tokens,
    prompts,
    token_ids,
    token_limit,
    tokenise,
)

VERSION = "0.32.0+mock"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Served:
    """What this server serves. The name `*` stands for whatever a client asks for."""

    names: tuple[str, ...]
    max_model_len: int
    started: int


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `body` is what its JSON says; None where it is not JSON."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw: bytes
    body: Any
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with a body: whole in `body`, or as `events` when it is streamed."""

    status: int = 200
    content_type: str = _JSON
    body: bytes = b""
    events: tuple[Event, ...] | None = None
    tokens: int = 0


def json_answer(content: object, status: int = 200) -> Answer:
    return Answer(status, body=orjson.dumps(content))


def error_answer(status: int, message: str, param: str | None = None) -> Answer:
    """vLLM's error shape."""
    kinds = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError"}
    kind = kinds.get(status, "MockError")
    error = {"message": message, "type": kind, "param": param, "code": status}
    return json_answer({"error": error}, status)


def answer(request: Request, behaviour: Behaviour, served: Served, now: int) -> Answer:
    """What the server says to `request`, before any fault of the wire; `now` is Unix time."""
    if behaviour.body is not None:
        body = behaviour.body.encode("utf-8", "surrogateescape")
        return Answer(behaviour.status, behaviour.content_type, body)
    if behaviour.status != 200:
        return error_answer(behaviour.status, "The mock was told to answer with this status.")
    method, respond = _PATHS.get(request.path, ("", None))
    if respond is None:
        return json_answer({"detail": "Not Found"}, 404)
    if request.method != method:
        return json_answer({"detail": "Method Not Allowed"}, 405)
    if method == "GET":
        return respond(request, behaviour, served, now)
    return _refusal(request, served) or respond(request, behaviour, served, now)


def _refusal(request: Request, served: Served) -> Answer | None:
    """vLLM's 4xx for a body that it does not take."""
    body = request.body
    if not isinstance(body, dict):
        return error_answer(400, "The body is not a JSON object.")
    model = body.get("model", served.names[0])
    if model not in served.names and "*" not in served.names:
        return error_answer(404, f"The model `{model}` does not exist.", "model")
    wrong = _wrong_shape(request.path, body)
    if wrong:
        return error_answer(400, wrong)
    return _too_long(request.path, body, served.max_model_len)


def _wrong_shape(path: str, body: Mapping[str, Any]) -> str | None:
    messages = body.get("messages")
    if path == "/v1/chat/completions" or messages is not None:
        if not isinstance(messages, list) or not messages:
            return "messages: Input should be a list with at least one message"
        if not all(isinstance(m, dict) and "role" in m for m in messages):
            return "messages: each should be an object with a role"
    elif not isinstance(body.get("prompt", body.get("input")), str | list):
        return "prompt: Field required"
    if body.get("continue_final_message") and body.get("add_generation_prompt", True):
        return "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
    for name in ("max_tokens", "max_completion_tokens", "n"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            return f"{name} must be at least 1, got {value}."
    if body.get("stream_options") and not body.get("stream"):
        return "Stream options can only be defined when `stream=True`."
    return None


def _too_long(path: str, body: Mapping[str, Any], limit: int) -> Answer | None:
    if path == "/tokenize":
        return None
    asked = 0 if path == "/v1/embeddings" else token_limit(body) or 1
    given = prompt_tokens(body)
    if given + asked <= limit:
        return None
    return error_answer(
        400,
        f"This model's maximum context length is {limit} tokens. However, you requested {asked} "
        f"output tokens and your prompt contains at least {given} input tokens, for a total of at "
        f"least {given + asked} tokens. Please reduce the length of the input prompt or the number "
        f"of requested output tokens. (parameter=input_tokens, value={given})",
        "input_tokens",
    )


def _envelope(request: Request, served: Served, prefix: str, kind: str, now: int) -> dict[str, Any]:
    name = request.headers.get("x-request-id") or uuid.uuid4().hex
    model = request.body.get("model", served.names[0])
    return {"id": f"{prefix}-{name}", "object": kind, "created": now, "model": model}


def _chat(request: Request, behaviour: Behaviour, served: Served, now: int) -> Answer:
    body, said = request.body, generate(request.body, behaviour)
    # Without a generation prompt vLLM answers in the role of the last message.
    alone = not body.get("add_generation_prompt", True)
    role = str(body["messages"][-1]["role"]) if alone else "assistant"
    count = body.get("n") or 1
    if body.get("stream"):
        envelope = _envelope(request, served, "chatcmpl", "chat.completion.chunk", now)
        events = chat_events(envelope, body, said, behaviour, role)
        return Answer(200, "text/event-stream; charset=utf-8", events=events, tokens=said.tokens)
    message = _message(said, behaviour, role)
    choices = [{"index": i, "message": message} | _ending(said) for i in range(count)]
    whole = _envelope(request, served, "chatcmpl", "chat.completion", now)
    return _whole(whole, choices, said, behaviour)


def _message(said: Generation, behaviour: Behaviour, role: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": role,
        "content": "".join(said.deltas) if said.deltas or not said.tool_calls else None,
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
        behaviour.reasoning_key: "".join(said.reasoning) or None,
    }
    if said.tool_calls:
        message["tool_calls"] = [
            {"id": f"chatcmpl-tool-{n}", "type": "function", "function": dict(call)}
            for n, call in enumerate(said.tool_calls)
        ]
    return message


def _completion(request: Request, behaviour: Behaviour, served: Served, now: int) -> Answer:
    body, said = request.body, generate(request.body, behaviour)
    shown = [prompt if body.get("echo") else "" for prompt in prompts(body)]
    starts = [start for start in shown for _ in range(body.get("n") or 1)]
    envelope = _envelope(request, served, "cmpl", "text_completion", now)
    if body.get("stream"):
        events = completion_events(envelope, body, said, behaviour, starts)
        return Answer(200, "text/event-stream; charset=utf-8", events=events, tokens=said.tokens)
    text = "".join(said.deltas)
    choices = [{"index": i, "text": s + text} | _ending(said) for i, s in enumerate(starts)]
    return _whole(envelope, choices, said, behaviour)


def _ending(said: Generation) -> dict[str, Any]:
    finish, stop = said.finish_reason, said.stop_reason
    return {"logprobs": None, "finish_reason": finish, "stop_reason": stop, "token_ids": None}


def _whole(
    envelope: dict[str, Any], choices: list[dict[str, Any]], said: Generation, behaviour: Behaviour
) -> Answer:
    content = envelope | {"choices": choices, "system_fingerprint": None}
    if behaviour.usage != "missing":
        content["usage"] = usage_of(said, said.tokens * len(choices), behaviour, final=True)
    return Answer(body=orjson.dumps(content), tokens=said.tokens)


def _embeddings(request: Request, _: Behaviour, served: Served, now: int) -> Answer:
    body = request.body
    pack = body.get("encoding_format") == "base64"
    size = body.get("dimensions") or 8
    rows = [
        {"index": n, "object": "embedding", "embedding": _packed(v) if pack else v}
        for n, v in enumerate(vector(text, size) for text in prompts(body))
    ]
    tokens = prompt_tokens(body)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
    whole = _envelope(request, served, "embd", "list", now)
    return json_answer(whole | {"data": rows, "usage": usage | {"prompt_tokens_details": None}})


def vector(text: str, size: int) -> list[float]:
    """A unit vector of `size` numbers that depends on `text` alone."""
    stream = hashlib.shake_128(text.encode("utf-8", "replace")).digest(size * 2)
    numbers = [value / 32768 for value in struct.unpack(f"<{size}h", stream)]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]


def _packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode("ascii")


def _models(request: Request, behaviour: Behaviour, served: Served, now: int) -> Answer:
    return json_answer({"object": "list", "data": list(_cards(served))})


def _cards(served: Served) -> Iterator[dict[str, Any]]:
    for name in served.names:
        yield {
            "id": name,
            "object": "model",
            "created": served.started,
            "owned_by": "vllm",
            "root": name,
            "parent": None,
            "max_model_len": served.max_model_len,
            "permission": [],
        }


def _tokenize(request: Request, behaviour: Behaviour, served: Served, now: int) -> Answer:
    text = prompts(request.body)[0]
    ids, wanted = token_ids(text), request.body.get("return_token_strs")
    content = {"count": len(ids), "max_model_len": served.max_model_len, "tokens": ids}
    return json_answer(content | {"token_strs": tokenise(text) if wanted else None})


def _health(request: Request, behaviour: Behaviour, served: Served, now: int) -> Answer:
    return Answer()


def _version(request: Request, behaviour: Behaviour, served: Served, now: int) -> Answer:
    return json_answer({"version": VERSION})


_PATHS: dict[str, tuple[str, Callable[[Request, Behaviour, Served, int], Answer]]] = {
    "/v1/chat/completions": ("POST", _chat),
    "/v1/completions": ("POST", _completion),
    "/v1/embeddings": ("POST", _embeddings),
    "/v1/models": ("GET", _models),
    "/tokenize": ("POST", _tokenize),
    "/health": ("GET", _health),
    "/version": ("GET", _version),
}
