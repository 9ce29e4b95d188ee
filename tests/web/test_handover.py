"""A stream that breaks goes on at another replica, and no client can tell: through real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

MESSAGES = [{"role": "user", "content": "hi"}]
DELTAS = ("The", " café", "\n\n", "  is", " 日本", "語 🙂")
ANSWER = "".join(DELTAS)
# The role, six deltas, the finish, the usage.
EVENTS = len(DELTAS) + 3
QUICK = Settings(
    # So many faults in so little time are a fleet in trouble, whose retries are bounded.
    retries={"backoff_s": (0.01,), "floor": 1000},  # type: ignore[arg-type]
    timeouts={"first_token_s": 2, "idle_s": 0.25},  # type: ignore[arg-type]
)
CUTS = ("reset_after", "close_after", "stall_after", "error_after", "garbage_after")


class Fleet:
    """A gateway with some replicas, two unless told otherwise."""

    def __init__(self, gateway: ServedGateway, mocks: list[MockVLLM]) -> None:
        self.mocks = mocks
        self.url = gateway.url
        self._http = httpx.Client(timeout=30)

    def ask(self, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
        asked = {"model": "m", "messages": MESSAGES, "stream": True, **body}
        if path == "/v1/completions":
            del asked["messages"]
        return self._http.post(f"{self.url}{path}", json=asked)

    def metrics(self) -> str:
        return self._http.get(f"{self.url}/metrics").text

    def close(self) -> None:
        self._http.close()

    def asked(self) -> list[dict[str, Any]]:
        """Bodies that replicas got, in order of arrival."""
        every = [r for mock in self.mocks for r in mock.requests() if r.path.startswith("/v1/c")]
        return [r.body for r in sorted(every, key=lambda r: r.arrived)]


@pytest.fixture
def open_house(mock_vllm_factory: MockFleet) -> Iterator[Callable[..., Fleet]]:
    served: list[ServedGateway] = []
    houses: list[Fleet] = []

    def start(replicas: int = 2, settings: Settings = QUICK) -> Fleet:
        mocks = [mock_vllm_factory(model="m") for _ in range(replicas)]
        gateway = ServedGateway(fleet_on([mock.base_url for mock in mocks]), settings)
        served.append(gateway.__enter__())
        houses.append(Fleet(gateway, mocks))
        return houses[-1]

    yield start
    for house in houses:
        house.close()
    for gateway in served:
        gateway.__exit__(None, None, None)


def read(text: str) -> tuple[list[dict[str, Any]], int]:
    """The JSON events of a stream, and how often it says `[DONE]`."""
    payloads = [e.split("data: ", 1)[1] for e in text.strip().split("\n\n") if "data: " in e]
    done = payloads.count("[DONE]")
    return [json.loads(p) for p in payloads if p != "[DONE]"], done


def said(chunks: list[dict[str, Any]]) -> str:
    choices = [c for chunk in chunks for c in chunk["choices"]]
    return "".join(c.get("text") or c.get("delta", {}).get("content") or "" for c in choices)


def whole(text: str) -> list[dict[str, Any]]:
    """The events of a stream that must look like one that nothing has happened to."""
    chunks, done = read(text)
    assert done == 1
    assert text.endswith("data: [DONE]\n\n")
    assert len({(c["id"], c["model"], c["created"], c["object"]) for c in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    finishes = [c["finish_reason"] for c in choices if c["finish_reason"]]
    assert len(finishes) == 1
    assert sum("role" in c.get("delta", {}) for c in choices) <= 1
    return chunks


@pytest.mark.parametrize("fault", CUTS)
def test_wherever_a_stream_breaks_the_client_gets_the_uninterrupted_text(
    open_house: Callable[..., Fleet], fault: str
) -> None:
    house = open_house()
    for place in range(EVENTS + 1):
        broken = Behaviour(deltas=DELTAS, **{fault: place}, garbage_framed=False)
        house.mocks[0].reset()
        house.mocks[1].reset()
        # Only the first that is asked breaks: each of the two gives its fault away once.
        first = house.mocks[place % 2]
        first.script(broken, Behaviour(deltas=DELTAS))
        house.mocks[1 - place % 2].script(Behaviour(deltas=DELTAS))
        for _ in range(2):
            text = house.ask(stream_options={"include_usage": True}).text
            chunks = whole(text)
            assert said(chunks) == ANSWER, (fault, place)
            usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
            finished_first = place == EVENTS - 1
            assert len(usages) == 1 or (finished_first and not usages), (fault, place)


def test_usage_is_that_of_the_uninterrupted_answer(open_house: Callable[..., Fleet]) -> None:
    house = open_house(1)
    text = "one two three four five six"
    house.mocks[0].script(
        Behaviour(text=text), Behaviour(text=text, reset_after=4), Behaviour(text=text)
    )
    asked = {"stream_options": {"include_usage": True}}
    plain, mended = whole(house.ask(**asked).text), whole(house.ask(**asked).text)
    one, both = plain[-1]["usage"], mended[-1]["usage"]
    assert both["completion_tokens"] == one["completion_tokens"] == 6
    # The mock, unlike chat templates, writes the assistant's header only before its message.
    assert both["prompt_tokens"] == one["prompt_tokens"] + len(("<", "assistant", ">"))
    assert both["total_tokens"] == both["prompt_tokens"] + 6
    assert house.asked()[-1]["messages"] == [
        *MESSAGES,
        {"role": "assistant", "content": "one two three"},
    ]
    assert 'gw_handovers_total{result="continued"} 1.0' in house.metrics()


def test_no_usage_reaches_a_client_that_did_not_ask(open_house: Callable[..., Fleet]) -> None:
    house = open_house(1)
    house.mocks[0].script(Behaviour(deltas=DELTAS, reset_after=3), Behaviour(deltas=DELTAS))
    answer = house.ask()
    assert said(whole(answer.text)) == ANSWER
    assert "usage" not in answer.text


def test_the_limit_of_tokens_holds_over_both_replicas(open_house: Callable[..., Fleet]) -> None:
    house = open_house(1)
    text = "a b c d e f g h"
    house.mocks[0].script(Behaviour(text=text, reset_after=4), Behaviour(text=text))
    chunks = whole(house.ask(max_tokens=5, min_tokens=4).text)
    assert said(chunks) == "a b c d e"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert (house.asked()[-1]["max_tokens"], house.asked()[-1]["min_tokens"]) == (2, 1)


def test_a_completion_goes_on_behind_its_prompt(open_house: Callable[..., Fleet]) -> None:
    house = open_house()
    for mock in house.mocks:
        mock.script(Behaviour(deltas=DELTAS))
    for place in range(EVENTS - 1):
        for mock in house.mocks:
            mock.reset()
        house.mocks[0].script(Behaviour(deltas=DELTAS, reset_after=place))
        house.mocks[1].script(Behaviour(deltas=DELTAS))
        for _ in range(2):
            answer = house.ask("/v1/completions", prompt="def f():", max_tokens=50)
            assert said(whole(answer.text)) == ANSWER, place


def test_two_of_three_replicas_may_die_in_one_answer(open_house: Callable[..., Fleet]) -> None:
    house = open_house(3)
    house.mocks[0].script(Behaviour(deltas=DELTAS, reset_after=3))
    house.mocks[1].script(Behaviour(deltas=DELTAS, close_after=2))
    house.mocks[2].script(Behaviour(deltas=DELTAS))
    for _ in range(8):
        assert said(whole(house.ask().text)) == ANSWER


def test_a_replica_that_is_killed_is_never_asked_to_go_on(open_house: Callable[..., Fleet]) -> None:
    house = open_house()
    for mock in house.mocks:
        mock.script(Behaviour(tokens=40, delay_between=0.01))
    body = {"model": "m", "messages": MESSAGES, "stream": True}
    with httpx.stream("POST", f"{house.url}/v1/chat/completions", json=body, timeout=30) as answer:
        first = int(answer.headers["x-gateway-replica"][1:])
        pieces = answer.iter_text()
        text = next(pieces)
        house.mocks[first].kill()
        text += "".join(pieces)
    assert said(whole(text)) == "t0" + "".join(f" t{n}" for n in range(1, 40))


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"structured_outputs": {"regex": "a+"}},
        {"guided_json": {"type": "object"}},
        {"n": 2},
        {"logprobs": True},
        {"top_logprobs": 3, "logprobs": True},
        {"prompt_logprobs": 1},
        {"echo": True},
    ],
    ids=lambda body: next(iter(body)),
)
def test_what_cannot_be_continued_ends_in_a_typed_error(
    open_house: Callable[..., Fleet], body: dict[str, Any]
) -> None:
    house = open_house()
    for mock in house.mocks:
        mock.script(Behaviour(deltas=DELTAS, reset_after=5))
    text = house.ask(**body).text
    *_, last = text.strip().split("\n\n")
    assert last.startswith("event: error\ndata: ")
    assert json.loads(last.split("data: ", 1)[1])["error"]["code"] == "upstream_truncated"
    assert "[DONE]" not in text
    assert len(house.asked()) == 1
    assert 'gw_handovers_total{result="unsafe"} 1.0' in house.metrics()


@pytest.mark.parametrize(
    "told", [{"reasoning": "let me think"}, {"tool_calls": ({"name": "f", "arguments": "{}"},)}]
)
def test_thoughts_and_tool_calls_that_were_shown_are_not_continued(
    open_house: Callable[..., Fleet], told: dict[str, Any]
) -> None:
    house = open_house()
    for mock in house.mocks:
        mock.script(Behaviour(text="so", reset_after=3, **told))
    text = house.ask().text
    assert "upstream_truncated" in text
    assert len(house.asked()) == 1


def test_with_nothing_but_a_role_shown_even_tools_begin_again(
    open_house: Callable[..., Fleet],
) -> None:
    house = open_house(1)
    calls = ({"name": "f", "arguments": '{"a": 1}'},)
    house.mocks[0].script(Behaviour(tool_calls=calls, reset_after=1), Behaviour(tool_calls=calls))
    answer = house.ask(tools=[{"type": "function", "function": {"name": "f"}}])
    chunks = whole(answer.text)
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert house.asked()[0]["messages"] == house.asked()[1]["messages"]
    assert 'gw_handovers_total{result="restarted"} 1.0' in house.metrics()


def test_a_replica_that_does_not_take_a_prefill_ends_the_answer_honestly(
    open_house: Callable[..., Fleet],
) -> None:
    house = open_house(1)
    house.mocks[0].script(Behaviour(deltas=DELTAS, reset_after=4), Behaviour(status=400))
    text = house.ask().text
    assert "upstream_truncated" in text
    assert "[DONE]" not in text
    assert len(house.asked()) == 2
    assert 'gw_handovers_total{result="failed"} 1.0' in house.metrics()


def test_an_event_that_is_none_is_left_out_and_counted(open_house: Callable[..., Fleet]) -> None:
    house = open_house(1)
    for fault in ({"malformed_after": 3}, {"garbage_after": 3}):
        house.mocks[0].script(Behaviour(deltas=DELTAS, **fault))
        assert said(whole(house.ask().text)) == ANSWER
    assert 'gw_malformed_events_total{replica="r0"} 2.0' in house.metrics()
    assert len(house.asked()) == 2


def test_openais_client_reads_a_mended_stream_as_any_other(
    open_house: Callable[..., Fleet],
) -> None:
    house = open_house(1)
    house.mocks[0].script(
        Behaviour(deltas=DELTAS, garbage_after=4, garbage_framed=False), Behaviour(deltas=DELTAS)
    )
    api = openai.OpenAI(base_url=f"{house.url}/v1", api_key="any", max_retries=0)
    with api.chat.completions.stream(model="m", messages=MESSAGES) as stream:  # type: ignore[arg-type]
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER
    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].finish_reason == "stop"
    api.close()
