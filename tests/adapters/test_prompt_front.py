"""The front matter's schema: what editors complete, and that the file in the tree is not stale."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.adapters.prompt_front import PARTS, FrontMatter, known_keys, schema_text

ROOT = Path(__file__).parents[2]
LEAST: dict[str, Any] = {
    "api": "prompt/v1",
    "name": "a/b",
    "version": "1.0.0",
    "description": "A prompt.",
}


def test_the_schema_file_says_what_the_code_says() -> None:
    file = ROOT / "prompts" / "schema" / "prompt.schema.json"

    assert file.read_text("utf-8") == schema_text(), (
        "stale: python -m gateway.adapters.prompt_front > prompts/schema/prompt.schema.json"
    )


def test_running_the_module_prints_the_schema() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.adapters.prompt_front"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == json.loads(schema_text())


def test_the_schema_forbids_unknown_keys_everywhere() -> None:
    schema = json.loads(schema_text())

    parts = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in parts)


def test_four_keys_are_enough() -> None:
    front = FrontMatter.model_validate(LEAST)

    assert front.model.alias is None
    assert front.output.kind == "text"
    assert front.model.params.max_tokens == "auto"


@pytest.mark.parametrize(
    "part",
    [
        {"api": "prompt/v2"},
        {"name": "A/b"},
        {"name": "../b"},
        {"version": 1.1},
        {"version": "1.1"},
        {"inputs": {"x": {"type": "txt", "trust": "user"}}},
        {"inputs": {"x": {"type": "text"}}},
        {"inputs": {"x": {"type": "text", "trust": "template"}}},
        {"inputs": {"x": {"type": "text", "trust": "user", "default": 3}}},
        {"inputs": {"x": {"type": "text", "trust": "user", "default": None}}},
        {"inputs": {"x": {"type": "items[a]", "trust": "user", "default": None}}},
        {"inputs": {"_x": {"type": "text", "trust": "user"}}},
        {"inputs": {"loop": {"type": "text", "trust": "user"}}},
        {"output": {"protocol": "tagged"}},
        {"output": {"tag": "x"}},
        {"output": {"prefill": True}},
        {"model": {"params": {"temperature": "0.1"}}},
        {"model": {"params": {"max_tokens": 0}}},
        {"tests": [{"name": "x", "inputs": {}, "reply": "y"}]},
    ],
)
def test_what_makes_no_sense_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FrontMatter.model_validate(LEAST | part)


def test_an_input_without_a_default_is_required() -> None:
    given: dict[str, Any] = {"type": "text", "trust": "user"}
    front = FrontMatter.model_validate(
        LEAST | {"inputs": {"a": given, "b": given | {"default": ""}}}
    )

    assert front.inputs["a"].required
    assert not front.inputs["b"].required


def test_a_record_may_be_null_where_that_is_its_default() -> None:
    given: dict[str, Any] = {"type": "code[path]", "trust": "untrusted"}
    inputs = {"a": given, "b": given | {"default": None}, "c": given | {"default": {"path": "x"}}}
    front = FrontMatter.model_validate(LEAST | {"inputs": inputs})

    assert front.inputs["b"].check(None) is None
    assert front.inputs["b"].check({"path": "y"}) == {"path": "y"}
    for name in ("a", "c"):
        with pytest.raises(ValueError, match="must be an object with the fields path"):
            front.inputs[name].check(None)


def test_characters_of_all_fields_count_together() -> None:
    given = {"type": "items[a]", "trust": "user", "max_chars": 5}
    spec = FrontMatter.model_validate(LEAST | {"inputs": {"x": given}}).inputs["x"]

    assert spec.check([{"a": "123"}, {"a": "45"}]) == [{"a": "123"}, {"a": "45"}]
    with pytest.raises(ValueError, match="has 6 characters; 5 are allowed"):
        spec.check([{"a": "123"}, {"a": "456"}])


def test_known_keys_follow_the_place() -> None:
    assert "api" in known_keys(())
    assert "trust" in known_keys(("inputs", "rules"))
    assert "diff_applies" in known_keys(("tests", 3, "expect"))
    assert known_keys(("nowhere",)) == []
    assert {part for _, part in PARTS} >= {FrontMatter}
