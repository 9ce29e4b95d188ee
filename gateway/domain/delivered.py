"""What a client has been shown of a stream, kept cheaply, read only when it breaks: Delivered."""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from gateway.domain.call import Usage
from gateway.domain.sse import data_of, events

FOLD_BYTES = 64 * 1024
_IDENTITY = ("id", "object", "created", "model", "system_fingerprint")
_REASONING = ("reasoning", "reasoning_content")
_THINKING = ("<think>", "</think>")


class Delivered:
    """Holds the raw events that were passed on, without looking at them; `read` parses them into
    the fields below. Whenever FOLD_BYTES are held they are packed, to a thirtieth or so, for a
    fifteenth of the time that parsing them would take: the memory is about that of the text.

    `identity` are the fields that tell the stream apart; `roles` the choices whose role was said;
    `tokens` is the replica's own count of what is in `text` up to its last visible character,
    None if it never counted; `pieces` counts the deltas up to there. `beyond` names something
    that no other replica can continue: reasoning, a tool call, a second choice …
    """

    __slots__ = (
        *("_packed", "_parts", "_raw", "_size", "beyond", "finished"),
        *("identity", "pieces", "roles", "shown", "tokens"),
        *("_pieces", "_prompt", "_folded"),
    )

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._raw: list[bytes] = []
        self._size = self._folded = 0
        self._parts: list[str] = []
        self._pieces = 0
        self._prompt: int | None = None
        self.identity: dict[str, Any] = {}
        self.roles: set[int] = set()
        self.shown = False
        self.beyond = ""
        self.pieces = 0
        self.tokens: int | None = None
        self.finished = False

    def add(self, whole: bytes) -> None:
        """These whole events are on their way to the client."""
        self._raw.append(whole)
        self._size += len(whole)
        if self._size > FOLD_BYTES:
            self._packed.append(zlib.compress(b"".join(self._raw), 1))
            self._folded += len(self._raw)
            self._raw, self._size = [], 0

    @property
    def held(self) -> int:
        """Bytes that have not been read yet, packed or not."""
        return self._size + sum(map(len, self._packed))

    @property
    def events(self) -> int:
        """How many events were passed on, more or less: some may have held no text."""
        held = sum(zlib.decompress(one).count(b"data:") for one in self._packed)
        return self._pieces + held + sum(one.count(b"data:") for one in self._raw)

    @property
    def chunks(self) -> int:
        """How many pieces came, at once and for nothing: about as many as there were tokens."""
        return self._pieces + self._folded + len(self._raw)

    @property
    def prompt_tokens(self) -> int | None:
        """The replica's own count of the prompt, if the stream carried one."""
        return self._prompt

    @property
    def text(self) -> str:
        """Everything that was said by choice 0, up to the last `read`."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def read(self) -> None:
        """Parse what is held."""
        blocks, self._packed = [zlib.decompress(one) for one in self._packed], []
        raw, self._raw, self._size, self._folded = self._raw, [], 0, 0
        whole = b"".join([*blocks, *raw])
        for event in events(whole) if b"\r" in whole else whole.split(b"\n\n"):
            plain = event.startswith(b"data: ") and b"\n" not in event
            payload = event[6:] if plain else data_of(event)
            if payload is None:
                continue
            try:
                chunk = orjson.loads(payload)
            except orjson.JSONDecodeError:
                self.beyond = self.beyond or "unreadable events"
                continue
            if isinstance(chunk, dict):
                self._chunk(chunk)
        self.text  # noqa: B018 - joins the parts, so that they are held once

    def _chunk(self, chunk: dict[str, Any]) -> None:
        if not self.identity:
            self.identity = {key: chunk[key] for key in _IDENTITY if key in chunk}
        if chunk.get("prompt_token_ids") or chunk.get("prompt_logprobs"):
            self.beyond = self.beyond or "details of the prompt"
        usage = Usage.read(chunk.get("usage"))
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict):
                self._choice(choice, usage)

    def _choice(self, choice: dict[str, Any], usage: Usage | None) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        if choice.get("finish_reason"):
            self.finished = True
        text = self._spoken(choice, index)
        if not text:
            return
        self.shown = True
        if index:
            self.beyond = self.beyond or "a second choice"
            return
        self._parts.append(text)
        self._pieces += 1
        if any(mark in text for mark in _THINKING):
            # Chat templates cut thoughts out of earlier messages: nobody would continue them.
            self.beyond = self.beyond or "reasoning"
        if not text.isspace():
            self.pieces = self._pieces
            if usage is not None:
                self.tokens, self._prompt = usage.completion, usage.prompt

    def _spoken(self, choice: dict[str, Any], index: int) -> str:
        """The text of one choice; what else it holds is noted."""
        delta = choice.get("delta")
        fields = delta if isinstance(delta, dict) else {"content": choice.get("text")}
        if fields.get("role"):
            self.roles.add(index)
        for key, value in fields.items():
            if value and key not in ("role", "content"):
                self.shown = True
                self.beyond = self.beyond or ("reasoning" if key in _REASONING else key)
        content = fields.get("content")
        if content and not isinstance(content, str):
            self.shown = True
            self.beyond = self.beyond or "content that is no text"
            return ""
        return content or ""
