"""Redaction: secrets and personal details stay out of what a model reads, and of what it says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from gateway import Call, Delta, Detectors, Outcome, Policy, Refusal, Tools, Vault, request_texts

Action = Literal["redact", "mask", "refuse", "allow"]

REMOVED = "[secret removed]"
_IN_PLACE = 4_000  # characters that usually take less than a millisecond; more leave the loop alone
_SHAPED = ("response_format", "structured_outputs", "guided_json")


class Redaction(Policy):
    """In requests: secrets become placeholders, which come back as what they stood for in the
    answer to the same call; so code still round-trips. In answers: secrets that the request did
    not have. Streaming or not, in texts, reasoning and the arguments of tools.
    """

    class Settings(Policy.Settings):
        requests: Action = "redact"
        """redact: placeholders that come back in the answer; mask: stars that do not; refuse;
        allow"""

        answers: Action = "redact"
        """redact: "[secret removed]"; mask: stars; refuse: nothing of it leaves; allow. What the
        request itself had is always allowed"""

        detectors: tuple[str, ...] = ("secrets", "pii")
        """what to look for in requests, groups or kinds: secrets, pii, network; aws, email, iban"""

        answer_detectors: tuple[str, ...] = ("secrets",)
        """the same for answers: what a model makes up is rarely anybody's address"""

        patterns: dict[str, str] = Field(default_factory=dict)
        """further kinds, for both: {employee: "E-[0-9]{6}"}; only the name is ever logged"""

        window: int = Field(16_384, ge=64)
        """characters of a stream that may wait while it is open whether they become a secret; one
        that is longer refuses the answer"""

        max_characters: int = Field(4_000_000, ge=1)
        """longer requests are refused: they cannot be looked through in a second"""

        @model_validator(mode="after")
        def _can_be_found(self) -> Redaction.Settings:
            if self.requests == self.answers == "allow":
                raise ValueError("nothing to do where both requests and answers are allowed")
            Detectors((*self.detectors, *self.answer_detectors), self.patterns)
            return self

    settings: Settings

    def __init__(self, settings: Settings, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._asked = Detectors(settings.detectors, settings.patterns, settings.window)
        self._said = Detectors(settings.answer_detectors, settings.patterns, settings.window)
        self._vaults: dict[Call, Vault] = {}

    async def before(self, call: Call) -> None:
        if self.settings.requests == "allow":
            return
        if _token_ids(call.body):
            message = "Token ids cannot be looked through for secrets here; send text instead."
            raise Refusal(message, status=400, code="text_required")
        texts = list(request_texts(call.body))
        size = sum(len(text.value) for text in texts)
        if size > self.settings.max_characters:
            most = self.settings.max_characters
            message = f"The request has {size} characters of text; at most {most} here."
            raise Refusal(message, status=413, code="request_too_large")
        if size > _IN_PLACE:
            await asyncio.to_thread(self._clean, call, texts)
        else:
            self._clean(call, texts)

    def _clean(self, call: Call, texts: list[Any]) -> None:
        found: Counter[str] = Counter()
        vault: Vault | None = None
        for text in texts:
            said = text.value
            secrets = self._asked.find(said, json=text.json)
            if not secrets:
                continue
            vault = vault or Vault(each.value for each in texts)
            parts, at = [], 0
            for one in secrets:
                mark = vault.place(one.value) if self.settings.requests == "redact" else None
                parts += [said[at : one.start], mark or masked(one.value)]
                at = one.end
                found[one.kind] += one.value != mark
            text.change("".join([*parts, said[at:]]))
        if not found.total():
            return
        self._tell(call, "request", found)
        if self.settings.requests == "refuse":
            kinds = ", ".join(found)
            raise Refusal(
                f"The request holds what looks like a secret or a personal detail ({kinds}); "
                "take it out.",
                code="secret_in_request",
            )
        if vault:
            self._vaults[call] = vault

    async def during(self, call: Call, delta: Delta) -> Delta:
        if call not in self._vaults and self.settings.answers == "allow":
            return replace(delta, hold=0)
        if len(delta.text) > _IN_PLACE:
            return await asyncio.to_thread(self._cleared, call, delta)
        return self._cleared(call, delta)

    def _cleared(self, call: Call, delta: Delta) -> Delta:
        vault, json = self._vaults.get(call), _is_json(call, delta.field)
        text, start = delta.before + delta.text, len(delta.before)
        found: list[Any] = []
        settled = len(text)
        if self.settings.answers != "allow":
            found, settled = self._said.watch(text, start, final=delta.final, json=json)
        if vault is not None and not delta.final:
            settled = max(start, vault.settled(text, settled))
        if len(text) - settled > self.settings.window:
            raise _withheld(f"more than {self.settings.window} characters in {delta.field}")
        parts, at = [], start
        for one in found:
            if one.end <= settled and not _known(call, vault, one.value):
                parts += [_restored(vault, text[at : one.start], json), self._instead(call, one)]
                at = one.end
        cleared = "".join([*parts, _restored(vault, text[at:settled], json)])
        return replace(delta, text=cleared + text[settled:], hold=len(text) - settled)

    def _instead(self, call: Call, one: Any) -> str:
        if self.settings.answers == "refuse":
            raise _withheld(one.kind)
        self._tell(call, "answer", {one.kind: 1})
        return REMOVED if self.settings.answers == "redact" else masked(one.value)

    def _tell(self, call: Call, where: str, found: Mapping[str, int]) -> None:
        call.note("redaction", where=where, found=dict(found))
        for kind, count in found.items():
            self.tools.meters.redacted(self.tools.name, kind, count)

    async def after(self, call: Call, outcome: Outcome) -> None:
        self._vaults.pop(call, None)


def _token_ids(body: dict[str, Any]) -> bool:
    given = [value for name in ("prompt", "input") if isinstance(value := body.get(name), list)]
    return any(isinstance(part, int | list) for parts in given for part in parts)


def masked(secret: str) -> str:
    """As long as the secret, with nothing of it but its spaces and signs."""
    return "".join("*" if character.isalnum() else character for character in secret)


def _known(call: Call, vault: Vault | None, value: str) -> bool:
    """Whether the client has shown this itself: what it knows needs no hiding from it."""
    if vault is not None and (vault.holds(value) or vault.restore(value) != value):
        return True
    return any(value in text.value for text in request_texts(call.body))


def _restored(vault: Vault | None, text: str, json: bool) -> str:
    return text if vault is None else vault.restore(text, json=json)


def _is_json(call: Call, field: str) -> bool:
    """Whether this text of an answer is JSON, so that what is put into it needs escapes."""
    if field.endswith("arguments"):
        return True
    shape = call.body.get("response_format")
    plain = isinstance(shape, dict) and shape.get("type") == "text"
    return field == "content" and not plain and any(call.body.get(name) for name in _SHAPED)


def _withheld(detail: str) -> Refusal:
    return Refusal(
        "The answer was withheld: it holds what looks like a secret.",
        code="answer_withheld",
        detail=f"redaction: {detail}",
    )
