"""The Python client: whole answers and streams, its two errors, and stopping a model early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import orjson
import pytest

import gateway.client
from gateway.bootstrap import Gateway, open_gateway
from gateway.client import Completion, LLMError, LLMTimeoutError, Via, chat, chat_stream, new_call
from gateway.domain.call import Call, OutcomeKind, Reply, Usage
from gateway.domain.errors import (
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    StreamTruncated,
    Unauthorized,
)
from gateway.domain.limits import Timeouts
from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.testing.fakes import FakeAnswer, chunk, plain, streamed
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import fleet_on
from tests.flow.house import House

MESSAGES = [{"role": "user", "content": "hi"}]
QUICK = Settings(retries={"backoff_s": (0.01,)})  # type: ignore[arg-type]


@pytest.fixture
def mock(mock_vllm_factory: MockFleet) -> MockVLLM:
    return mock_vllm_factory(model="m")


@pytest.fixture
async def running(mock: MockVLLM) -> AsyncIterator[Gateway]:
    """A whole gateway with no HTTP in front, over one mock vLLM."""
    async with open_gateway(QUICK, fleet_on([mock.base_url])) as gateway:
        yield gateway


# ---- Over a real wire ----------------------------------------------------------------------------


async def test_a_whole_answer(running: Gateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(text="hello there", cached_tokens=1))
    answer = await chat(running.answers, MESSAGES, model="m")
    assert isinstance(answer, Completion)
    assert (answer.text, answer.finish_reason) == ("hello there", "stop")
    assert (answer.model, answer.replica, answer.attempts) == ("m", "r0", 1)
    assert answer.usage is not None
    assert answer.usage.completion > 0
    assert answer.usage.cached == 1


async def test_the_answer_in_pieces_as_they_come(running: Gateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(deltas=("he", "ll", "ö", "\n")))
    pieces = [text async for text in chat_stream(running.answers, MESSAGES, model="m")]
    assert pieces == ["he", "ll", "ö", "\n"]
    await mock.settled()
    (received,) = mock.requests("/v1/chat/completions")
    assert received.outcome == "completed"


async def test_the_pieces_are_those_of_the_text_and_not_of_the_bytes(
    running: Gateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(deltas=("한", "글", '"[DONE]"'), split=3, sse=("crlf", "comments")))
    pieces = [text async for text in chat_stream(running.answers, MESSAGES, model="m")]
    assert pieces == ["한", "글", '"[DONE]"']


async def test_parameters_are_openais_and_go_to_the_replica(
    running: Gateway, mock: MockVLLM
) -> None:
    params = {"temperature": 0.1, "max_tokens": 3, "stream": True, "model": "other"}
    await chat(running.answers, MESSAGES, model="m", params=params)
    (received,) = mock.requests("/v1/chat/completions")
    assert (received.body["temperature"], received.body["max_tokens"]) == (0.1, 3)
    assert (received.body["model"], received.body["stream"]) == ("m", False)


async def test_a_failing_replica_is_not_noticed_but_counted(mock_vllm_factory: MockFleet) -> None:
    bad, good = mock_vllm_factory(model="m"), mock_vllm_factory(model="m")
    bad.script(Behaviour(status=500))
    async with open_gateway(QUICK, fleet_on([bad.base_url, good.base_url])) as gateway:
        answers = [await chat(gateway.answers, MESSAGES, model="m") for _ in range(8)]
    assert {answer.replica for answer in answers} == {"r1"}
    assert max(answer.attempts for answer in answers) == 1 + bool(bad.requests())


@pytest.mark.parametrize("stream", [False, True])
async def test_when_no_replica_answers_it_is_an_llm_error(
    running: Gateway, mock: MockVLLM, stream: bool
) -> None:
    mock.script(Behaviour(status=500, body="Traceback: secret"))
    with pytest.raises(LLMError) as caught:
        await read(running, stream)
    assert not isinstance(caught.value, LLMTimeoutError)
    assert caught.value.status == 503
    assert "secret" not in str(caught.value.public)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_replica_that_says_nothing_in_time_is_a_timeout(
    running: Gateway, mock: MockVLLM, stream: bool
) -> None:
    mock.script(Behaviour(before_headers="hang"))
    call = new_call()
    call.deadline = call.received + 0.2
    with pytest.raises(LLMTimeoutError) as caught:
        await read(running, stream, Via(call))
    assert isinstance(caught.value, LLMError), "whoever catches one error catches both"
    assert caught.value.status == 504
    (received,) = await mock.settled()
    assert received.outcome == "client_left", "a model that nobody waits for is stopped"


async def read(gateway: Gateway, stream: bool, via: Via | None = None) -> str:
    if not stream:
        return (await chat(gateway.answers, MESSAGES, model="m", via=via)).text
    pieces = chat_stream(gateway.answers, MESSAGES, model="m", via=via)
    return "".join([text async for text in pieces])


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Behaviour(tokens=9, reset_after=3), StreamTruncated),
        (Behaviour(tokens=9, close_after=3), StreamTruncated),
        (Behaviour(tokens=9, error_after=3), StreamTruncated),
        (Behaviour(tokens=9, finish_reason=None), StreamTruncated),
        (Behaviour(tokens=9, stall_after=3), LLMTimeoutError),
    ],
    ids=["reset", "cut", "error event", "no finish_reason", "stall"],
)
async def test_a_torn_stream_raises_and_never_looks_complete(
    running: Gateway, mock: MockVLLM, fault: Behaviour, error: type[LLMError]
) -> None:
    mock.script(fault)
    pieces: list[str] = []
    call = new_call()
    call.deadline = call.received + (1.5 if error is LLMTimeoutError else 60.0)

    async def reader() -> None:
        async for text in chat_stream(running.answers, MESSAGES, model="m", via=Via(call)):
            pieces.append(text)

    with pytest.raises(error):
        await reader()
    assert pieces, "what had come before was shown"


async def test_closing_a_stream_stops_the_model(running: Gateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(tokens=500, delay_between=0.02))
    async with aclosing(chat_stream(running.answers, MESSAGES, model="m")) as pieces:
        async for _ in pieces:
            break
    (received,) = await mock.settled()
    assert received.outcome == "client_left"
    assert received.chunks_sent < 100


@pytest.mark.parametrize("stream", [False, True])
async def test_giving_up_in_between_stops_the_model(
    running: Gateway, mock: MockVLLM, stream: bool
) -> None:
    mock.script(Behaviour(tokens=500, delay_between=0.02))
    task = asyncio.create_task(read(running, stream))
    await mock.arrived()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (received,) = await mock.settled()
    assert received.outcome == "client_left"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_reply_is_given_before_it_is_read_and_knows_more_at_the_end(
    running: Gateway, mock: MockVLLM, stream: bool
) -> None:
    opened: list[tuple[Reply, bool]] = []
    via = Via(new_call(), on_open=lambda reply: opened.append((reply, reply.complete)))
    await read(running, stream, via)
    ((reply, complete_then),) = opened
    assert complete_then is not stream
    assert reply.complete
    assert (reply.replica, reply.finish_reason) == ("r0", "stop")
    assert reply.usage is not None
    assert len(reply.attempts) == 1


async def test_a_model_that_is_not_there_is_named(running: Gateway, mock: MockVLLM) -> None:
    with pytest.raises(ModelNotFound, match="'nope'"):
        await chat(running.answers, MESSAGES, model="nope")
    assert mock.requests() == []


async def test_where_keys_are_asked_for_a_call_has_to_show_one(mock: MockVLLM) -> None:
    team = Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-gw-right")),))
    async with open_gateway(Settings(teams=(team,)), fleet_on([mock.base_url])) as gateway:
        with pytest.raises(Unauthorized):
            await chat(gateway.answers, MESSAGES, model="m")
        call = new_call()
        call.credential = "sk-gw-right"
        assert (await chat(gateway.answers, MESSAGES, model="m", via=Via(call))).text
        assert call.caller.team == "ide"


# ---- Over fakes ----------------------------------------------------------------------------------


async def test_what_a_door_prepares_is_what_is_sent() -> None:
    async def prepare(call: Call) -> None:
        call.body = {"model": "m", "messages": [{"role": "user", "content": "made"}]}

    house = House([plain("fine")])
    via = Via(new_call_at_zero(), prepare=prepare)
    await chat(house.pipeline, (), model="", via=via)
    assert house.wire.sent[0].body["messages"] == [{"role": "user", "content": "made"}]
    assert via.call.model == "m"


def new_call_at_zero() -> Call:
    """A call on the clock of a House."""
    call = new_call()
    call.received, call.deadline = 0.0, 60.0
    return call


@pytest.mark.parametrize(
    ("messages", "model", "param"),
    [([], "m", "messages"), (MESSAGES, "", "model"), (["hi"], "m", "messages[0]")],
)
async def test_a_call_that_no_replica_could_answer_is_not_sent(
    messages: list[object], model: str, param: str
) -> None:
    house = House([plain()])
    with pytest.raises(InvalidRequest) as caught:
        await chat(house.pipeline, messages, model=model, via=Via(new_call_at_zero()))  # type: ignore[arg-type]
    assert caught.value.param == param
    assert house.wire.sent == []


BAD_EVENT = b'data: {"choices":[{"del\n\n'


@pytest.mark.parametrize("event", [BAD_EVENT, b'data: {"choices":[\n\ndata: 1\n\n'])
async def test_an_event_that_cannot_be_read_is_left_out_and_the_rest_goes_on(event: bytes) -> None:
    house = House([FakeAnswer(steps=(chunk("he"), event, chunk("llo"), chunk(finish="stop")))])
    pieces = chat_stream(house.pipeline, MESSAGES, model="m", via=Via(new_call_at_zero()))
    assert [piece async for piece in pieces] == ["he", "llo"]
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert house.idle()


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"object": "list", "data": []}])
async def test_an_answer_without_a_choice_is_no_answer(body: dict[str, object]) -> None:
    house = House([FakeAnswer(steps=(orjson.dumps(body),))])
    with pytest.raises(LLMError):
        await chat(house.pipeline, MESSAGES, model="m", via=Via(new_call_at_zero()))
    assert house.outcome.kind is OutcomeKind.FAILED


async def test_an_answer_of_tool_calls_alone_has_no_text() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    body = {"model": "m", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    house = House([FakeAnswer(steps=(orjson.dumps(body),))])
    answer = await chat(house.pipeline, MESSAGES, model="m", via=Via(new_call_at_zero()))
    assert (answer.text, answer.finish_reason, answer.usage) == ("", "tool_calls", None)


async def test_usage_and_finish_of_a_stream_are_known_at_its_end() -> None:
    house = House([streamed("he", "llo")])
    opened: list[Reply] = []
    via = Via(new_call_at_zero(), on_open=opened.append)
    pieces = chat_stream(house.pipeline, MESSAGES, model="m", via=via)
    assert "".join([text async for text in pieces]) == "hello"
    completion = gateway.client.completion(opened[0], "hello")
    assert completion.usage == Usage(5, 2)
    assert (completion.finish_reason, completion.model) == ("stop", "served-m")


async def test_an_error_of_whoever_opens_is_settled_and_comes_out() -> None:
    def breaks(reply: Reply) -> None:
        raise ZeroDivisionError

    house = House([streamed("he", "llo")])
    via = Via(new_call_at_zero(), on_open=breaks)
    with pytest.raises(ZeroDivisionError):
        async for _ in chat_stream(house.pipeline, MESSAGES, model="m", via=via):
            pass
    assert house.outcome.kind is OutcomeKind.FAILED
    assert house.idle()


def test_a_new_call_has_an_id_of_its_own_and_the_time_of_a_stream() -> None:
    first, second = new_call(), new_call(Timeouts(stream_total=7))
    assert first.id != second.id
    assert first.deadline - first.received == pytest.approx(Timeouts().stream_total)
    assert second.deadline - second.received == pytest.approx(7)
    assert first.credential is None


def test_all_that_can_go_wrong_is_a_gateway_error() -> None:
    assert issubclass(LLMError, GatewayError)
    assert issubclass(LLMTimeoutError, LLMError)
    for name in gateway.client.__all__:
        assert hasattr(gateway.client, name)
