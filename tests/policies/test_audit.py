"""The audit policy: an event for each call, and not a word of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway import Call, Outcome
from gateway.domain.call import OutcomeKind, PromptRef
from gateway.domain.fixed import Heard
from gateway.domain.record import Record
from policies.audit import Audit
from tests.policies.counting import Bench, call, done


def audited(**settings: Any) -> tuple[Audit, Heard]:
    bench = Bench()
    return bench.make(Audit, **settings), bench.heard


def recorded(**body: Any) -> Call:
    one = call(**body)
    one.record = Record(lambda: 0.0)
    one.note("policy", policy="budget", decision="allowed", seconds=0.1)
    one.note("queued", seconds=1)
    one.prompt = PromptRef("code/x", "1.0.0", "abc")
    return one


async def test_who_asked_what_and_what_became_of_it() -> None:
    policy, heard = audited()
    await policy.after(recorded(), done(5, 7))
    ((actor, action, target, facts),) = heard.events
    assert (actor, action, target) == ("ide/k1", "call.completed", "m")
    assert facts == {
        "call": "c",
        "route": "/v1/chat/completions",
        "status": 200,
        "stream": False,
        "seconds": 0.0,
        "attempts": 1,
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt": "code/x@1.0.0+abc",
        "verdicts": {"budget": "allowed"},
    }


async def test_nothing_that_was_said_is_in_it() -> None:
    policy, heard = audited(fields=["max_tokens", "user", "stop", "messages", "logprobs"])
    one = recorded(max_tokens=5, user="canary", stop=["canary"], logprobs=True)
    one.body["messages"] = [{"role": "user", "content": "canary"}]
    await policy.after(one, done())
    assert "canary" not in repr(heard.events)
    assert heard.events[0][3]["max_tokens"] == 5
    assert heard.events[0][3]["logprobs"] is True


async def test_settings_choose_which_calls() -> None:
    policy, heard = audited(outcomes=["refused"])
    await policy.after(recorded(), done())
    await policy.after(recorded(), Outcome(OutcomeKind.REFUSED, 429, "rate_limit_exceeded"))
    assert [event[1] for event in heard.events] == ["call.refused"]
    assert heard.events[0][3]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("wanted", [False, True])
async def test_a_rehearsal_is_written_only_where_that_is_wanted(wanted: bool) -> None:
    policy, heard = audited(rehearsals=wanted)
    one = recorded()
    one.rehearsal = True
    await policy.after(one, done())
    assert len(heard.events) == wanted


def test_an_outcome_that_there_is_not_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="no outcome 'denied'"):
        audited(outcomes=["denied"])
