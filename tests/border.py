"""Answers that are cut at a border of one's choice, and what a client reads of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from gateway.domain.sse import DONE, data_of, events
from gateway.testing.mock_vllm import Behaviour

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
Field = Literal["content", "reasoning_content", "reasoning", "arguments", "text"]
FIELDS: tuple[Field, ...] = ("content", "reasoning_content", "reasoning", "arguments", "text")


@dataclass(frozen=True, slots=True)
class Writing:
    """How an upstream writes its JSON: `utf8` as it is, `ascii` with escapes where it must, `all`
    with an escape for each letter."""

    name: Literal["utf8", "ascii", "all"]

    def __call__(self, piece: str) -> str:
        """A JSON string, quotes included."""
        if self.name == "all":
            units = piece.encode("utf-16-be")
            codes = (units[at : at + 2].hex() for at in range(0, len(units), 2))
            return '"' + "".join(f"\\u{code}" for code in codes) + '"'
        return json.dumps(piece, ensure_ascii=self.name == "ascii")


WRITINGS = (Writing("utf8"), Writing("ascii"), Writing("all"))


def answering(
    field: Field, pieces: Sequence[str], writing: Writing, split: int | None
) -> Behaviour:
    """A stream that says `pieces` in `field`, a delta each, `split` bytes in one packet."""
    said = [_event(_choice(field, writing(piece))) for piece in pieces]
    end = '"text": ""' if field == "text" else '"delta": {}'
    last = _event(f'{{"index": 0, {end}, "finish_reason": "stop"}}')
    body = "".join([*said, last]) + DONE.decode()
    return Behaviour(
        body=body, content_type="text/event-stream; charset=utf-8", split=split or 1 << 20
    )


def _event(choice: str) -> str:
    return f'data: {{"id": "c", "model": "m", "choices": [{choice}]}}\n\n'


def _choice(field: Field, piece: str) -> str:
    if field == "text":
        return f'{{"index": 0, "text": {piece}, "finish_reason": null}}'
    delta = f'{{"{field}": {piece}}}'
    if field == "arguments":
        function = f'{{"name": "f", "arguments": {piece}}}'
        delta = f'{{"tool_calls": [{{"index": 0, "function": {function}}}]}}'
    return f'{{"index": 0, "delta": {delta}, "finish_reason": null}}'


def read(client: httpx.Client, field: Field) -> tuple[str, str]:
    """All that a client reads in `field`, and the code of the error that ended it, if any."""
    path = COMPLETIONS if field == "text" else CHAT
    body: dict[str, Any] = {"model": "m", "stream": True}
    body |= (
        {"prompt": "hi"} if field == "text" else {"messages": [{"role": "user", "content": "hi"}]}
    )
    answer = client.post(path, json=body)
    if answer.status_code != 200:
        return "", str(answer.json()["error"]["code"])
    said: list[str] = []
    for event in events(answer.content):
        payload = data_of(event)
        if payload is None or payload.strip() == b"[DONE]":
            continue
        told = json.loads(payload)
        if "error" in told:
            return "".join(said), str(told["error"]["code"])
        for choice in told["choices"]:
            said.append(_said(choice, field))
    return "".join(said), ""


def _said(choice: dict[str, Any], field: Field) -> str:
    if field == "text":
        return choice.get("text") or ""
    delta = choice.get("delta") or {}
    if field != "arguments":
        return delta.get(field) or ""
    parts = delta.get("tool_calls") or []
    return "".join((part.get("function") or {}).get("arguments") or "" for part in parts)
