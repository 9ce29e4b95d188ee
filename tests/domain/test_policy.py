"""Policies as their authors write them, and which calls a link of the chain is for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.domain.call import Call, Caller, Outcome
from gateway.domain.endpoints import CHAT
from gateway.domain.policy import Delta, Link, Policy, Tools, When


def a_call(**changes: Any) -> Call:
    fields: dict[str, Any] = {"model": "qwen-coder", "caller": Caller(team="ide"), **changes}
    return Call(id="c1", endpoint=CHAT, body={}, received=0.0, deadline=60.0, **fields)


class Limits(Policy):
    class Settings(Policy.Settings):
        most: int
        """how many"""

    async def before(self, call: Call) -> None: ...


class Stricter(Limits):
    async def after(self, call: Call, outcome: Outcome) -> None: ...


async def test_a_policy_without_moments_lets_everything_pass_as_it_is() -> None:
    policy, call, delta = Policy(Policy.Settings(), Tools.fixed()), a_call(), Delta("hello")
    await policy.before(call)
    assert await policy.during(call, delta) is delta
    await policy.after(call, Outcome())
    assert call.body == a_call().body


def test_settings_take_no_unknown_keys_and_do_not_change() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Limits.Settings.model_validate({"most": 1, "mots": 2})
    settings = Limits.Settings(most=1)
    with pytest.raises(ValidationError, match="frozen"):
        settings.most = 2


def test_what_stands_under_a_setting_describes_it() -> None:
    assert Limits.Settings.model_fields["most"].description == "how many"


def test_only_overridden_moments_are_known_as_such_inherited_ones_too() -> None:
    assert [Policy.overrides(moment) for moment in ("before", "during", "after")] == [False] * 3
    assert Limits.overrides("before")
    assert not Limits.overrides("after")
    assert Stricter.overrides("before")
    assert Stricter.overrides("after")


def test_tools_for_tests_stand_still() -> None:
    tools = Tools.fixed(now=7.0, random=0.25)
    assert (tools.now(), tools.now(), tools.random()) == (7.0, 7.0, 0.25)
    assert tools.log.name == "gateway.policies"


@pytest.mark.parametrize(
    ("when", "covers"),
    [
        (When(), True),
        (When(models=("qwen-coder",)), True),
        (When(models=("llama", "qwen-*")), True),
        (When(models=("qwen",)), False),
        (When(teams=("ide",)), True),
        (When(teams=("IDE",)), False),
        (When(paths=("/v1/*",)), True),
        (When(paths=("/api/ai/*",)), False),
        (When(models=("qwen-*",), teams=("batch",)), False),
        (When(models=("qwen-*",), teams=("ide",), paths=(CHAT.path,)), True),
    ],
)
def test_a_link_is_for_calls_whose_model_team_and_path_all_agree(when: When, covers: bool) -> None:
    assert when.covers(a_call()) is covers


def test_a_model_name_with_brackets_is_still_its_own_name() -> None:
    assert When(models=("org/model[awq]",)).covers(a_call(model="org/model[awq]"))


def test_a_call_made_for_the_assistant_is_matched_by_the_clients_own_path() -> None:
    assert When(paths=("/api/ai/*",)).covers(a_call(route="/api/ai/explain"))


def test_only_a_skipped_or_shadowed_policy_may_fail() -> None:
    policy = Policy(Policy.Settings(), Tools.fixed())
    assert not Link(policy, "p").tolerant
    assert Link(policy, "p", on_error="skip").tolerant
    assert Link(policy, "p", mode="shadow").tolerant
