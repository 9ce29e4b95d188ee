"""The injection score: what it finds, what it misses, and what it leaves alone, in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway import Refusal, Tools
from gateway.domain.record import Record
from gateway.testing.fakes import a_call
from policies.injection import RULES, Injection
from tests.injections import INJECTIONS
from tests.policies.attacks import ATTACKS, HARMLESS, MISSED

HERE = Path(__file__).parents[2]
DOCS = (HERE / "docs" / "how-to" / "redaction.md").read_text()


def injection(**settings: Any) -> Injection:
    return Injection(Injection.Settings.model_validate(settings), Tools.fixed())


def score(text: str) -> float:
    return round(sum(RULES[name][0] for name in injection().rules_in([text])), 3)


def own_texts() -> list[str]:
    """Code, documents and prompts of this project; but none that is about control tokens."""
    folders = ("gateway", "docs", "prompts", "policies", "config", "deploy")
    files = [file for name in folders for file in sorted((HERE / name).rglob("*"))]
    kinds = (".py", ".md", ".j2", ".yaml", ".json")
    return [file.read_text() for file in files if file.suffix in kinds and file.is_file()]


def test_attacks_as_people_write_them_pass_the_threshold_but_for_those_known() -> None:
    missed = [text for text in ATTACKS if score(text) < 0.7]
    assert missed == ATTACKS[-MISSED:]


def test_harmless_texts_that_look_like_them_stay_below_it() -> None:
    assert {text: score(text) for text in HARMLESS if score(text) >= 1.0} == {}


def test_the_counts_are_those_of_the_documents() -> None:
    own = own_texts()
    rows = {
        "attacks": sum(score(text) >= 1.0 for text in ATTACKS),
        "harmless": sum(score(text) >= 1.0 for text in HARMLESS),
        "forged": sum(score(text) > 0 for text in INJECTIONS),
        "own": sum(score(text) >= 1.0 for text in own),
    }
    assert f"{rows['attacks']} of {len(ATTACKS)} attacks" in DOCS, rows
    assert f"{rows['harmless']} of {len(HARMLESS)} harmless" in DOCS, rows
    assert f"{rows['forged']} of {len(INJECTIONS)} forged" in DOCS, rows
    assert rows["own"] <= 3, rows


async def test_it_notes_its_score_and_the_names_of_rules_and_refuses() -> None:
    call = a_call()
    call.record = Record(lambda: 0.0)
    call.body["messages"][0]["content"] = ATTACKS[0]
    with pytest.raises(Refusal) as refusal:
        await injection().before(call)
    assert (refusal.value.status, refusal.value.code) == (403, "prompt_injection")
    assert "PWNED" not in refusal.value.public + refusal.value.detail
    (note,) = call.record.notes
    assert note.facts == {"score": 1.0, "rules": ["override"]}


async def test_below_the_threshold_it_only_notes() -> None:
    call = a_call()
    call.record = Record(lambda: 0.0)
    call.body["messages"][0]["content"] = "What does <|im_start|> mean?"
    await injection().before(call)
    assert call.record.notes[0].facts == {"score": 0.8, "rules": ["control_tokens"]}


async def test_what_the_system_says_is_its_own() -> None:
    call = a_call()
    call.body["messages"][0] = {"role": "system", "content": ATTACKS[0]}
    await injection().before(call)


async def test_what_a_tool_brings_is_looked_at() -> None:
    call = a_call()
    call.body["messages"].append({"role": "tool", "tool_call_id": "1", "content": ATTACKS[10]})
    with pytest.raises(Refusal):
        await injection().before(call)


async def test_a_rule_can_be_weighed_otherwise() -> None:
    call = a_call()
    call.body["messages"][0]["content"] = ATTACKS[0]
    await injection(weights={"override": 0}).before(call)


async def test_of_a_huge_text_the_beginning_and_the_end_are_looked_at() -> None:
    for text in (ATTACKS[0] + "word " * 6_000_000, "word " * 6_000_000 + ATTACKS[0]):
        call = a_call()
        call.body["messages"][0]["content"] = text
        with pytest.raises(Refusal):
            await injection().before(call)


def test_a_rule_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValidationError, match="did you mean 'override'"):
        Injection.Settings(weights={"overide": 1})
