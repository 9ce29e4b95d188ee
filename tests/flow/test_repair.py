"""The second try at a rewrite that cannot be used: what the model is told, what it may cost."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.client import Completion
from gateway.domain.call import Call, Usage
from gateway.domain.control_tokens import find
from gateway.domain.policy import Link, When
from gateway.flow.repair import both, fits
from gateway.testing.fakes import FakeAnswer, FakeTokens, failing
from tests.flow.house import House, Rule
from tests.flow.test_assist import a_job, assist, events, in_pieces, names, task, whole

REFUSED = "... existing code ...\n"
GOOD = "x = 3\n"
CLOSED = "</rewritten>"


def job() -> Any:
    return a_job(asked=task(repairs=True))


async def test_the_model_is_told_what_is_wrong_and_its_second_answer_counts() -> None:
    house = House([whole(REFUSED, stop_reason=CLOSED), whole(GOOD, stop_reason=CLOSED)])
    result = await assist(house).answer(job())
    assert (result["status"], result["text"], result["repaired"]) == ("changed", GOOD, True)
    body = house.wire.sent[1].body
    messages: Any = body["messages"]
    assert [message["role"] for message in messages][-4:] == [
        "user", "assistant", "user", "assistant"
    ]  # fmt: skip
    assert messages[-3]["content"] == f"<rewritten>\n{REFUSED}"
    assert "existing code" in messages[-2]["content"]
    assert messages[-1]["content"] == "<rewritten>\n"
    assert body["continue_final_message"] is True
    assert house.idle()


async def test_usage_and_attempts_are_those_of_both_answers() -> None:
    house = House([whole(REFUSED), whole(GOOD, stop_reason=CLOSED)])
    result = await assist(house).answer(job())
    assert result["attempts"] == 2
    usage = result["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (10, 4)


async def test_it_is_asked_once_and_the_first_answer_is_told_where_the_second_is_no_better() -> (
    None
):
    house = House([whole(REFUSED), whole("Sorry, I will not do that.")])
    result = await assist(house).answer(job())
    assert (result["status"], result["text"], result["repaired"]) == ("unresolved", REFUSED, False)
    assert result["warnings"][-1]["code"] == "repair_failed"
    assert len(house.wire.sent) == 2


async def test_a_second_try_that_fails_leaves_the_first_answer() -> None:
    house = House([whole(REFUSED), *[failing(500)] * 2])
    result = await assist(house).answer(job())
    assert result["status"] == "unresolved"
    assert result["warnings"][-1]["code"] == "repair_failed"
    assert house.idle()


@pytest.mark.parametrize(
    ("text", "finish", "repairs"),
    [(REFUSED, "stop", False), (GOOD, "stop", True), ("x =", "length", True)],
)
async def test_nothing_is_asked_again_unless_wanted_and_of_use(
    text: str, finish: str, repairs: bool
) -> None:
    house = House([whole(text, finish, CLOSED)])
    result = await assist(house).answer(a_job(asked=task(repairs=repairs)))
    assert result["repaired"] is False
    assert len(house.wire.sent) == 1


async def test_without_room_in_the_window_it_is_not_asked_again() -> None:
    choice = {"message": {"content": REFUSED}, "finish_reason": "stop"}
    uncounted = FakeAnswer(steps=(orjson.dumps({"model": "m", "choices": [choice]}),))
    house = House([uncounted])
    result = await assist(house, tokens=FakeTokens(440)).answer(job())
    assert (result["status"], result["repaired"]) == ("unresolved", False)
    assert len(house.wire.sent) == 1


async def test_a_stream_says_that_it_asks_again_before_the_result() -> None:
    house = House([in_pieces(REFUSED), whole(GOOD, stop_reason=CLOSED)])
    found = await events(assist(house), job())
    assert names(found) == ["context", "delta", "repair", "result"]
    assert "existing code" in found[2][1]["problem"]
    assert found[3][1]["repaired"] is True


async def test_policies_and_the_record_see_the_second_call_as_one_of_its_own() -> None:
    seen: list[tuple[str, list[str]]] = []

    def look(call: Call) -> None:
        seen.append((call.id, [step.name for step in call.steps]))

    house = House([whole(REFUSED), whole(GOOD)], chain=[Link(Rule(look), "r", When())])
    await assist(house).answer(job())
    (first, built), second = seen
    assert (first, second) == ("req-1", ("req-1-repair", []))
    assert built == ["context.build", "render_prompt code/rewrite"]


async def test_control_tokens_in_the_first_answer_stay_harmless_in_the_second_question() -> None:
    house = House([whole("<|im_start|>\n... existing code ...\n"), whole(GOOD)])
    await assist(house).answer(job())
    asked: Any = house.wire.sent[1].body["messages"]
    assert not any(find(message["content"]) for message in asked[-3:-1])


def test_the_sum_keeps_the_second_answer_and_counts_the_first() -> None:
    first = Completion("a", "stop", "m", "r0", 1, Usage(5, 2, 1))
    second = Completion("b", "stop", "m", "r1", 2, Usage(7, 3, 4))
    assert both(first, second) == Completion("b", "stop", "m", "r1", 3, Usage(12, 5, 5))
    assert both(first, Completion("b", "stop", "m", "r1", 1, None)).usage is None


async def test_whether_it_fits_is_told_by_the_window() -> None:
    house = House([whole(GOOD)])
    asked = a_job()
    await assist(house).answer(asked)
    short = Completion("x", "stop", "m", "r0", 1, Usage(5, 2, 0))
    assert fits(asked.context, short, "wrong")
    long = Completion("x", "stop", "m", "r0", 1, Usage(5, 10**6, 0))
    assert not fits(asked.context, long, "wrong")
