"""What the mock model says, and in how many tokens: the text behind an answer, without its JSON."""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.testing.mock_script import Behaviour

DEFAULT_TEXT = "The mock says: café, 日本語 and 🙂 are bytes too."
_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_VOCABULARY = 32_000
# /v1/completions has no marker for a continuation: the prompt just ends with what was delivered.
# Fewer shared characters than this are taken for chance.
_SHORTEST_OVERLAP = 3


@dataclass(frozen=True, slots=True)
class Generation:
    """One choice's worth of output; every item of `reasoning` and `deltas` is one token."""

    prompt_tokens: int
    reasoning: tuple[str, ...]
    deltas: tuple[str, ...]
    tool_calls: tuple[Mapping[str, str], ...]
    finish_reason: str | None
    stop_reason: str | None

    @property
    def tokens(self) -> int:
        calls = sum(len(tokenise(call["arguments"])) + 1 for call in self.tool_calls)
        return len(self.reasoning) + len(self.deltas) + calls


def tokenise(text: str) -> list[str]:
    """The mock's tokens: words and signs, each with the space before it; they join to `text`."""
    return _TOKEN.findall(text)


def token_ids(text: str) -> list[int]:
    return [zlib.crc32(piece.encode("utf-8", "replace")) % _VOCABULARY for piece in tokenise(text)]


def plain(content: object) -> str:
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def prompts(body: Mapping[str, Any]) -> list[str]:
    """The prompts of a request: the rendered conversation, or what `prompt` or `input` holds."""
    if "messages" in body:
        rendered = (f"<{m.get('role')}>\n{plain(m.get('content'))}" for m in body["messages"])
        return ["\n".join(rendered)]
    given = body.get("prompt", body.get("input", ""))
    if isinstance(given, list) and given and isinstance(given[0], int):
        given = [given]
    items = given if isinstance(given, list) else [given]
    # A list of token ids is as good a text as any: one word a token.
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in items]


def prompt_tokens(body: Mapping[str, Any]) -> int:
    return sum(len(tokenise(prompt)) for prompt in prompts(body))


def token_limit(body: Mapping[str, Any]) -> int | None:
    """`max_completion_tokens`, else `max_tokens`; vLLM's 16 for completions that say nothing."""
    limit = body.get("max_completion_tokens")
    if limit is None:
        limit = body.get("max_tokens")
    return 16 if limit is None and "messages" not in body else limit


def generate(body: Mapping[str, Any], behaviour: Behaviour) -> Generation:
    """The answer to a chat or completion request, or the rest of it, where the start is given."""
    deltas = _answer(body, behaviour)
    if "messages" in body or not behaviour.echo:
        deltas = skip(deltas, len(_already_said(body, "".join(deltas))))
    deltas, stop_reason = _until_stop(deltas, body.get("stop"))
    reasoning = tokenise(behaviour.reasoning or "")
    total, limit = len(reasoning) + len(deltas), token_limit(body)
    if limit is not None and limit < total:
        deltas = deltas[: max(0, limit - len(reasoning))]
        reasoning = reasoning[:limit]
    finish = behaviour.finish_reason
    if finish == "stop" and limit is not None and limit < total:
        finish = "length"
    elif finish == "stop" and behaviour.tool_calls:
        finish = "tool_calls"
    return Generation(
        prompt_tokens(body),
        tuple(reasoning),
        tuple(deltas),
        behaviour.tool_calls,
        finish,
        stop_reason,
    )


def _answer(body: Mapping[str, Any], behaviour: Behaviour) -> list[str]:
    if behaviour.deltas is not None:
        return list(behaviour.deltas)
    if behaviour.tokens is not None:
        return [f" t{n}" if n else "t0" for n in range(behaviour.tokens)]
    if behaviour.text is not None:
        return tokenise(behaviour.text)
    if behaviour.echo:
        return tokenise(_last_user_message(body))
    return [] if behaviour.tool_calls else tokenise(DEFAULT_TEXT)


def _last_user_message(body: Mapping[str, Any]) -> str:
    said = [plain(m.get("content")) for m in body.get("messages", ()) if m.get("role") == "user"]
    return said[-1] if said else prompts(body)[0]


def _already_said(body: Mapping[str, Any], answer: str) -> str:
    """The start of `answer` that the request hands over to be continued; "" for none."""
    if "messages" in body:
        prefill = plain(body["messages"][-1].get("content"))
        handed = bool(body.get("continue_final_message")) and answer.startswith(prefill)
        return prefill if handed else ""
    prompt, start = prompts(body)[0], answer[:_SHORTEST_OVERLAP]
    at = prompt.find(start) if len(start) == _SHORTEST_OVERLAP else -1
    while at >= 0:
        if answer.startswith(prompt[at:]):
            return prompt[at:]
        at = prompt.find(start, at + 1)
    return ""


def skip(deltas: Sequence[str], characters: int) -> list[str]:
    """`deltas` without their first `characters` characters."""
    for at, delta in enumerate(deltas):
        if not characters or characters < len(delta):
            return [delta[characters:], *deltas[at + 1 :]]
        characters -= len(delta)
    return []


def _until_stop(deltas: list[str], stop: object) -> tuple[list[str], str | None]:
    """`deltas` up to the first stop sequence, which is left out, and that sequence."""
    wanted = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    text = "".join(deltas)
    found = [(text.index(s), s) for s in wanted if isinstance(s, str) and s and s in text]
    if not found:
        return deltas, None
    at, sequence = min(found)
    kept: list[str] = []
    for delta in deltas:
        if at <= 0:
            break
        kept.append(delta[:at])
        at -= len(delta)
    return kept, sequence
