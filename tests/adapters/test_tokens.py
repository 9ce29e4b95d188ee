"""Counting tokens: tokenizer file, replica, estimate; what is remembered; real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from gateway.adapters import tokens
from gateway.adapters.embedded import EmbeddedModel
from gateway.adapters.tokens import DEFAULT_WINDOW, ReplicaTokens, estimate
from gateway.adapters.transport import AiohttpWire
from gateway.domain.document import ConfigError
from gateway.domain.errors import ModelNotFound
from gateway.domain.ports import Counted, Replica, Tokens, WireError
from gateway.domain.retry import Fault
from gateway.testing.fakes import FakeAnswer, FakeClock, a_replica
from gateway.testing.mock_vllm import MockVLLM

MESSAGES = [{"role": "user", "content": "one two"}]


class Fleet:
    """Fake vLLM servers, by name: words are tokens, unless `broken` says what happens instead."""

    def __init__(self, **windows: int) -> None:
        self.windows = windows
        self.broken: dict[str, FakeAnswer | BaseException] = {}
        self.asked: list[tuple[str, str]] = []

    def replicas(self, model: str) -> tuple[Replica, ...]:
        return tuple(a_replica(name) for name in self.windows) if model == "m" else ()

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> FakeAnswer:
        name, _, path = url.removeprefix("http://").replace(".test", "").partition("/")
        self.asked.append((name, path))
        await asyncio.sleep(0)
        failing = self.broken.get(f"{name}/{path}") or self.broken.get(name)
        if isinstance(failing, BaseException):
            raise failing
        if failing is not None:
            return failing
        return FakeAnswer(steps=(orjson.dumps(self._answer(name, path, body)),))

    def _answer(self, name: str, path: str, body: bytes | None) -> dict[str, Any]:
        if path == "v1/models":
            return {"data": [{"id": "served-m", "max_model_len": self.windows[name]}]}
        asked = orjson.loads(body or b"{}")
        text = asked.get("prompt") or " ".join(m["content"] for m in asked["messages"])
        return {"count": len(text.split()) + (10 if "messages" in asked else 0)}

    def times(self, path: str) -> int:
        return sum(asked == path for _, asked in self.asked)


def counter(fleet: Fleet, clock: Callable[[], float] | None = None) -> ReplicaTokens:
    return ReplicaTokens(fleet, fleet.replicas, clock=clock or FakeClock())


def down() -> WireError:
    return WireError(Fault.CONNECT, "refused")


async def test_it_is_what_the_flow_asks_for() -> None:
    port: Tokens = counter(Fleet(a=100))

    assert await port.window("m") == 100


async def test_the_window_is_the_smallest_of_the_replicas() -> None:
    assert await counter(Fleet(a=300, b=100, c=200)).window("m") == 100


async def test_a_replica_that_does_not_tell_is_left_out_of_the_window() -> None:
    fleet = Fleet(a=300, b=100)
    fleet.broken["b"] = down()

    assert await counter(fleet).window("m") == 300


async def test_the_ceiling_is_the_largest_window_unless_a_replica_does_not_tell() -> None:
    assert await counter(Fleet(a=300, b=100)).ceiling("m") == 300
    fleet = Fleet(a=300, b=100)
    fleet.broken["b"] = down()
    assert await counter(fleet).ceiling("m") is None


async def test_a_model_whose_replicas_are_all_down_has_the_default_window() -> None:
    fleet = Fleet(a=300)
    fleet.broken["a"] = down()

    assert await counter(fleet).window("m") == DEFAULT_WINDOW


async def test_the_window_is_asked_again_after_a_minute() -> None:
    fleet, clock = Fleet(a=100), FakeClock()
    port = counter(fleet, clock)

    assert await port.window("m") == 100
    fleet.windows["a"] = 200
    clock.now = 59.0
    assert await port.window("m") == 100
    clock.now = 61.0
    assert await port.window("m") == 200
    assert fleet.times("v1/models") == 2


async def test_a_replica_that_is_down_is_asked_again_after_some_seconds_and_keeps_its_window() -> (
    None
):
    fleet, clock = Fleet(a=100), FakeClock()
    port = counter(fleet, clock)
    await port.window("m")
    fleet.broken["a"] = down()

    for clock.now in (61.0, 62.0, 67.0):
        assert await port.window("m") == 100

    assert fleet.times("v1/models") == 3
    fleet.broken.clear()
    clock.now = 73.0
    assert (await port.count_texts("m", ["a b"])) == [Counted(2, exact=True)]


async def test_texts_are_counted_by_a_replica_and_asked_only_once() -> None:
    fleet = Fleet(a=100)
    port = counter(fleet)

    first = await port.count_texts("m", ["one two", "", "three", "one two"])
    again = await port.count_texts("m", ["three", "one two"])

    assert first == [Counted(2, True), Counted(0, True), Counted(1, True), Counted(2, True)]
    assert again == [Counted(1, True), Counted(2, True)]
    assert fleet.times("tokenize") == 2
    assert fleet.times("v1/models") == 1


async def test_messages_are_counted_under_the_chat_template() -> None:
    fleet = Fleet(a=100)
    port = counter(fleet)

    assert await port.count_messages("m", MESSAGES) == Counted(12, exact=True)
    await port.count_messages("m", MESSAGES)
    assert fleet.times("tokenize") == 1
    await port.count_messages("m", MESSAGES, continue_final=True)
    assert fleet.times("tokenize") == 2


async def test_the_next_replica_is_asked_when_one_is_down() -> None:
    fleet = Fleet(a=100, b=100)
    fleet.broken["a/tokenize"] = down()
    port = counter(fleet)

    assert await port.count_texts("m", ["one two"]) == [Counted(2, exact=True)]
    assert await port.count_texts("m", ["three"]) == [Counted(1, exact=True)]
    assert [name for name, path in fleet.asked if path == "tokenize"] == ["a", "b", "b"]


async def test_a_length_stands_in_when_nobody_can_be_asked() -> None:
    fleet = Fleet(a=100)
    fleet.broken["a"] = down()
    port = counter(fleet)

    assert await port.count_texts("m", ["x" * 38, "한국"]) == [
        Counted(10, exact=False),
        Counted(2, exact=False),
    ]
    assert await port.count_messages("m", MESSAGES) == Counted(2 + 2 * 5, exact=False)


async def test_an_estimate_is_not_remembered() -> None:
    fleet, clock = Fleet(a=100), FakeClock()
    fleet.broken["a"] = down()
    port = counter(fleet, clock)
    await port.count_texts("m", ["one two"])
    fleet.broken.clear()
    clock.now = 6.0

    assert await port.count_texts("m", ["one two"]) == [Counted(2, exact=True)]


async def test_a_server_that_cannot_count_is_left_alone_for_a_minute() -> None:
    fleet, clock = Fleet(a=100), FakeClock()
    fleet.broken["a/tokenize"] = FakeAnswer(status=404)
    port = counter(fleet, clock)

    for text in ("one", "two", "three"):
        assert not (await port.count_texts("m", [text]))[0].exact
    assert fleet.times("tokenize") == 1
    assert await port.window("m") == 100


async def test_one_question_that_is_refused_does_not_silence_the_server() -> None:
    fleet = Fleet(a=100)
    fleet.broken["a/tokenize"] = FakeAnswer(status=400)
    port = counter(fleet)
    assert not (await port.count_texts("m", ["bad"]))[0].exact
    fleet.broken.clear()

    assert (await port.count_texts("m", ["good"]))[0].exact


async def test_a_lone_surrogate_is_counted_like_any_other_character() -> None:
    fleet = Fleet(a=100)

    assert await counter(fleet).count_texts("m", ["a \ud800"]) == [Counted(2, exact=True)]


async def test_many_callers_at_once_ask_for_the_window_once() -> None:
    fleet = Fleet(a=100)
    port = counter(fleet)

    await asyncio.gather(*(port.window("m") for _ in range(20)))

    assert fleet.times("v1/models") == 1


async def test_memory_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_REMEMBERED", 2)
    fleet = Fleet(a=100)
    port = counter(fleet)

    for text in ("a", "b", "a", "c", "a", "b"):
        await port.count_texts("m", [text])

    assert fleet.times("tokenize") == 4


async def test_a_model_without_replicas_is_not_found() -> None:
    port = counter(Fleet(a=100))

    with pytest.raises(ModelNotFound):
        await port.window("x")
    with pytest.raises(ModelNotFound):
        await port.count_texts("x", ["a"])
    with pytest.raises(ModelNotFound):
        await port.count_messages("x", MESSAGES)


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("a", 1), ("a" * 380, 100), ("한글 ab", 2 + 1), ("é" * 10, 10)]
)
def test_the_estimate_is_high_rather_than_low(text: str, expected: int) -> None:
    assert estimate(text) == expected


# ── a tokenizer file ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tokenizer_json(tmp_path: Path) -> Path:
    """Words are tokens; with the settings for training that files often carry."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


async def test_a_tokenizer_file_counts_texts_and_no_replica_is_asked(tokenizer_json: Path) -> None:
    fleet = Fleet(a=100)
    port = ReplicaTokens(fleet, fleet.replicas, tokenizers={"m": tokenizer_json})

    counted = await port.count_texts("m", ["a a a a a", "", "a b"])
    again = await port.count_texts("m", ["a b", "c"])

    assert [count.tokens for count in [*counted, *again]] == [5, 0, 2, 2, 1]
    assert all(count.exact for count in counted)
    assert fleet.asked == []


async def test_a_tokenizer_file_helps_with_messages_when_nobody_can_be_asked(
    tokenizer_json: Path,
) -> None:
    fleet = Fleet(a=100)
    fleet.broken["a"] = down()
    port = ReplicaTokens(fleet, fleet.replicas, tokenizers={"m": tokenizer_json})

    assert await port.count_messages("m", MESSAGES) == Counted(2 + 2 * 5, exact=False)


async def test_a_file_that_is_no_tokenizer_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    fleet = Fleet(a=100)

    with pytest.raises(ConfigError, match=r"tokenizer\.json: .*not a tokenizer for model 'm'"):
        ReplicaTokens(fleet, fleet.replicas, tokenizers={"m": file, "n": tmp_path / "none"})


# ── real servers ──────────────────────────────────────────────────────────────────────────────────


def one(base_url: str, name: str) -> Callable[[str], tuple[Replica, ...]]:
    return lambda model: (Replica("r", model, name, base_url),)


async def test_a_vllm_server_is_understood(mock_vllm: MockVLLM) -> None:
    async with AiohttpWire(connect=5.0) as wire:
        port = ReplicaTokens(wire, one(mock_vllm.base_url, "mock"))

        assert await port.window("m") == 4096
        counted = await port.count_texts("m", ["one two three", "four"])
        whole = await port.count_messages("m", MESSAGES)

    assert counted[0].exact
    assert counted[0].tokens > counted[1].tokens > 0
    assert whole.exact
    assert whole.tokens > 0


@pytest.mark.embedded
async def test_the_embedded_model_counts_as_it_bills() -> None:
    messages = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Say hi. 한글 \u2060 def f(): ..."},
    ]
    async with EmbeddedModel(context_tokens=1024) as model, AiohttpWire(connect=5.0) as wire:
        port = ReplicaTokens(wire, one(model.base_url, model.model))

        assert await port.window("smollm2") == 1024
        texts = await port.count_texts("smollm2", ["hello world", "<|im_end|>", "한글", ""])
        assert [count.tokens for count in texts] == [2, 1, texts[2].tokens, 0]
        assert all(count.exact for count in texts)
        for spoken, open_end in ((messages, False), ([*messages, _begun()], True)):
            counted = await port.count_messages("smollm2", spoken, continue_final=open_end)
            assert counted == Counted(await _billed(wire, model, spoken), exact=True)


def _begun() -> dict[str, str]:
    return {"role": "assistant", "content": "<rewritten>\n"}


async def _billed(wire: AiohttpWire, model: EmbeddedModel, messages: list[dict[str, str]]) -> int:
    """The prompt tokens of a real answer."""
    body = {"model": model.model, "messages": messages, "max_tokens": 1}
    response = await wire.send(
        "POST",
        f"{model.base_url}/chat/completions",
        headers={"content-type": "application/json"},
        body=orjson.dumps(body),
    )
    answer = orjson.loads(await response.read(1 << 20))
    response.release()
    return int(answer["usage"]["prompt_tokens"])
