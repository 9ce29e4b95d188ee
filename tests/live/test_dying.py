"""Real vLLM replicas are killed, frozen and brought back in the middle of streams."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.live.fronted import GREEDY, MODEL, write_litellm_config
from tests.live.vllm_process import VllmProcess
from tests.live.vllm_server import Replica
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

DEATHS = 10
MOST_DEATHS = 12
EQUAL_OF_TEN = 9
TOKENS = 72
KINDS = ("continued", "restarted", "finished", "unsafe", "failed")
BACK_WITHIN_S = 120.0
QUESTIONS = (
    "Write a short story about a lighthouse keeper.",
    "Explain how a bicycle stays upright.",
    "Describe a market in the early morning.",
    "What is the difference between a list and a tuple in Python?",
    "Tell me about the history of the printing press.",
    "Explain photosynthesis to a child.",
    "Describe how bread is baked, step by step.",
    "Why do leaves change their colour in autumn?",
    "Write about a journey by train through the mountains.",
    "Explain what a hash table is and when to use one.",
)


@dataclass(frozen=True)
class Heard:
    """All that a client got of one stream."""

    status: int
    replica: str
    events: tuple[dict[str, Any], ...]
    ended: bool

    @property
    def text(self) -> str:
        choices = [event["choices"][0] for event in self.events if event.get("choices")]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def finish_reasons(self) -> list[str]:
        choices = [event["choices"][0] for event in self.events if event.get("choices")]
        return [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]

    @property
    def usages(self) -> list[dict[str, Any]]:
        return [event["usage"] for event in self.events if event.get("usage")]


def asked(question: str) -> dict[str, Any]:
    """A greedy answer of exactly TOKENS tokens, with its usage."""
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        **GREEDY,
    }


def listen(
    url: str, question: str, after: int = 0, do: Callable[[str], None] | None = None
) -> Heard:
    """Read a whole stream; once `after` pieces of text were shown, `do` gets the replica's id."""
    events: list[dict[str, Any]] = []
    pieces, ended = 0, False
    with (
        httpx.Client(base_url=url, timeout=120) as http,
        http.stream("POST", "/v1/chat/completions", json=asked(question)) as answer,
    ):
        replica = answer.headers.get("x-gateway-replica", "")
        for line in answer.iter_lines():
            assert not line.startswith("event: error"), (line, events)
            if not line.startswith("data: "):
                continue
            assert not ended, f"after the end: {line}"
            if line == "data: [DONE]":
                ended = True
                continue
            events.append(orjson.loads(line.removeprefix("data: ")))
            choices = events[-1].get("choices")
            pieces += bool(choices and choices[0]["delta"].get("content"))
            if do is not None and pieces == after:
                do(replica)
                do = None
        assert do is None, f"only {pieces} pieces came"
        return Heard(answer.status_code, replica, tuple(events), ended)


@pytest.fixture(scope="module")
def processes(vllm_replicas: tuple[Replica, ...]) -> dict[str, VllmProcess]:
    """The servers by the ids they have at the gateway. Borrowed ones are not ours to kill."""
    found = {f"vllm-{number}": one.process for number, one in enumerate(vllm_replicas)}
    ours = {name: process for name, process in found.items() if process is not None}
    if len(ours) < len(found):
        pytest.skip("the servers of VLLM_BASE_URLS are not ours to kill; unset it")
    return ours


def handovers(gateway: ServedCommand) -> Counter[str]:
    """How many broken streams there were, by what became of them."""
    return Counter({kind: int(gateway.metric("gw_handovers_total", result=kind)) for kind in KINDS})


def healthy(url: str) -> int:
    return int(httpx.get(f"{url}/readyz").json()["models"][MODEL]["healthy"])


def revive(process: VllmProcess, url: str) -> None:
    """Start it again, until the gateway has it back in rotation."""
    process.start()
    process.await_health()
    until(lambda: healthy(url) == 2, BACK_WITHIN_S, "back in rotation")


def assert_unbroken(heard: Heard) -> None:
    """One answer as of one replica: an id, a role, an end, a usage that counts all of it."""
    assert (heard.status, heard.ended) == (200, True)
    assert len({event["id"] for event in heard.events}) == 1
    assert len({event["model"] for event in heard.events}) == 1
    assert heard.finish_reasons == ["length"]
    assert [usage["completion_tokens"] for usage in heard.usages] == [TOKENS]


@pytest.mark.timeout(1800, func_only=True)
def test_ten_times_a_replica_is_killed_mid_stream_and_every_answer_is_whole(
    gateway: ServedCommand, processes: dict[str, VllmProcess], progress: Callable[[str], None]
) -> None:
    deaths, differ = 0, []
    for number, question in enumerate(itertools.islice(itertools.cycle(QUESTIONS), MOST_DEATHS)):
        if deaths == DEATHS:
            break
        whole = listen(gateway.url, question)
        assert_unbroken(whole)
        # Always early enough: a busy machine may hear of it some seconds late.
        after = 3 + number
        before = handovers(gateway)
        heard = listen(gateway.url, question, after, lambda replica: processes[replica].kill())
        assert_unbroken(heard)
        became = handovers(gateway) - before
        if became == Counter(continued=1):
            deaths += 1
        else:
            # It did not hit the stream in its middle, as that of a replica that has just said its
            # last word would not: another one shall.
            said = [line for line in gateway.printed.splitlines() if "vllm-" in line][-8:]
            progress(
                f"{question!r} killed after {after} pieces: {dict(became)}\n" + "\n".join(said)
            )
        if heard.text != whole.text:
            same = next(
                at for at, (a, b) in enumerate(zip(heard.text, whole.text, strict=False)) if a != b
            )
            differ.append(
                f"{question!r} killed after {after} pieces, equal for {same} characters: "
                f"{heard.text[same - 30 : same + 30]!r}, uninterrupted "
                f"{whole.text[same - 30 : same + 30]!r}"
            )
        revive(processes[heard.replica], gateway.url)
    assert deaths == DEATHS
    for line in differ:
        progress(line)
    assert len(differ) <= DEATHS - EQUAL_OF_TEN, differ


def test_a_replica_that_freezes_mid_stream_is_left_for_the_other(
    vllm_replicas: tuple[Replica, ...], processes: dict[str, VllmProcess], tmp_path: Path
) -> None:
    """SIGSTOP: its connections stay open, and nothing comes any more."""
    folder = tmp_path / "short"
    folder.mkdir()
    write_litellm_config(folder, vllm_replicas)
    with served_command(folder, GATEWAY_TIMEOUTS__IDLE_S="3") as served:
        whole = listen(served.url, QUESTIONS[0])
        frozen: list[Any] = []

        def freeze(replica: str) -> None:
            block = processes[replica].frozen()
            block.__enter__()
            frozen.append(block)

        try:
            heard = listen(served.url, QUESTIONS[0], 10, freeze)
            assert_unbroken(heard)
            assert heard.text == whole.text
            until(lambda: healthy(served.url) == 1, 30, "out of rotation")
        finally:
            for block in frozen:
                block.__exit__(None, None, None)
        until(lambda: healthy(served.url) == 2, BACK_WITHIN_S, "back in rotation")


async def test_when_all_replicas_die_the_client_is_told_and_all_is_well_once_they_are_back(
    gateway: ServedCommand, processes: dict[str, VllmProcess]
) -> None:
    body = {**asked("Say hello."), "stream": False}
    del body["stream_options"]
    for process in processes.values():
        process.kill()
    async with httpx.AsyncClient(base_url=gateway.url, timeout=90) as http:
        answers = await asyncio.gather(
            *(http.post("/v1/chat/completions", json=body) for _ in range(8))
        )
        assert {answer.status_code for answer in answers} == {503}
        assert all("retry-after" in answer.headers for answer in answers)
        assert {answer.json()["error"]["code"] for answer in answers} == {"replica_unavailable"}
    await asyncio.to_thread(until, lambda: ready(gateway.url) == 503, 30, "not ready")
    for process in processes.values():
        process.start()
    for process in processes.values():
        await asyncio.to_thread(process.await_health)
    await asyncio.to_thread(until, lambda: healthy(gateway.url) == 2, BACK_WITHIN_S, "back")
    heard = await asyncio.to_thread(listen, gateway.url, QUESTIONS[0])
    assert_unbroken(heard)


def ready(url: str) -> int:
    return httpx.get(f"{url}/readyz").status_code
