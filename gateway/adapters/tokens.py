"""Counts tokens as the replicas do, and knows their context windows. Satisfies ports.Tokens."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import orjson
from tokenizers import Tokenizer

from gateway.adapters.tokenizer_api import FAILED_SECONDS, Dialect, Facts, NoAnswer, TokenizerApi
from gateway.domain.document import ConfigError, Problem
from gateway.domain.errors import ModelNotFound
from gateway.domain.ports import Counted, Replica, Wire

DEFAULT_WINDOW = 4096
"""The window of a model whose replicas do not tell theirs, in tokens."""

_log = logging.getLogger("gateway.tokens")
_KNOWN_SECONDS = 60.0
_REMEMBERED = 10_000
# Measured with SmolLM2's tokenizer: 3.86 characters of code, 1.19 of Korean, for one token.
_ASCII_PER_TOKEN = 3.8
# What chat templates write around one message, for the case that no server can be asked.
_AROUND_MESSAGE = 5

_Ask = Callable[[Replica, Dialect], Awaitable[int]]


def estimate(text: str) -> int:
    """Tokens of `text` by its length: 3.8 ASCII characters or one other character for each."""
    other = 0 if text.isascii() else sum(character > "\x7f" for character in text)
    return math.ceil((len(text) - other) / _ASCII_PER_TOKEN) + other


class ReplicaTokens:
    """Asks a tokenizer file where there is one, else a replica, else estimates by length.

    `replicas` gives those of a model; `tokenizers` maps a model to its tokenizer.json; `clock` is
    monotonic seconds. ConfigError when a tokenizer file cannot be read.
    """

    def __init__(
        self,
        wire: Wire,
        replicas: Callable[[str], tuple[Replica, ...]],
        *,
        tokenizers: Mapping[str, Path] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = TokenizerApi(wire)
        self._replicas = replicas
        self._clock = clock
        self._local = read_tokenizers(tokenizers or {})
        self._facts: dict[tuple[str, str], tuple[float, Facts]] = {}
        self._asking: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._counts: OrderedDict[tuple[str, bytes], int] = OrderedDict()

    async def window(self, model: str) -> int:
        """The smallest context window of the model's replicas, in tokens; DEFAULT_WINDOW when none
        of them tells. ModelNotFound when there are no replicas."""
        found = await asyncio.gather(*(self._known(one) for one in self._of(model)))
        told = [facts.window for facts in found if facts.window is not None]
        return min(told, default=DEFAULT_WINDOW)

    async def ceiling(self, model: str) -> int | None:
        """The largest context window of the model's replicas, in tokens; None when one of them
        does not tell. ModelNotFound when there are no replicas."""
        found = await asyncio.gather(*(self._known(one) for one in self._of(model)))
        told = [facts.window for facts in found if facts.window is not None]
        return max(told) if len(told) == len(found) else None

    async def count_texts(self, model: str, texts: Sequence[str]) -> list[Counted]:
        """Tokens of each text, without special tokens. ModelNotFound when there are no replicas."""
        replicas = self._of(model)
        texts = [_sane(text) for text in texts]
        unique = list(dict.fromkeys(texts))
        if model in self._local:
            counted = await self._count_locally(model, unique)
        else:
            counted = await asyncio.gather(
                *(self._count_text(model, replicas, text) for text in unique)
            )
        found = dict(zip(unique, counted, strict=True))
        return [found[text] for text in texts]

    async def count_messages(
        self, model: str, messages: Sequence[Mapping[str, str]], *, continue_final: bool = False
    ) -> Counted:
        """Tokens of the prompt that these messages become under the chat template; with
        `continue_final` the last message stays open. ModelNotFound when there are no replicas."""
        replicas = self._of(model)
        messages = [{key: _sane(text) for key, text in one.items()} for one in messages]
        key = _key(model, orjson.dumps([continue_final, messages]))

        async def ask(replica: Replica, dialect: Dialect) -> int:
            return await self._api.count_messages(
                replica, dialect, messages, continue_final=continue_final
            )

        exact = await self._remembered(key, replicas, ask)
        if exact is not None:
            return Counted(exact, exact=True)
        texts = [message.get("content", "") for message in messages]
        if model in self._local:
            inside = sum(c.tokens for c in await self._count_locally(model, texts))
        else:
            inside = sum(estimate(text) for text in texts)
        return Counted(inside + _AROUND_MESSAGE * (len(messages) + 1), exact=False)

    def _of(self, model: str) -> tuple[Replica, ...]:
        replicas = self._replicas(model)
        if not replicas:
            raise ModelNotFound(param="model")
        return replicas

    async def _count_text(self, model: str, replicas: tuple[Replica, ...], text: str) -> Counted:
        if not text:
            return Counted(0, exact=True)

        async def ask(replica: Replica, dialect: Dialect) -> int:
            return await self._api.count_text(replica, dialect, text)

        tokens = await self._remembered(_key(model, text.encode()), replicas, ask)
        if tokens is None:
            return Counted(estimate(text), exact=False)
        return Counted(tokens, exact=True)

    async def _count_locally(self, model: str, texts: Sequence[str]) -> list[Counted]:
        keys = [_key(model, text.encode()) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._counts}
        if new:
            # A long file takes a second: not on the event loop.
            lengths = await asyncio.to_thread(_lengths, self._local[model], list(new.values()))
            fresh = dict(zip(new, lengths, strict=True))
        else:
            fresh = {}
        counted = [fresh[key] if key in fresh else self._counts[key] for key in keys]
        for key, tokens in zip(keys, counted, strict=True):
            self._remember(key, tokens)
        return [Counted(tokens, exact=True) for tokens in counted]

    async def _remembered(
        self, key: tuple[str, bytes], replicas: tuple[Replica, ...], ask: _Ask
    ) -> int | None:
        """The count under `key`, asked of the first replica that answers; None when none does."""
        tokens = self._counts.get(key)
        if tokens is None:
            tokens = await self._first(replicas, ask)
        if tokens is not None:
            self._remember(key, tokens)
        return tokens

    def _remember(self, key: tuple[str, bytes], tokens: int) -> None:
        self._counts[key] = tokens
        self._counts.move_to_end(key)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)

    async def _first(self, replicas: tuple[Replica, ...], ask: _Ask) -> int | None:
        for replica in replicas:
            facts = await self._known(replica)
            if facts.dialect is Dialect.SILENT:
                continue
            try:
                return await ask(replica, facts.dialect)
            except NoAnswer as error:
                _log.info("no token count from %s: %s", replica.id, error)
                if error.spare:
                    self._learn(replica, Facts(Dialect.SILENT, facts.window), error.spare)
        return None

    async def _known(self, replica: Replica) -> Facts:
        """What the replica says of itself, at most a minute old. Never raises: a replica that
        cannot be asked is SILENT for some seconds."""
        if replica.provider:
            return Facts(Dialect.SILENT, replica.window)
        key = _id(replica)
        async with self._asking[key]:
            until, facts = self._facts.get(key, (-math.inf, None))
            if facts is not None and self._clock() < until:
                return facts
            try:
                found, seconds = await self._api.facts(replica), _KNOWN_SECONDS
            except NoAnswer as error:
                _log.info("no context window from %s: %s", replica.id, error)
                # What it said before still holds more likely than a default.
                before = facts.window if facts is not None else None
                found, seconds = Facts(Dialect.SILENT, before), error.spare or FAILED_SECONDS
            self._learn(replica, found, seconds)
            return found

    def _learn(self, replica: Replica, facts: Facts, seconds: float) -> None:
        self._facts[_id(replica)] = (self._clock() + seconds, facts)


def _id(replica: Replica) -> tuple[str, str]:
    return replica.base_url, replica.upstream_model


def _key(model: str, content: bytes) -> tuple[str, bytes]:
    return model, hashlib.blake2b(content, digest_size=16).digest()


def _sane(text: str) -> str:
    """`text` without lone surrogates, which neither JSON nor a tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _lengths(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    return [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def read_tokenizers(paths: Mapping[str, Path]) -> dict[str, Tokenizer]:
    """The tokenizer of each model. ConfigError with every file that is none."""
    loaded, problems = {}, []
    for model, path in paths.items():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        # Marked edge: the library raises plain Exception for a file that it cannot read.
        except Exception as error:
            message = f"assist.tokenizers: not a tokenizer for model {model!r}: {error}"
            problems.append(Problem(str(path), 0, message, "give a tokenizer.json of the model"))
            continue
        # Files carry settings for training, which would cut a count short or fill it up.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        loaded[model] = tokenizer
    if problems:
        raise ConfigError(problems)
    return loaded
