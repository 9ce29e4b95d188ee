"""A rendering looked at closely: tokens of each message and input, and the prefix a cache keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.adapters.prompt_inputs import texts
from gateway.adapters.prompt_render import Loaded, render
from gateway.domain.errors import GatewayError
from gateway.domain.prompt import Rendered

Counts = Callable[[Sequence[str]], list[int]]

_OTHER = "0"


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning that stays the same while only `until` changes: its hash and its length."""

    sha: str
    chars: int
    until: str


@dataclass(frozen=True, slots=True)
class Preview:
    """`tokens` of each message; `inputs` those of each input that has text."""

    rendered: Rendered
    tokens: tuple[int, ...]
    inputs: Mapping[str, int]
    prefix: Prefix

    def as_dict(self) -> dict[str, Any]:
        """As /prompts/{name}/render and `render --format json` show it."""
        rendered = self.rendered
        rows = zip(rendered.messages, self.tokens, strict=True)
        return {
            "prompt": rendered.ref.shown,
            "messages": [{**message, "tokens": tokens} for message, tokens in rows],
            "params": dict(rendered.params),
            "stop": list(rendered.stop),
            "prefill": rendered.prefill,
            "tokens": {"messages": sum(self.tokens), "inputs": dict(self.inputs)},
            "prefix": {
                "sha": self.prefix.sha,
                "chars": self.prefix.chars,
                "until": self.prefix.until,
            },
        }


def estimate(text: str) -> int:
    """Tokens of a text where no tokenizer is known: a quarter of its bytes."""
    return -(-len(text.encode("utf-8", "replace")) // 4)


def blocks(loaded: Loaded, rendered: Rendered, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Every text whose tokens a preview tells: messages by number, inputs by name."""
    found = {str(n): message["content"] for n, message in enumerate(rendered.messages)}
    for name, spec in loaded.front.inputs.items():
        if text := "".join(texts(inputs.get(name, spec.default))):
            found[name] = text
    return found


def preview(
    loaded: Loaded, rendered: Rendered, inputs: Mapping[str, Any], tokens: Mapping[str, int]
) -> Preview:
    """`tokens` are those of `blocks`, by the same names."""
    many = len(rendered.messages)
    return Preview(
        rendered,
        tuple(tokens[str(number)] for number in range(many)),
        {name: count for name, count in tokens.items() if not name.isdigit()},
        prefix_of(loaded, rendered, inputs),
    )


def made(loaded: Loaded, inputs: Mapping[str, Any], count: Callable[[str], int]) -> Preview:
    """Rendered and counted at once. PromptInputError (422) when the inputs do not fit."""
    rendered = render(loaded, inputs)
    counted = {name: count(text) for name, text in blocks(loaded, rendered, inputs).items()}
    return preview(loaded, rendered, inputs, counted)


def prefix_of(loaded: Loaded, rendered: Rendered, inputs: Mapping[str, Any]) -> Prefix:
    """Found by rendering once more, with the most volatile text input changed."""
    own = "\0".join(f"{message['role']}\n{message['content']}" for message in rendered.messages)
    order = loaded.front.cache.order if loaded.front.cache else list(loaded.front.inputs)
    volatile = [name for name in order if loaded.front.inputs[name].shape.kind == "text"]
    shared, until = own, ""
    for name in reversed(volatile):
        changed = _OTHER if not str(inputs.get(name, "")).startswith(_OTHER) else "1"
        try:
            other = render(loaded, {**inputs, name: changed})
        except GatewayError:
            continue  # such a text does not fit here: the next one, then
        text = "\0".join(f"{one['role']}\n{one['content']}" for one in other.messages)
        shared, until = own[: shared_length(own, text)], name
        break
    sha = hashlib.sha256(shared.encode()).hexdigest()[:12]
    return Prefix(sha, len(shared), until)


def shared_length(one: str, two: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, two, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(two)))
