"""The prompts that are shipped: their own tests, their order, their languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gateway.adapters.prompt_tags import FILTERS
from gateway.adapters.prompt_trials import failures
from gateway.adapters.prompts import load
from gateway.domain.prompt import Wanted
from tests.shipped import FACES, FOLDER, PROMPTS, ROLES, at, inputs_of, is_shown, leaves

every_text = pytest.mark.parametrize("key", FACES.values(), ids=FACES)


def test_each_action_has_a_prompt_and_an_answer_of_its_kind() -> None:
    kinds = {name: PROMPTS.get(name).output["kind"] for name in PROMPTS.names()}

    assert kinds == {
        "code/chat": "text",
        "code/commit-message": "text",
        "code/docstring": "rewrite",
        "code/explain": "text",
        "code/fix": "rewrite",
        "code/review": "review",
        "code/rewrite": "rewrite",
        "code/rewrite-edits": "rewrite",
        "code/tests": "file",
    }


@pytest.mark.parametrize("name", PROMPTS.names())
def test_who_wants_korean_is_answered_by_a_korean_text_with_the_same_tags(name: str) -> None:
    chosen = PROMPTS.choose(name, Wanted(language="Korean"))

    assert chosen.ref.locale == "ko"
    korean, english = PROMPTS.loaded(chosen.ref.key), PROMPTS.loaded(name)
    assert korean.tags == english.tags
    assert korean.front.tests != english.front.tests
    for loaded in (korean, english):
        system = PROMPTS.render(loaded.prompt.ref.key, inputs_of(name)).messages[0]["content"]
        assert bool(re.search("[가-힣]", system)) is (loaded is korean)


@every_text
def test_what_may_be_left_out_may_be_left_out(key: str) -> None:
    needed = {name for name, about in PROMPTS.get(key).inputs.items() if about["required"]}
    inputs = {name: value for name, value in inputs_of(key).items() if name in needed}

    rendered = PROMPTS.render(key, inputs)

    assert [message["role"] for message in rendered.messages] == ROLES


@pytest.mark.parametrize("name", ["code/chat", "code/chat.ko"])
def test_chat_shows_a_file_only_where_there_is_one(name: str) -> None:
    given = inputs_of(FACES[name])
    for inputs, shown in ((given, True), (given | {"file": None}, False)):
        user = PROMPTS.render(FACES[name], inputs).messages[1]["content"]

        assert ("<file " in user, "FILE-SELECTED" in user) == (shown, shown)


@pytest.mark.parametrize("name", ["code/review", "code/review.ko"])
def test_review_holds_the_answer_to_a_schema_that_asks_for_quotes(name: str) -> None:
    rendered = PROMPTS.render(FACES[name], inputs_of(FACES[name]))

    held = rendered.params["response_format"]["json_schema"]
    Draft202012Validator.check_schema(held["schema"])
    assert held["strict"] is True
    finding = held["schema"]["properties"]["findings"]["items"]
    assert finding["required"] == list(finding["properties"])
    assert finding["required"][0] == "quote"
    for word in (*finding["properties"], *held["schema"]["properties"]):
        assert word in rendered.messages[0]["content"]


@every_text
def test_who_names_a_language_is_answered_in_it(key: str) -> None:
    if "answer_language" not in PROMPTS.get(key).inputs:
        assert PROMPTS.get(key).output["kind"] in ("rewrite", "file")
        return
    user = PROMPTS.render(key, inputs_of(key)).messages[1]["content"]

    assert re.search(r"(in this language|다음 언어로 쓰세요): ANSWER-IN\n", user)
    assert "한국어로" not in user


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


@every_text
def test_every_input_is_shown_and_in_the_order_of_the_cache(key: str) -> None:
    rendered = PROMPTS.render(key, inputs_of(key))
    text = "\n".join(message["content"] for message in rendered.messages)
    cache = PROMPTS.loaded(key).front.cache
    assert cache is not None

    places = [
        max(
            text.index(str(at(inputs_of(key), path)).strip())
            for path in leaves({name: inputs_of(key)[name]})
            if is_shown(key, path)
        )
        for name in cache.order
    ]

    assert places == sorted(places)


@every_text
def test_nothing_untrusted_stands_in_the_system_message(key: str) -> None:
    inputs = inputs_of(key)
    system = PROMPTS.render(key, inputs).messages[0]

    assert system["role"] == "system"
    for path in leaves(inputs):
        if PROMPTS.get(key).inputs[str(path[0])]["trust"] != "project":
            assert str(at(inputs, path)).strip() not in system["content"]


@every_text
def test_the_beginning_stays_the_same_when_only_the_instruction_changes(key: str) -> None:
    one = PROMPTS.render(key, inputs_of(key) | {"instruction": "one"})
    two = PROMPTS.render(key, inputs_of(key) | {"instruction": "two"})

    assert one.messages[0] == two.messages[0]
    first, second = one.messages[1]["content"], two.messages[1]["content"]
    assert first[: first.index("one")] == second[: second.index("two")]


def test_rewrite_begins_the_answer_and_knows_its_end() -> None:
    rendered = PROMPTS.render("code/rewrite", inputs_of("code/rewrite"))

    assert rendered.prefill == "<rewritten>\n"
    assert rendered.stop == ("</rewritten>",)
    assert "between <rewritten> and </rewritten>" in rendered.messages[0]["content"]
