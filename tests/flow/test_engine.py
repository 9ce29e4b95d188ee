"""The engine's promises: what is retried, where, how long it waits, and what the client is told."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import orjson
import pytest

from gateway.domain.call import Attempt, Call
from gateway.domain.errors import (
    ContextLengthExceeded,
    GatewayError,
    LLMError,
    LLMTimeoutError,
    RejectedByReplica,
    ReplicaBusy,
    StreamTruncated,
)
from gateway.domain.limits import Timeouts
from gateway.domain.ports import Fallback, WireError
from gateway.domain.retry import Fault, RetryRule
from gateway.flow.attempt import Attempts
from gateway.flow.ceilings import Ceilings
from gateway.flow.engine import Engine
from gateway.flow.walk import Means
from gateway.flow.window import Window
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeRouter,
    FakeTelemetry,
    FakeTokens,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    failing,
    plain,
    streamed,
)


class House:
    """An engine on fakes, and a record of how long it slept."""

    def __init__(
        self,
        answers: list[FakeAnswer | BaseException],
        router: FakeRouter,
        means: Means | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.router = router
        self.wire = FakeWire(answers)
        self.telemetry = FakeTelemetry()
        timeouts = Timeouts(total=60, first_token=60, idle=60, stream_total=600)
        attempts = Attempts(router, self.wire, self.telemetry, timeouts, self.clock)
        rule = RetryRule(3, (1.0, 2.0, 3.0), jitter=0.0)
        self.engine = Engine(
            router, attempts, rule, clock=self.clock, random=lambda: 0.5, means=means
        )
        self.made: list[Attempt] = []

    async def ask(self, call: Call | None = None) -> bytes:
        async with self.engine.open(call or a_call(), self.made) as reply:
            return b"".join([chunk async for chunk in reply.chunks])

    def idle(self) -> bool:
        """No load is held, and every attempt was ended exactly once."""
        ended = all(len(probe.ended) == 1 for probe in self.telemetry.probes)
        return ended and not any(self.router.load.values())


def broken() -> WireError:
    return WireError(Fault.CONNECT, "refused")


async def test_the_answer_of_a_healthy_replica_comes_back_as_it_is() -> None:
    house = House([plain("hello")], FakeRouter())
    body = await house.ask()
    assert orjson.loads(body)["choices"][0]["message"]["content"] == "hello"
    assert [(a.replica, a.result) for a in house.made] == [("r0", "ok")]
    assert house.wire.given[0].released
    assert house.idle()


async def test_the_replica_gets_its_own_model_name_our_key_and_the_request_id() -> None:
    house = House([plain()], FakeRouter())
    call = a_call()
    call.credential = "sk-client"
    await house.ask(call)
    sent = house.wire.sent[0]
    assert sent.url == "http://r0.test/v1/chat/completions"
    assert sent.body["model"] == "served-m"
    assert sent.headers["authorization"] == "Bearer upstream-key"
    assert sent.headers["x-request-id"] == "req-1"
    assert "sk-client" not in str(sent)


async def test_one_replica_is_retried_three_times_after_1_2_and_3_seconds(
    slept: list[float],
) -> None:
    house = House([failing(500), failing(502), broken(), failing(503)], FakeRouter())
    with pytest.raises(LLMError) as caught:
        await house.ask()
    assert slept == [1.0, 2.0, 3.0]
    assert len(house.wire.sent) == 4
    assert (caught.value.status, caught.value.code) == (503, "replica_unavailable")
    assert house.idle()


async def test_a_replica_that_recovers_answers_after_its_back_off(slept: list[float]) -> None:
    house = House([failing(500), plain("late")], FakeRouter())
    assert b"late" in await house.ask()
    assert slept == [1.0]
    assert [a.result for a in house.made] == ["server_error", "ok"]


async def test_another_replica_is_tried_at_once(slept: list[float]) -> None:
    house = House([broken(), plain("second")], FakeRouter(a_replica("r0"), a_replica("r1")))
    assert b"second" in await house.ask()
    assert slept == []
    assert [a.replica for a in house.made] == ["r0", "r1"]
    assert house.router.faults[0] == ("r0", Fault.CONNECT)


async def test_when_all_replicas_have_failed_the_back_off_begins(slept: list[float]) -> None:
    house = House([broken()] * 4, FakeRouter(a_replica("r0"), a_replica("r1")))
    with pytest.raises(LLMError):
        await house.ask()
    assert [a.replica for a in house.made] == ["r0", "r1", "r0", "r1"]
    assert slept == [1.0]


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_a_4xx_fails_at_once_with_the_replicas_own_words(
    status: int, slept: list[float]
) -> None:
    body = orjson.dumps({"error": {"message": "top_p must be in (0, 1]", "param": "top_p"}})
    house = House([failing(status, body)], FakeRouter(a_replica("r0"), a_replica("r1")))
    with pytest.raises(RejectedByReplica) as caught:
        await house.ask()
    assert len(house.wire.sent) == 1
    assert slept == []
    assert caught.value.status == status
    assert caught.value.public == "top_p must be in (0, 1]"
    assert caught.value.param == "top_p"
    assert house.router.faults == [("r0", None)], (
        "a client's mistake never counts against a replica"
    )


async def test_a_replicas_error_never_shows_its_key() -> None:
    body = orjson.dumps({"error": {"message": "key upstream-key is not allowed here"}})
    house = House([failing(400, body)], FakeRouter())
    with pytest.raises(RejectedByReplica) as caught:
        await house.ask()
    assert "upstream-key" not in caught.value.public


async def test_a_prompt_that_is_too_long_gets_openais_code() -> None:
    body = b'{"error":{"message":"This model\'s maximum context length is 2048 tokens"}}'
    house = House([failing(400, body)], FakeRouter())
    with pytest.raises(RejectedByReplica) as caught:
        await house.ask()
    assert (caught.value.status, caught.value.code) == (413, "context_length_exceeded")


class Roomy(FakeTokens):
    """Windows by model."""

    def __init__(self, **windows: int) -> None:
        super().__init__()
        self.windows = windows

    async def ceiling(self, model: str) -> int | None:
        return self.windows[model]


class Longer(FakeRouter):
    """Has `big` for prompts that are too long for `m`."""

    def fallbacks(self, model: str, fault: Fault) -> tuple[Fallback, ...]:
        return (Fallback("big"),) if (model, fault) == ("m", Fault.CONTEXT_WINDOW) else ()


def too_long_for(**windows: int) -> tuple[Means, Call]:
    """What an engine needs to know these windows, and a call of 2250 tokens."""
    call = a_call()
    call.body["messages"] = [{"role": "user", "content": "x" * 9000}]
    tokens = Roomy(**windows)
    ceilings = Ceilings(tokens, FakeClock(1.0))
    return Means(window=Window(tokens, ceilings, lambda model: True)), call


async def test_a_prompt_longer_than_the_window_is_refused_before_a_replica_sees_it() -> None:
    means, call = too_long_for(m=1000)
    house = House([], FakeRouter(), means)
    for asked in (house.engine.fit(call), house.ask(call)):
        with pytest.raises(ContextLengthExceeded) as caught:
            await asked
        assert (caught.value.status, caught.value.code) == (413, "context_length_exceeded")
    assert house.wire.sent == []
    assert house.made == []


async def test_a_prompt_that_is_too_long_goes_to_the_model_with_the_larger_window() -> None:
    means, call = too_long_for(m=1000, big=9000)
    house = House([plain("from big")], Longer(a_replica("r0"), a_replica("b0", "big")), means)
    await house.engine.fit(call)
    assert b"from big" in await house.ask(call)
    assert [sent.body["model"] for sent in house.wire.sent] == ["served-big"]


async def test_a_prompt_that_no_model_has_room_for_is_refused_by_the_last_ones_window() -> None:
    means, call = too_long_for(m=1000, big=2000)
    house = House([], Longer(a_replica("r0"), a_replica("b0", "big")), means)
    with pytest.raises(ContextLengthExceeded, match="2000 tokens"):
        await house.ask(call)
    assert house.wire.sent == []


async def test_a_prompt_that_fits_is_sent() -> None:
    means, call = too_long_for(m=9000)
    house = House([plain("fits")], FakeRouter(), means)
    await house.engine.fit(call)
    assert b"fits" in await house.ask(call)


async def test_429_goes_to_another_replica_and_is_never_waited_for(slept: list[float]) -> None:
    router = FakeRouter(a_replica("r0"), a_replica("r1"))
    house = House([failing(429, retry_after="7"), failing(429, retry_after="9")], router)
    with pytest.raises(ReplicaBusy) as caught:
        await house.ask()
    assert slept == []
    assert len(house.wire.sent) == 2
    assert (caught.value.status, caught.value.retry_after) == (429, 9.0)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_replica_that_does_not_know_us_is_our_fault_not_the_clients(status: int) -> None:
    house = House([failing(status, b'{"error":{"message":"secret detail"}}')], FakeRouter())
    with pytest.raises(LLMError) as caught:
        await house.ask()
    assert caught.value.status == 503
    assert "secret" not in caught.value.public


async def test_an_endpoint_that_the_replica_lacks_is_said_so_and_not_retried() -> None:
    house = House([failing(501)], FakeRouter())
    with pytest.raises(RejectedByReplica) as caught:
        await house.ask()
    assert caught.value.code == "unsupported_by_model"
    assert len(house.wire.sent) == 1


async def test_no_answer_within_the_time_is_a_504() -> None:
    house = House([plain()], FakeRouter())
    house.clock.now = 60.0
    with pytest.raises(LLMTimeoutError) as caught:
        await house.ask()
    assert caught.value.status == 504
    assert len(house.wire.sent) <= 1
    assert house.idle()


async def test_a_back_off_that_would_pass_the_deadline_is_not_begun(slept: list[float]) -> None:
    house = House([failing(500)] * 4, FakeRouter())
    house.clock.now = 59.5
    with pytest.raises(LLMError) as caught:
        await house.ask()
    assert slept == []
    assert caught.value.status == 503


@pytest.mark.parametrize("body", [b"<html>it works</html>", b"", b'{"choices":[{"mess', b"[1]"])
async def test_a_200_that_is_no_answer_is_tried_elsewhere(body: bytes) -> None:
    router = FakeRouter(a_replica("r0"), a_replica("r1"))
    house = House([FakeAnswer(steps=(body,)), plain("real")], router)
    assert b"real" in await house.ask()
    assert house.made[0].result == Fault.GARBAGE


async def test_a_fallback_model_answers_when_the_first_cannot() -> None:
    router = FakeRouter(a_replica("r0"), a_replica("big0", "big"), fallbacks={"m": ("big",)})
    house = House([failing(401), plain("from big")], router)
    assert b"from big" in await house.ask()
    assert [a.replica for a in house.made] == ["r0", "big0"]
    assert house.wire.sent[1].body["model"] == "served-big"


async def test_a_fallback_may_bring_parameters_of_its_own() -> None:
    big = Fallback("big", {"temperature": 0.1, "max_tokens": 7})
    router = FakeRouter(a_replica("r0"), a_replica("big0", "big"), fallbacks={"m": (big,)})
    house = House([failing(401), plain("from big")], router)
    call = a_call()
    call.body["temperature"] = 0.9
    await house.ask(call)
    assert (house.wire.sent[1].body["temperature"], house.wire.sent[1].body["max_tokens"]) == (
        0.1,
        7,
    )
    assert call.body["temperature"] == 0.9, "the client's own body is left alone"


async def test_no_replica_in_rotation_is_a_503_with_retry_after() -> None:
    router = FakeRouter()
    router.cooling = {"r0"}
    house = House([], router)
    with pytest.raises(LLMError) as caught:
        await house.ask()
    assert caught.value.status == 503
    assert caught.value.retry_after is not None
    assert house.wire.sent == []


async def test_a_stream_passes_untouched_and_ends_with_done() -> None:
    answer = streamed("he", "llo")
    house = House([answer], FakeRouter())
    call = a_call(stream=True)
    call.body["stream_options"] = {"include_usage": True}
    assert await house.ask(call) == b"".join(
        step for step in answer.steps if isinstance(step, bytes)
    )
    assert house.router.successes[0][1] is not None
    assert answer.released
    assert house.idle()


async def test_the_usage_event_is_asked_for_but_kept_from_a_client_that_did_not() -> None:
    house = House([streamed("hi")], FakeRouter())
    body = await house.ask(a_call(stream=True))
    assert house.wire.sent[0].body["stream_options"] == {"include_usage": True}
    assert b"usage" not in body
    usage = house.router.successes[0][1]
    assert usage is not None
    assert (usage.prompt, usage.completion) == (5, 2)


async def test_a_stream_that_dies_before_its_first_event_is_tried_elsewhere() -> None:
    router = FakeRouter(a_replica("r0"), a_replica("r1"))
    dead = FakeAnswer(steps=(WireError(Fault.BROKEN, "reset"),))
    house = House([dead, streamed("whole")], router)
    assert b"whole" in await house.ask(a_call(stream=True))
    assert dead.closed


async def test_an_error_event_at_the_start_is_tried_elsewhere() -> None:
    error = b'data: {"error":{"message":"engine dead","code":500}}\n\n'
    router = FakeRouter(a_replica("r0"), a_replica("r1"))
    house = House([FakeAnswer(steps=(error,)), streamed("whole")], router)
    assert b"whole" in await house.ask(a_call(stream=True))


@pytest.mark.parametrize(
    "ending",
    [
        (WireError(Fault.BROKEN, "reset"),),
        (),
        (b"data: [DONE]\n\n",),
        (b'data: {"error":{"message":"engine dead"}}\n\n',),
        (b'data: {"choices":[{"del',),
    ],
    ids=["reset", "closed", "done without a finish", "error event", "half an event"],
)
async def test_a_stream_without_a_real_finish_is_never_called_done(
    ending: tuple[bytes | BaseException, ...], slept: list[float]
) -> None:
    answer = FakeAnswer(steps=(chunk("he"), *ending))
    house = House([answer], FakeRouter())
    seen = b""

    async def read() -> None:
        nonlocal seen
        async with house.engine.open(a_call(stream=True), house.made) as reply:
            async for piece in reply.chunks:
                seen += piece

    with pytest.raises(StreamTruncated):
        await read()
    assert seen == chunk("he"), "whole events only, and no [DONE]"
    assert slept == [1.0, 2.0, 3.0], "the script has run out: nobody could go on"
    assert answer.closed
    assert house.router.faults[0][1] is not None
    assert house.idle()


async def test_a_finished_stream_without_done_is_complete() -> None:
    house = House([streamed("hi", done=False)], FakeRouter())
    body = await house.ask(a_call(stream=True))
    assert body.endswith(b"data: [DONE]\n\n")


async def test_text_that_speaks_of_done_and_errors_is_only_text() -> None:
    text = 'data: [DONE]\n\n "error" "finish_reason":"stop"'
    house = House([streamed(text, "after")], FakeRouter())
    body = await house.ask(a_call(stream=True))
    assert b"after" in body
    assert chunk(text) in body


async def test_a_client_that_leaves_closes_the_upstream_and_blames_nobody() -> None:
    answered = asyncio.Event()

    async def hang() -> None:
        answered.set()
        await asyncio.Event().wait()

    answer = FakeAnswer(steps=(chunk("he"), hang))
    house = House([answer], FakeRouter())

    async def client() -> None:
        await house.ask(a_call(stream=True))

    task = asyncio.create_task(client())
    await answered.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert answer.closed
    assert house.router.faults == [("r0", None)]
    assert house.idle()


async def test_whoever_leaves_before_reading_anything_gives_the_load_back() -> None:
    answer = streamed("he", "llo")
    house = House([answer], FakeRouter())
    with pytest.raises(RuntimeError, match="left"):
        async with house.engine.open(a_call(stream=True), house.made):
            raise RuntimeError("left")
    assert answer.closed
    assert house.idle()


async def test_a_public_error_never_names_a_host() -> None:
    house = House([broken()], FakeRouter())
    house.clock.now = 59.9
    with pytest.raises(GatewayError) as caught:
        await house.ask()
    assert "r0" not in caught.value.public
    assert "r0" in caught.value.detail
