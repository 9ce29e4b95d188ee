"""Injection: a score for how much a request looks like an attempt to give a model new orders."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

import regex  # type: ignore[import-untyped]
from pydantic import Field, field_validator

from gateway import Call, Policy, Refusal, Tools, request_texts

_AT_ONCE = 4_000  # characters that take a few milliseconds at worst; more leave the loop alone
_SECONDS, _BLOBS = 0.2, 64  # for one rule in one text
_ALPHABET = str.maketrans("-_", "+/")
_LONGEST = 4_096  # characters of a blob that are read
_INSTRUCTED = r"(?:instructions?|prompts?|rules?|directions?|directives?|guidelines?|constraints?)"

# By name: what it adds to the score, and what shows it. `s` lets a dot be a line break.
RULES: dict[str, tuple[float, str]] = {
    "override": (
        1.0,
        r"(?is)\b(?:ignore|disregard|forget|override|bypass|do not follow|stop following)\b.{0,24}"
        r"\b(?:all|any|every|previous|prior|above|earlier|preceding|your|these|those|system)\b"
        rf".{{0,24}}\b{_INSTRUCTED}\b"
        r"|(?:이전|앞의|앞선|위의|위에|지금까지|기존|모든|시스템|원래)[^\n]{0,20}"
        r"(?:지시|명령|지침|프롬프트|규칙|안내|제한)[^\n]{0,12}"
        r"(?:무시|잊|따르지|어겨|어기|버려|버리|해제|우회)",
    ),
    "reveal": (
        0.7,
        r"(?is)\b(?:reveal|show|print|repeat|output|display|tell me|give me|leak|what (?:is|are))\b"
        r".{0,30}\b(?:system prompt|system message|(?:initial|original|hidden|secret|your|above)"
        rf" {_INSTRUCTED}|developer message|(?:words|text) above)"
        r"|(?:시스템|숨겨진|초기)\s*(?:프롬프트|메시지|지시|지침)[^\n]{0,16}"
        r"(?:보여|알려|출력|공개|말해|적어|반복)",
    ),
    "persona": (
        0.7,
        r"(?i)\bdo anything now\b|\bjailbr(?:eak|oken)\b|\bdeveloper mode\b.{0,20}\b(?:on|enabled?)"
        r"|\b(?:act as|pretend (?:to be|you are)|you are now)\b.{0,40}\b(?:unrestricted|unfiltered"
        r"|uncensored|DAN|evil|without (?:any )?(?:rules|restrictions|limits))\b"
        r"|(?:제한|제약|검열|규칙)\s*(?:이|가)?\s*없는[^\n]{0,12}(?:AI|인공지능|모델|역할|챗봇)"
        r"|개발자 모드[^\n]{0,10}(?:켜|활성|전환|진입)|탈옥",
    ),
    "new_orders": (
        0.7,
        r"(?im)^\W{0,8}(?:new|updated|real) (?:system )?(?:instructions?|orders?|rules?)\W{0,3}:"
        r"|^\W{0,8}(?:새로운|변경된|진짜)\s*(?:지시|명령|지침|규칙)[^\n]{0,6}:",
    ),
    "role_forgery": (
        0.6,
        r"(?i)\"role\"\s*:\s*\"(?:system|developer)\"|<(?:message|turn)\b[^>]{0,40}\b(?:role|by)\s*="
        r"|</?(?:system|developer)>|\{\{\s*role\b|(?:^|\n)\s*#{1,4}\s*(?:system|assistant)\s*:"
        r"|[|\uff5c]\s{0,2}>\s{0,3}(?:system|assistant|developer)\b|<<SYS>>|\[SYSTEM_PROMPT\]"
        r"|\n\s*\n\s*(?:system|assistant|human)\s*:\s*\S|^\s*(?:system|assistant)\s*:\s*\S",
    ),
    "control_tokens": (
        0.8,
        r"(?i)<\s{0,2}[|\uff5c]\s{0,2}[\w\u2581 -]{1,34}[|\uff5c]\s{0,2}>|<</?SYS>>|\[/?INST\]"
        r"|\[/?SYSTEM_PROMPT\]|\[TOOL_CALLS\]|<(?:start|end)_of_turn>",
    ),
    "closed_tags": (
        0.3,
        r"(?i)</\s*(?:instructions?|selected|rewritten|conversation|context|user_input|rules)"
        r"(?:-\d{1,20})?\s*>",
    ),
    # A flag may be spelt in tag characters; nothing else that people write is.
    "tag_characters": (1.0, r"(?<!\U0001f3f4[\U000e0020-\U000e007f]{0,7})[\U000e0001-\U000e007f]"),
    "bidi": (0.6, r"[\u202a\u202b\u202d\u202e\u2066-\u2068][^\u202c\u2069\n]*[A-Za-z0-9]"),
    "zero_width": (
        0.5,
        r"[\u200b\u2060\ufeff]{3}|(?<=[A-Za-z<])[\u200b-\u200d\u2060\u00ad\ufeff](?=[A-Za-z|/])",
    ),
    "exfiltration": (
        0.7,
        r"(?i)!\[[^\]\n]{0,200}\]\(https?://[^)\s]{1,400}[?&][\w.-]{1,40}=(?:[^)\s]{0,200}[{<\[$]|\))"
        r"|<img\b[^>]{0,200}\bsrc=[\"']?https?://[^>\s]{1,400}[?&][\w.-]{1,40}=[^>\s]{0,200}[{\[$]"
        r"|\b(?:append|add|include|encode|embed|put)\b.{0,60}\b(?:conversation|history|secrets?"
        r"|keys?|passwords?|context|data)\b.{0,40}\b(?:to|in|into|as)\b.{0,20}\b(?:url|link|image|query)\b",
    ),
    "encoded": (1.0, r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}+={0,2}"),
}
# One of these is in each text, in small letters, that the rule can find something in.
_SIGNS: dict[str, tuple[str, ...]] = {
    "override": ("ignore", "disregard", "forget", "override", "bypass", "not follow", "stop follow",
                 "무시", "잊", "따르지", "어겨", "어기", "버려", "버리", "해제", "우회"),
    "reveal": ("prompt", "message", "above", "instr", "rules", "direc", "guideli", "constr",
               "프롬", "메시지", "지시", "지침"),
    "persona": ("do anything", "jailbr", "developer mode", "act as", "pretend", "you are now",
                "없는", "개발자", "탈옥"),
    "new_orders": ("instruction", "order", "rule", "지시", "명령", "지침", "규칙"),
    "role_forgery": ("sys", "assistant", "developer", "human", "role", "turn"),
    "control_tokens": ("|", "\uff5c", "<<", "[", "_of_turn"),
    "exfiltration": ("![", "<img", " url", "link", "image", "query"),
}  # fmt: skip
_PHRASES = ("override", "reveal", "persona", "new_orders", "control_tokens")


class Injection(Policy):
    """Adds up what in the texts of a request (all but the system's own) speaks of an injection,
    notes the score and the names of the rules, and refuses from `threshold` on. Heuristics: run it
    with `mode: shadow` until the notes say that your own requests stay below.
    """

    class Settings(Policy.Settings):
        threshold: float = Field(1.0, gt=0)
        """the score from which on a request is refused; each rule counts once"""

        weights: dict[str, float] = Field(default_factory=dict)
        """what a rule adds, by its name: {closed_tags: 0}; those not named keep theirs"""

        characters: int = Field(400_000, ge=1000)
        """most characters that are looked at: the beginning and the end of each longer text"""

        @field_validator("weights")
        @classmethod
        def _known(cls, weights: dict[str, float]) -> dict[str, float]:
            for name in weights.keys() - RULES.keys():
                near = get_close_matches(name, RULES, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(RULES)}"
                raise ValueError(f"no rule {name!r}; {hint}")
            return weights

    settings: Settings

    def __init__(self, settings: Settings, tools: Tools) -> None:
        super().__init__(settings, tools)
        own = {name: weight for name, (weight, _) in RULES.items()} | settings.weights
        self._weights = {name: weight for name, weight in own.items() if weight > 0}
        self._rules = {name: regex.compile(RULES[name][1]) for name in RULES}

    async def before(self, call: Call) -> None:
        texts = list(self._looked_at(call))
        long = sum(map(len, texts)) > _AT_ONCE
        rules = await asyncio.to_thread(self.rules_in, texts) if long else self.rules_in(texts)
        if not rules:
            return
        score = round(sum(self._weights[name] for name in rules), 3)
        call.note("injection", score=score, rules=rules)
        if score >= self.settings.threshold:
            raise Refusal(
                "The request looks like an attempt to change the model's instructions.",
                code="prompt_injection",
                detail=f"injection: score {score} by {', '.join(rules)}",
            )

    def _looked_at(self, call: Call) -> Iterator[str]:
        left = self.settings.characters
        messages = call.body.get("messages")
        asked = dict(call.body)
        if isinstance(messages, list):
            asked["messages"] = [one for one in messages if not _of_the_system(one)]
        for text in request_texts(asked):
            said = text.value
            if len(said) > left:
                said = f"{said[: left // 2]}\n{said[len(said) - left // 2 :]}"
            yield said
            left -= len(said)
            if left <= 0:
                return

    def rules_in(self, texts: list[str]) -> list[str]:
        """The names of the rules that one of `texts` breaks. TimeoutError after 0.2 s for one."""
        small = [one.lower() for one in texts]
        return [
            name
            for name in self._weights
            if any(
                self._breaks(name, text)
                for text, lowered in zip(texts, small, strict=True)
                if name not in _SIGNS or any(sign in lowered for sign in _SIGNS[name])
            )
        ]

    def _breaks(self, name: str, text: str) -> bool:
        rule = self._rules[name]
        if name != "encoded":
            return rule.search(text, timeout=_SECONDS, concurrent=True) is not None
        blobs = islice(rule.finditer(text, timeout=_SECONDS, concurrent=True), _BLOBS)
        said = (one for blob in blobs for one in _decoded(blob[0][:_LONGEST]))
        return any(self._breaks(phrase, one) for one in said for phrase in _PHRASES)


def _decoded(blob: str) -> Iterator[str]:
    """What a blob may say, read as base64 or hexadecimal: texts only."""
    plain = blob.rstrip("=").translate(_ALPHABET)
    for decode in (lambda text: base64.b64decode(text + "=" * (-len(text) % 4)), bytes.fromhex):
        try:
            yield decode(plain).decode()
        except ValueError:
            continue


def _of_the_system(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")
