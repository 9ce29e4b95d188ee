"""What a replica's server tells of tokens: its context window, and counts by its own tokenizer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from gateway.domain.ports import Replica, Wire, WireError, WireResponse

SECONDS = 5.0
"""How long one question may take."""
CANNOT_SECONDS = 60.0
"""How long a server that does not count is left alone."""
FAILED_SECONDS = 5.0
"""How long a server that is down or too slow is left alone."""
AT_ONCE = 8
"""How many questions may be open, to all replicas together."""
_BYTES = 64 * 1024 * 1024  # vLLM lists every token's id with its count


class Dialect(Enum):
    """How a server wants to be asked for counts; SILENT when it cannot be asked."""

    VLLM = 1
    LLAMA_CPP = 2
    SILENT = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What a replica says of itself; `window` in tokens, None when it does not say."""

    dialect: Dialect
    window: int | None


class NoAnswer(Exception):
    """No count from this replica. `spare` is for how many seconds it is no use to ask it again; 0
    where only this one question was wrong."""

    def __init__(self, detail: str, *, spare: float = CANNOT_SECONDS) -> None:
        super().__init__(detail)
        self.spare = spare


class TokenizerApi:
    """Questions to replicas over the wire: at most AT_ONCE at a time, SECONDS for each."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def facts(self, replica: Replica) -> Facts:
        """From the server's list of models, and from llama.cpp's /props. NoAnswer when the list
        cannot be had."""
        row = _row(await self._ask("GET", f"{_base(replica)}/models", replica), replica)
        window = row.get("max_model_len")
        if isinstance(window, int):
            return Facts(Dialect.VLLM, window)
        meta = row.get("meta")
        if row.get("owned_by") == "llamacpp" or isinstance(meta, dict):
            return Facts(Dialect.LLAMA_CPP, await self._llama_window(replica, meta))
        return Facts(Dialect.SILENT, None)

    async def _llama_window(self, replica: Replica, meta: object) -> int | None:
        # A server with several slots divides its context among them: only /props tells the share.
        try:
            props = await self._ask("GET", f"{_root(replica)}/props", replica)
        except NoAnswer:
            props = {}
        for place in (props.get("default_generation_settings"), meta):
            window = place.get("n_ctx") if isinstance(place, dict) else None
            if isinstance(window, int):
                return window
        return None

    async def count_text(self, replica: Replica, dialect: Dialect, text: str) -> int:
        """Tokens of `text` without special tokens around it. NoAnswer when it cannot be asked."""
        if dialect is Dialect.LLAMA_CPP:
            return await self._llama_count(replica, text, whole_prompt=False)
        body = {"model": replica.upstream_model, "prompt": text, "add_special_tokens": False}
        return _count(await self._ask("POST", f"{_root(replica)}/tokenize", replica, body))

    async def count_messages(
        self,
        replica: Replica,
        dialect: Dialect,
        messages: Sequence[Mapping[str, str]],
        *,
        continue_final: bool,
    ) -> int:
        """Tokens of the prompt that the server's chat template makes of `messages`."""
        body: dict[str, Any] = {
            "model": replica.upstream_model,
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": not continue_final,
            "continue_final_message": continue_final,
        }
        if dialect is Dialect.LLAMA_CPP:
            made = await self._ask("POST", f"{_root(replica)}/apply-template", replica, body)
            prompt = made.get("prompt")
            if not isinstance(prompt, str):
                raise NoAnswer("/apply-template gave no prompt")
            return await self._llama_count(replica, prompt, whole_prompt=True)
        # The template writes the special tokens itself.
        body["add_special_tokens"] = False
        return _count(await self._ask("POST", f"{_root(replica)}/tokenize", replica, body))

    async def _llama_count(self, replica: Replica, text: str, *, whole_prompt: bool) -> int:
        # llama.cpp answers an empty list when asked by any other field than `content`.
        body = {"content": text, "add_special": whole_prompt}
        answer = await self._ask("POST", f"{_root(replica)}/tokenize", replica, body)
        tokens = answer.get("tokens")
        if not isinstance(tokens, list):
            raise NoAnswer("/tokenize gave no tokens")
        return len(tokens)

    async def _ask(
        self, method: str, url: str, replica: Replica, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        sent = orjson.dumps(body) if body is not None else None
        try:
            async with self._slots, asyncio.timeout(SECONDS):
                response = await self._wire.send(method, url, headers=_headers(replica), body=sent)
                received = await _read(response)
        except TimeoutError:
            raise NoAnswer(
                f"{url} gave no answer within {SECONDS:g} s", spare=FAILED_SECONDS
            ) from None
        except WireError as error:
            raise NoAnswer(f"{url}: {error}", spare=FAILED_SECONDS) from error
        if response.status != 200:
            raise NoAnswer(f"{url} answered {response.status}", spare=_spare(response.status))
        content: object = None
        with suppress(orjson.JSONDecodeError):
            content = orjson.loads(received)
        if not isinstance(content, dict):
            raise NoAnswer(f"{url} did not answer with a JSON object")
        return content


def _spare(status: int) -> float:
    if status in (400, 413, 422):
        return 0.0
    return FAILED_SECONDS if status >= 500 and status != 501 else CANNOT_SECONDS


async def _read(response: WireResponse) -> bytes:
    """The whole body. The connection is dropped unless all of it was read."""
    try:
        body = await response.read(_BYTES)
    except BaseException:
        response.close()
        raise
    response.release()
    return body


def _headers(replica: Replica) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        **replica.headers,
    }
    if replica.api_key:
        headers["authorization"] = f"Bearer {replica.api_key}"
    return headers


def _base(replica: Replica) -> str:
    return replica.base_url.rstrip("/")


def _root(replica: Replica) -> str:
    return _base(replica).removesuffix("/v1")


def _row(listed: dict[str, Any], replica: Replica) -> dict[str, Any]:
    """The replica's model in the server's list; the only one there is, under whatever name."""
    found = listed.get("data")
    rows = [dict(row) for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    named = [row for row in rows if row.get("id") == replica.upstream_model]
    if named:
        return named[0]
    return rows[0] if len(rows) == 1 else {}


def _count(answer: dict[str, Any]) -> int:
    count = answer.get("count")
    if not isinstance(count, int):
        raise NoAnswer("/tokenize gave no count")
    return count
