"""Questions to replicas about tokens: what is sent, what is understood, what is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import orjson
import pytest

from gateway.adapters import tokenizer_api
from gateway.adapters.tokenizer_api import (
    AT_ONCE,
    CANNOT_SECONDS,
    FAILED_SECONDS,
    Dialect,
    Facts,
    NoAnswer,
    TokenizerApi,
)
from gateway.domain.ports import Replica, WireError
from gateway.domain.retry import Fault
from gateway.testing.fakes import FakeAnswer, FakeWire, a_replica

MESSAGES = [{"role": "user", "content": "hi"}]


def says(content: object, status: int = 200) -> FakeAnswer:
    return FakeAnswer(status=status, steps=(orjson.dumps(content),))


def models(**row: Any) -> FakeAnswer:
    return says({"object": "list", "data": [{"id": "served-m", **row}]})


async def test_vllm_tells_its_window_in_the_list_of_models() -> None:
    wire = FakeWire([models(max_model_len=2048)])

    assert await TokenizerApi(wire).facts(a_replica()) == Facts(Dialect.VLLM, 2048)
    assert [(sent.method, sent.url) for sent in wire.sent] == [("GET", "http://r0.test/v1/models")]
    assert wire.sent[0].headers["authorization"] == "Bearer upstream-key"
    assert wire.given[0].released


async def test_llama_cpp_tells_the_share_of_one_slot_in_its_props() -> None:
    row = models(owned_by="llamacpp", meta={"n_ctx": 4096})
    wire = FakeWire([row, says({"default_generation_settings": {"n_ctx": 2048}})])

    assert await TokenizerApi(wire).facts(a_replica()) == Facts(Dialect.LLAMA_CPP, 2048)
    assert wire.sent[1].url == "http://r0.test/props"


async def test_llama_cpp_without_props_has_its_window_in_the_list() -> None:
    wire = FakeWire([models(meta={"n_ctx": 4096}), says({}, status=404)])

    assert await TokenizerApi(wire).facts(a_replica()) == Facts(Dialect.LLAMA_CPP, 4096)


async def test_the_row_of_the_replica_s_own_model_counts() -> None:
    rows = [{"id": "other", "max_model_len": 1}, {"id": "served-m", "max_model_len": 2}]

    assert (await TokenizerApi(FakeWire([says({"data": rows})])).facts(a_replica())).window == 2


async def test_the_only_row_counts_under_whatever_name() -> None:
    rows = [{"id": "lora", "max_model_len": 7}]

    assert (await TokenizerApi(FakeWire([says({"data": rows})])).facts(a_replica())).window == 7


@pytest.mark.parametrize(
    "listed", [{"data": []}, {}, {"data": [3]}, {"data": [{"id": "x"}, {"id": "y"}]}]
)
async def test_a_server_that_tells_nothing_is_silent(listed: object) -> None:
    facts = await TokenizerApi(FakeWire([says(listed)])).facts(a_replica())

    assert facts == Facts(Dialect.SILENT, None)


async def test_vllm_is_asked_without_special_tokens() -> None:
    wire = FakeWire([says({"count": 3}), says({"count": 9})])
    api = TokenizerApi(wire)

    assert await api.count_text(a_replica(), Dialect.VLLM, "a b") == 3
    messages = await api.count_messages(a_replica(), Dialect.VLLM, MESSAGES, continue_final=True)

    assert messages == 9
    assert [sent.url for sent in wire.sent] == ["http://r0.test/tokenize"] * 2
    assert wire.sent[0].body == {
        "model": "served-m",
        "prompt": "a b",
        "add_special_tokens": False,
    }
    assert wire.sent[1].body == {
        "model": "served-m",
        "messages": MESSAGES,
        "add_generation_prompt": False,
        "continue_final_message": True,
        "add_special_tokens": False,
    }


async def test_llama_cpp_is_asked_by_its_own_fields() -> None:
    wire = FakeWire([says({"tokens": [1, 2]}), says({"prompt": "P"}), says({"tokens": [1, 2, 3]})])
    api = TokenizerApi(wire)

    assert await api.count_text(a_replica(), Dialect.LLAMA_CPP, "a b") == 2
    count = await api.count_messages(a_replica(), Dialect.LLAMA_CPP, MESSAGES, continue_final=False)

    assert count == 3
    assert wire.sent[0].body == {"content": "a b", "add_special": False}
    assert wire.sent[1].url == "http://r0.test/apply-template"
    assert wire.sent[1].body["messages"] == MESSAGES
    assert wire.sent[1].body["add_generation_prompt"] is True
    assert wire.sent[2].body == {"content": "P", "add_special": True}


@pytest.mark.parametrize(
    ("answer", "spare"),
    [
        (WireError(Fault.CONNECT, "refused"), FAILED_SECONDS),
        (says({}, status=500), FAILED_SECONDS),
        (says({}, status=503), FAILED_SECONDS),
        (says({}, status=400), 0.0),
        (says({}, status=413), 0.0),
        (says({}, status=401), CANNOT_SECONDS),
        (says({}, status=404), CANNOT_SECONDS),
        (says({}, status=501), CANNOT_SECONDS),
        (says({"tokens": [1]}), CANNOT_SECONDS),
        (says([1]), CANNOT_SECONDS),
        (FakeAnswer(steps=(b"<html>",)), CANNOT_SECONDS),
        (FakeAnswer(steps=(b"{", WireError(Fault.BROKEN, "cut"))), FAILED_SECONDS),
    ],
)
async def test_what_cannot_be_counted_says_for_how_long(
    answer: FakeAnswer | BaseException, spare: float
) -> None:
    with pytest.raises(NoAnswer) as failed:
        await TokenizerApi(FakeWire([answer])).count_text(a_replica(), Dialect.VLLM, "a")

    assert failed.value.spare == spare
    assert "upstream-key" not in str(failed.value)


async def test_a_broken_answer_drops_its_connection() -> None:
    answer = FakeAnswer(steps=(b"{", WireError(Fault.BROKEN, "cut")))

    with pytest.raises(NoAnswer):
        await TokenizerApi(FakeWire([answer])).count_text(a_replica(), Dialect.VLLM, "a")

    assert answer.closed
    assert not answer.released


async def test_a_server_that_does_not_answer_in_time_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokenizer_api, "SECONDS", 0.01)
    answer = FakeAnswer(steps=(_never,))

    with pytest.raises(NoAnswer, match="no answer within") as failed:
        await TokenizerApi(FakeWire([answer])).count_text(a_replica(), Dialect.VLLM, "a")

    assert failed.value.spare == FAILED_SECONDS
    assert answer.closed


def _never() -> Awaitable[None]:
    async def wait() -> None:
        await asyncio.Event().wait()

    return wait()


async def test_at_most_eight_questions_are_open_at_once() -> None:
    wire = _CountingWire()
    api = TokenizerApi(wire)

    await asyncio.gather(
        *(api.count_text(a_replica(), Dialect.VLLM, str(number)) for number in range(40))
    )

    assert wire.most == AT_ONCE


class _CountingWire(FakeWire):
    def __init__(self) -> None:
        super().__init__()
        self.open = self.most = 0

    async def send(self, *args: Any, **kwargs: Any) -> FakeAnswer:
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.open -= 1
        return says({"count": 1})


@pytest.mark.parametrize("base_url", ["http://h:1/v1", "http://h:1/v1/", "http://h:1"])
async def test_the_root_is_the_base_without_its_version(base_url: str) -> None:
    wire = FakeWire([says({"count": 1})])
    replica = Replica("r", "m", "m", base_url, headers={"x-team": "a"})

    await TokenizerApi(wire).count_text(replica, Dialect.VLLM, "a")

    assert wire.sent[0].url == "http://h:1/tokenize"
    assert wire.sent[0].headers["x-team"] == "a"
    assert "authorization" not in wire.sent[0].headers
