"""The prompts that are shipped: their own tests, their order, and a corpus of hostile inputs."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.adapters.embedded import EmbeddedModel
from gateway.adapters.prompt_tags import FILTERS
from gateway.adapters.prompt_trials import failures
from gateway.adapters.prompts import PromptFiles, load
from gateway.adapters.transport import AiohttpWire
from gateway.domain import control_tokens
from gateway.domain.prompt import Rendered
from tests.injections import INJECTIONS

FOLDER = Path(__file__).parents[1] / "prompts"
PROMPTS = load(FOLDER)
ROLES = ["system", "user"]

# One value for each shipped input, each leaf with a text of its own to be found again.
FULL: dict[str, Any] = {
    "rules": "RULES",
    "related": [{"path": "RELATED-PATH", "reason": "RELATED-REASON", "text": "RELATED-TEXT"}],
    "file": {
        "path": "FILE-PATH",
        "language": "FILE-LANGUAGE",
        "before": "FILE-BEFORE\n",
        "selected": "FILE-SELECTED\n",
        "after": "FILE-AFTER\n",
    },
    "diagnostics": [{"line": "LINE", "severity": "SEVERITY", "message": "MESSAGE"}],
    "conversation": [
        {"role": "user", "content": "TURN-ONE"},
        {"role": "assistant", "content": "TURN-TWO"},
    ],
    "answer_language": "ANSWER-IN",
    "instruction": "INSTRUCTION",
}


def inputs_of(name: str) -> dict[str, Any]:
    return {key: copy.deepcopy(FULL[key]) for key in PROMPTS.get(name).inputs}


def leaves(inputs: dict[str, Any]) -> Iterator[tuple[str | int, ...]]:
    """Where texts stand in `inputs`; not the role of a turn, which is one of two words."""
    for key, value in inputs.items():
        if isinstance(value, str):
            yield (key,)
        elif isinstance(value, dict):
            yield from ((key, field) for field in value)
        else:
            for number, item in enumerate(value):
                yield from ((key, number, field) for field in item if field != "role")


def put(inputs: dict[str, Any], path: tuple[str | int, ...], text: str) -> dict[str, Any]:
    changed: Any = copy.deepcopy(inputs)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return dict(changed)


def tags_shown(prompts: PromptFiles, name: str, rendered: Rendered) -> Counter[str]:
    """How often each tag of the prompt stands in the messages, under its name of this rendering."""
    shown: Counter[str] = Counter()
    for tag in prompts.loaded(name).tags:
        for side in ("<", "</"):
            pattern = re.compile(re.escape(f"{side}{tag}{rendered.suffix}") + r"(?![\w-])")
            for message in rendered.messages:
                shown[side + tag] += len(pattern.findall(message["content"]))
    return shown


def test_explain_and_rewrite_are_shipped() -> None:
    assert PROMPTS.names() == ("code/explain", "code/rewrite", "code/rewrite-edits")


def test_the_example_for_authors_works_and_names_every_filter(tmp_path: Path) -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    example = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert example is not None
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "explain.prompt.j2").write_text(example[1], "utf-8")

    assert failures(load(tmp_path), "code/explain") == []
    assert f"the filters {', '.join(FILTERS)}." in text


@pytest.mark.parametrize("name", PROMPTS.names())
def test_its_own_tests_hold(name: str) -> None:
    assert PROMPTS.loaded(name).front.tests
    assert failures(PROMPTS, name) == []


@pytest.mark.parametrize("name", PROMPTS.names())
def test_it_names_no_model_and_no_host(name: str) -> None:
    assert PROMPTS.get(name).model is None


@pytest.mark.parametrize("name", PROMPTS.names())
def test_every_input_is_shown_and_in_the_order_of_the_cache(name: str) -> None:
    rendered = PROMPTS.render(name, inputs_of(name))
    text = "\n".join(message["content"] for message in rendered.messages)
    cache = PROMPTS.loaded(name).front.cache
    assert cache is not None

    places = [
        max(text.index(str(_at(inputs_of(name), path)).strip()) for path in leaves({key: value}))
        for key in cache.order
        for value in [inputs_of(name)[key]]
    ]

    assert places == sorted(places)


def _at(inputs: dict[str, Any], path: tuple[str | int, ...]) -> object:
    value: Any = inputs
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize("name", PROMPTS.names())
def test_nothing_untrusted_stands_in_the_system_message(name: str) -> None:
    inputs = inputs_of(name)
    system = PROMPTS.render(name, inputs).messages[0]

    assert system["role"] == "system"
    for path in leaves(inputs):
        if PROMPTS.get(name).inputs[str(path[0])]["trust"] != "project":
            assert str(_at(inputs, path)).strip() not in system["content"]


@pytest.mark.parametrize("name", PROMPTS.names())
def test_the_beginning_stays_the_same_when_only_the_instruction_changes(name: str) -> None:
    one = PROMPTS.render(name, inputs_of(name) | {"instruction": "one"})
    two = PROMPTS.render(name, inputs_of(name) | {"instruction": "two"})

    assert one.messages[0] == two.messages[0]
    first, second = one.messages[1]["content"], two.messages[1]["content"]
    assert first[: first.index("one")] == second[: second.index("two")]


def test_rewrite_begins_the_answer_and_knows_its_end() -> None:
    rendered = PROMPTS.render("code/rewrite", inputs_of("code/rewrite"))

    assert rendered.prefill == "<rewritten>\n"
    assert rendered.stop == ("</rewritten>",)
    assert "between <rewritten> and </rewritten>" in rendered.messages[0]["content"]


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
@pytest.mark.parametrize("name", PROMPTS.names())
def test_no_text_in_any_input_makes_a_message_a_tag_or_a_control_token(
    name: str, text: str
) -> None:
    usual = tags_shown(PROMPTS, name, PROMPTS.render(name, inputs_of(name)))
    for path in leaves(inputs_of(name)):
        given = text[:40] if path[0] == "answer_language" else text

        rendered = PROMPTS.render(name, put(inputs_of(name), path, given))

        assert [message["role"] for message in rendered.messages] == ROLES, path
        shown = "\n".join(message["content"] for message in rendered.messages)
        assert control_tokens.find(shown) is None, path
        assert tags_shown(PROMPTS, name, rendered) == usual, path
        whole = PROMPTS.restore(shown)
        quoted = json.dumps(given, ensure_ascii=False)
        assert given in whole or quoted in whole, path


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    assert len(set(INJECTIONS)) == len(INJECTIONS) >= 60


# All control tokens of SmolLM2's tokenizer.
CONTROL_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>"),
    *("<file_sep>", "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>"),
    *("<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>"),
    *("<jupyter_script>", "<empty_output>"),
)


def everywhere(name: str, text: str) -> dict[str, Any]:
    """Inputs that have this text in every place that takes it whole."""
    inputs = inputs_of(name)
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
        for name in PROMPTS.names():
            for text in [*INJECTIONS, "\n".join(INJECTIONS)]:
                rendered = PROMPTS.render(name, everywhere(name, text))
                messages = [dict(message) for message in rendered.messages]

                made = await ask("/apply-template", {"messages": messages})

                ids = Counter(await token_ids(made["prompt"]))
                found = Counter({one: ids[one] for one in control.values() if ids[one]})
                assert found == intended, (name, text)
