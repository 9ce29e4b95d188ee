"""Hostile texts in every input of every shipped prompt, in all its languages: nothing happens."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import orjson
import pytest

from gateway.adapters.embedded import EmbeddedModel
from gateway.adapters.transport import AiohttpWire
from gateway.domain import control_tokens
from gateway.domain.prompt import Rendered
from tests.injections import INJECTIONS
from tests.shipped import FACES, PROMPTS, ROLES, inputs_of, is_shown, leaves, put


def tags_shown(key: str, rendered: Rendered) -> Counter[str]:
    """How often each tag of the prompt stands in the messages, under its name of this rendering."""
    shown: Counter[str] = Counter()
    for tag in PROMPTS.loaded(key).tags:
        for side in ("<", "</"):
            pattern = re.compile(re.escape(f"{side}{tag}{rendered.suffix}") + r"(?![\w-])")
            for message in rendered.messages:
                shown[side + tag] += len(pattern.findall(message["content"]))
    return shown


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
@pytest.mark.parametrize("key", FACES.values(), ids=FACES)
def test_no_text_in_any_input_makes_a_message_a_tag_or_a_control_token(key: str, text: str) -> None:
    usual = tags_shown(key, PROMPTS.render(key, inputs_of(key)))
    for path in leaves(inputs_of(key)):
        given = text[:40] if path[0] == "answer_language" else text

        rendered = PROMPTS.render(key, put(inputs_of(key), path, given))

        assert [message["role"] for message in rendered.messages] == ROLES, path
        shown = "\n".join(message["content"] for message in rendered.messages)
        assert control_tokens.find(shown) is None, path
        assert tags_shown(key, rendered) == usual, path
        whole = PROMPTS.restore(shown)
        quoted = json.dumps(given, ensure_ascii=False)
        assert (given in whole or quoted in whole) is is_shown(key, path), path


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    assert len(set(INJECTIONS)) == len(INJECTIONS) >= 60


# All control tokens of SmolLM2's tokenizer.
CONTROL_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>"),
    *("<file_sep>", "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>"),
    *("<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>"),
    *("<jupyter_script>", "<empty_output>"),
)


def everywhere(key: str, text: str) -> dict[str, Any]:
    """Inputs that have this text in every place that takes it whole."""
    inputs = inputs_of(key)
    for path in leaves(inputs):
        if path[0] != "answer_language" or len(text) <= 40:
            inputs = put(inputs, path, text)
    return inputs


@pytest.mark.embedded
async def test_on_a_real_tokenizer_each_message_is_one_turn_and_no_more() -> None:
    async with EmbeddedModel() as model, AiohttpWire(connect=5.0) as wire:
        root = model.base_url.removesuffix("/v1")

        async def ask(path: str, body: dict[str, Any]) -> Any:
            sent = orjson.dumps(body)
            headers = {"content-type": "application/json"}
            response = await wire.send("POST", root + path, headers=headers, body=sent)
            received = await response.read(1 << 24)
            response.release()
            return orjson.loads(received)

        async def token_ids(text: str) -> list[int]:
            return list((await ask("/tokenize", {"content": text}))["tokens"])

        control = {}
        for token in CONTROL_TOKENS:
            (control[token],) = await token_ids(token)
        # Two messages, and the turn that the model is about to write.
        intended = Counter({control["<|im_start|>"]: 3, control["<|im_end|>"]: 2})
        for key in FACES.values():
            for text in [*INJECTIONS, "\n".join(INJECTIONS)]:
                rendered = PROMPTS.render(key, everywhere(key, text))
                messages = [dict(message) for message in rendered.messages]

                made = await ask("/apply-template", {"messages": messages})

                ids = Counter(await token_ids(made["prompt"]))
                found = Counter({one: ids[one] for one in control.values() if ids[one]})
                assert found == intended, (key, text)
