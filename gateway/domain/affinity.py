"""Prefix affinity: which replica is likely to hold a call's prefix in its cache, and when load
forbids to go there. Stable over processes and machines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import log
from typing import Any

import orjson

from gateway.domain.call import Call
from gateway.domain.endpoints import CHAT, COMPLETIONS

# A text counts by its length and its two ends: hashing a prompt of megabytes costs no more.
_HEAD_CHARS = 2048
_TAIL_CHARS = 256
_PROMPT_CHARS = 512
_PROMPT_TOKENS = 128
_MOST_ITEMS = 64
_DEPTH = 4
_64_BITS = 2**64 - 1
# Body fields that vLLM renders before the messages, or mixes into the hash of its cache's blocks.
_BEFORE_MESSAGES = ("cache_salt", "chat_template", "chat_template_kwargs", "documents")


@dataclass(frozen=True, slots=True)
class AffinityRule:
    """Bounds of a favourite's load: `factor` times its fair share of what is in flight, and
    `slack` more; at most `waiting` requests in its own queue beyond the shortest of the others;
    less than `kv` of its cache in use, while another has room."""

    factor: float = 1.25
    slack: int = 2
    waiting: int = 1
    kv: float = 0.95


@dataclass(frozen=True, slots=True)
class Pressed:
    """What presses on one replica: our requests in flight, its `weight` next to the others, and
    what it said of itself lately (None: unknown)."""

    in_flight: int
    weight: float = 1.0
    waiting: float | None = None
    kv: float | None = None

    def pressure(self, rule: AffinityRule) -> tuple[bool, float]:
        """Smaller is better: first whether its cache is full, then requests for its weight."""
        full = self.kv is not None and self.kv >= rule.kv
        return full, (self.in_flight + (self.waiting or 0.0)) / self.weight


def prefix_key(call: Call, model: str) -> bytes | None:
    """What all calls have in common that share a long prefix, as 16 bytes; None where there is
    none to share (embeddings).

    All turns of a conversation have one key: of a chat only the messages up to the first of the
    user count. A completion counts by its first 512 characters, a prompt file by `call.affinity`.
    """
    digest = blake2b(model.encode(), digest_size=16)
    if call.affinity:
        _feed(digest, ["prompt", call.affinity])
    elif call.endpoint is CHAT:
        _feed_chat(digest, call.body)
    elif call.endpoint is COMPLETIONS:
        _feed(digest, [call.body.get("cache_salt"), _beginning(call.body.get("prompt"))])
    else:
        return None
    return digest.digest()


def _feed_chat(digest: Any, body: Mapping[str, Any]) -> None:
    for name in _BEFORE_MESSAGES:
        if body.get(name) is not None:
            _feed(digest, [name, body[name]])
    for tool in _first(body.get("tools")):
        function = tool.get("function") if isinstance(tool, dict) else None
        _feed(digest, function.get("name") if isinstance(function, dict) else tool)
    for message in _first(body.get("messages")):
        if not isinstance(message, dict):
            continue
        _feed(digest, [message.get("role"), message.get("content")])
        if message.get("role") == "user":
            break


def _beginning(prompt: object) -> object:
    """Of a text, of token ids, or of the first of several of either."""
    if isinstance(prompt, list):
        if prompt and isinstance(prompt[0], int):
            return orjson.dumps(prompt[:_PROMPT_TOKENS]).decode()
        return _beginning(prompt[0]) if prompt else None
    return prompt[:_PROMPT_CHARS] if isinstance(prompt, str) else None


def _first(items: object) -> Sequence[Any]:
    return items[:_MOST_ITEMS] if isinstance(items, list) else ()


def _feed(digest: Any, value: object, depth: int = _DEPTH) -> None:
    """Each text with its length before it, so that no two values look alike."""
    if isinstance(value, str):
        head, tail = value[:_HEAD_CHARS], value[_HEAD_CHARS:][-_TAIL_CHARS:]
        digest.update(b"s%d:" % len(value) + (head + tail).encode("utf-8", "surrogatepass"))
    elif isinstance(value, list) and depth:
        digest.update(b"l%d:" % len(value))
        for item in value[:_MOST_ITEMS]:
            _feed(digest, item, depth - 1)
    elif isinstance(value, dict) and depth:
        digest.update(b"d%d:" % len(value))
        for name in list(value)[:_MOST_ITEMS]:
            _feed(digest, name)
            _feed(digest, value[name], depth - 1)
    else:
        digest.update(repr(value)[:_TAIL_CHARS].encode("utf-8", "surrogatepass"))


def favourite(key: bytes, weights: Mapping[str, float]) -> str:
    """The replica id that `key` belongs to, by weighted rendezvous hashing: when a replica comes
    or goes, only the keys that it gains or loses move. `weights` is not empty."""
    number = int.from_bytes(key[:8], "big")
    return max(weights, key=lambda one: _score(number ^ _number(one), weights[one]))


@lru_cache(maxsize=4096)
def _number(replica: str) -> int:
    return int.from_bytes(blake2b(replica.encode(), digest_size=8).digest(), "big")


def _score(number: int, weight: float) -> float:
    """Of 64 bits, stirred as in splitmix64: a digest for each replica would cost twice as much."""
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _64_BITS
    number ^= number >> 31
    return -weight / log((number + 1) / (_64_BITS + 2))


def has_room(one: Pressed, others: Collection[Pressed], rule: AffinityRule) -> bool:
    """Whether the load of a favourite allows one more request, next to that of the `others`."""
    total = 1 + one.in_flight + sum(other.in_flight for other in others)
    weight = one.weight + sum(other.weight for other in others)
    if one.in_flight + 1 > rule.factor * total * one.weight / weight + rule.slack:
        return False
    if not others:
        return True
    if one.waiting is not None and one.waiting > rule.waiting + _least(o.waiting for o in others):
        return False
    return one.kv is None or one.kv < rule.kv or _least(o.kv for o in others) >= rule.kv


def _least(numbers: Iterable[float | None]) -> float:
    """The smallest; one that nobody knows counts as 0."""
    return min(number or 0.0 for number in numbers)
