"""A prompt sent to a real model, for its author to read: one request, its text as it comes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.prompt import Rendered

_SECONDS = 120.0
_MOST_TOKENS = 512


class NoAnswer(Exception):
    """Nobody listens there, or the request was refused."""


@dataclass(frozen=True, slots=True)
class Replica:
    """Anything that speaks OpenAI's API. `model` "": the first that it names."""

    url: str
    key: str | None = field(default=None, repr=False)
    model: str = ""

    @property
    def base(self) -> str:
        """With /v1 at its end."""
        return self.url.rstrip("/").removesuffix("/v1") + "/v1"


def pieces(replica: Replica, rendered: Rendered) -> Iterator[str]:
    """The answer's text, as it comes. NoAnswer, also where it breaks off."""
    model = replica.model or _first_model(replica)
    asked = _request(replica, "/chat/completions", body_of(rendered, model))
    finished = False
    with _opened(asked) as response:
        for line in response:
            if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
                continue
            piece = json.loads(line[5:])
            if "error" in piece:
                raise NoAnswer(str(piece["error"].get("message", "the answer broke off")))
            for choice in piece.get("choices") or ():
                finished = finished or choice.get("finish_reason") is not None
                if text := (choice.get("delta") or {}).get("content"):
                    yield text
    if not finished:
        raise NoAnswer("the answer broke off")


def body_of(rendered: Rendered, model: str) -> dict[str, Any]:
    """The chat request that /api/ai/* would make of this rendering."""
    messages = [dict(message) for message in rendered.messages]
    body = {"max_tokens": _MOST_TOKENS, **rendered.params, "model": model, "stream": True}
    if rendered.stop:
        body["stop"] = list(rendered.stop)
    if rendered.prefill is not None:
        messages.append({"role": "assistant", "content": rendered.prefill})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body | {"messages": messages}


def _first_model(replica: Replica) -> str:
    with _opened(_request(replica, "/models", None)) as response:
        models = json.load(response).get("data") or []
    if not models:
        raise NoAnswer(f"{replica.base} names no model; say which with --model")
    return str(models[0]["id"])


def _request(replica: Replica, path: str, body: object) -> urllib.request.Request:
    headers = {"content-type": "application/json", "accept": "text/event-stream, */*"}
    if replica.key:
        headers["authorization"] = f"Bearer {replica.key}"
    sent = None if body is None else json.dumps(body).encode()
    try:
        asked = urllib.request.Request(replica.base + path, sent, headers)
    except ValueError:
        raise NoAnswer(f"{replica.url!r} is no URL") from None
    if asked.type not in ("http", "https"):
        raise NoAnswer(f"{replica.url!r} is no http address")
    return asked


def _opened(asked: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(asked, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(2000).decode(errors="replace")
        with suppress(ValueError, LookupError, TypeError):
            said = json.loads(said)["error"]["message"]
        raise NoAnswer(f"{asked.full_url} answers {error.code}: {said}") from None
    except OSError as error:
        raise NoAnswer(f"{asked.full_url} cannot be reached: {error}") from None
