"""A gateway on replicas that misbehave, shared by all scenarios: Faulty, Case, Told."""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import httpx
import pytest

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.bootstrap import Gateway
from gateway.plan import Fleet
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway
from tests.shared_gateway import forgetful

DELTAS = ("The", " café", "\n\n", "  is", " 日本", "語 🙂")
ANSWER = "".join(DELTAS)
# The events of a healthy stream: the role, six deltas, the finish, the usage.
EVENTS = len(DELTAS) + 3
FINE = Behaviour(deltas=DELTAS)
BASICS = {"messages": [{"role": "user", "content": "hi"}]}
# How long an impatient gateway waits for one that hangs; whoever is only slow is far quicker.
PATIENCE = 0.6

Act = Literal["refuse"]
Plan = tuple[Behaviour | Act, ...]


@dataclass(frozen=True)
class Told:
    """What the client must have got, and what must be on record. `status` of an answer; `code` of
    an error; an error after the first byte comes as an event. `most`: so many attempts at most, in
    place of `asked`, where TCP decides how much of a broken stream arrives."""

    asked: Mapping[str, int]
    status: int = 200
    code: str = ""
    event: bool = False
    outcome: str = "completed"
    usages: int = 1
    finish: str = "stop"
    odd_ids: bool = False
    retry_after: tuple[int, int] | None = None
    most: int = 0
    text: str = ANSWER


@dataclass(frozen=True)
class Case:
    """One scenario: what the replicas of `model` do in turn, and what comes of it. A name that is
    not in `plans` answers well."""

    says: str
    model: str
    stream: bool
    plans: Mapping[str, Plan]
    told: Told
    body: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.says}, {'streamed' if self.stream else 'plain'}"


@dataclass
class Got:
    """An answer as a client reads it."""

    status: int
    headers: httpx.Headers
    raw: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8")

    def events(self) -> list[tuple[str, str]]:
        """Name and payload of each event, as the standard has it."""
        found = []
        for block in re.split(r"\r\n\r\n|\n\n|\r\r", self.text.removeprefix("\ufeff")):
            name, payload = "message", []
            for line in re.split(r"\r\n|\n|\r", block):
                key, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if key == "data":
                    payload.append(value)
                elif key == "event":
                    name = value
            if payload:
                found.append((name, "\n".join(payload)))
        return found


class Faulty:
    """One gateway for many scenarios, on four mocks: a, b and c are replicas, asked in this order;
    s is that of the model `spare`, which models whose name ends in -f fall back on. `patience` (s)
    is how long it waits for a connection, for the first replica's answer, and for the next event.

    Nothing that one scenario does is remembered in the next: no cooldowns, no probes, no doubts.
    """

    def __init__(self, mocks: dict[str, MockVLLM], patience: float) -> None:
        self.mocks = mocks
        self._patience = patience
        self._hole = _black_hole()
        self._stack = ExitStack()
        self.gateway: Gateway

    def __enter__(self) -> Faulty:
        made: list[Gateway] = []

        class Kept(Gateway):
            def __init__(self, *given: Any, **named: Any) -> None:
                super().__init__(*given, **named)
                made.append(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.web.server.Gateway", Kept)
            times = {
                "connect_s": self._patience / 2,
                "first_token_s": 30.0,
                "idle_s": self._patience,
            }
            served = self._stack.enter_context(
                ServedGateway(self._fleet(), forgetful(timeouts=times))
            )
        self.gateway, self.url = made[0], served.url
        self.http = self._stack.enter_context(httpx.Client(base_url=served.url, timeout=60))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for one in self._hole:
            one.close()

    def _fleet(self) -> Fleet:
        bases = {name: mock.base_url for name, mock in self.mocks.items()}
        bases["tls"] = bases["a"].replace("http://", "https://")
        bases["dns"] = "http://no-such-host.invalid:8000/v1"
        bases["hole"] = f"http://127.0.0.1:{self._hole[0].getsockname()[1]}/v1"
        groups = {
            "one": ["a"],
            "two": ["a", "b"],
            "three": ["a", "b", "c"],
            "one-f": ["a"],
            "two-f": ["a", "b"],
            "spare": ["s"],
            **{kind: [kind] for kind in ("tls", "dns", "hole")},
            **{f"{kind}-two": [kind, "b"] for kind in ("tls", "dns", "hole")},
        }
        deployments = [
            Deployment(
                model,
                f"{model}.{name}",
                {
                    "model": f"hosted_vllm/{model}",
                    "api_base": bases[name],
                    "timeout": self._patience if number == 1 else 30.0,
                    "order": number,
                },
            )
            for model, names in groups.items()
            for number, name in enumerate(names, 1)
        ]
        router = {
            "disable_cooldowns": True,
            "fallbacks": [{"one-f": ["spare"]}, {"two-f": ["spare"]}],
        }
        return Fleet("file", LiteLLMConfig(tuple(deployments), router, {}, "test"))

    # ---- One scenario ----------------------------------------------------------------------------

    def play(self, case: Case) -> Got:
        """Let it happen, and hold everything to what was to be expected."""
        for name in sorted({*case.plans, *case.told.asked} & set(self.mocks)):
            mock = self.mocks[name]
            mock.renew()
            plan = case.plans.get(name, (FINE,))
            mock.script(*[step for step in plan if isinstance(step, Behaviour)])
            if "refuse" in plan:
                mock.refuse()
        body = {"model": case.model, **BASICS, "stream": case.stream, **case.body}
        if case.stream:
            body["stream_options"] = {"include_usage": True}
        call = f"fault-{uuid.uuid4().hex}"
        began = time.monotonic()
        answer = self.http.post("/v1/chat/completions", json=body, headers={"x-request-id": call})
        got = Got(answer.status_code, answer.headers, answer.content, time.monotonic() - began)
        check_client(case, got)
        self.check_nothing_is_left(case, self.check_record(case, call))
        return got

    def record(self, call: str) -> dict[str, Any]:
        """What the gateway says of a call, once it is settled."""
        found: httpx.Response = _until(
            lambda: (r := self.http.get(f"/requests/{call}")).status_code == 200 and r
        )
        (told,) = found.json()["data"]
        return dict(told)

    def check_record(self, case: Case, call: str) -> Counter[str]:
        record, told = self.record(call), case.told
        assert record["outcome"] == told.outcome
        assert record["status"] == (502 if told.event else told.status)
        assert (record["code"] or "") == told.code
        asked = Counter(one["replica"].rpartition(".")[2] for one in record["attempts"])
        if case.told.most:
            assert asked.total() <= case.told.most, record["attempts"]
        else:
            assert asked == dict(told.asked), record["attempts"]
        oks = [one["result"] == "ok" for one in record["attempts"]]
        assert sum(oks) == (told.outcome == "completed")
        return asked

    def check_nothing_is_left(self, case: Case, asked: Counter[str]) -> None:
        """No slot, no load, no request on a replica, and none that is not on record."""
        admission, router = self.gateway.admission, self.gateway.router
        models = (case.model, "spare")
        _until(lambda: not any(admission.running(m) + admission.waiting(m) for m in models))
        _until(lambda: not any(router._inflight.values()))
        for name in {*case.plans, *case.told.asked} & set(self.mocks):
            seen: int = _until(partial(_over, self.mocks[name]), none=True)
            assert seen == (0 if "refuse" in case.plans.get(name, ()) else asked[name]), name


def check_client(case: Case, got: Got) -> None:
    told = case.told
    assert got.status == told.status, got.text[:500]
    for secret in (b"127.0.0.1", b"hosted_vllm", b"Traceback"):
        assert secret not in got.raw
    if told.status != 200:
        error = json.loads(got.raw)["error"]
        assert error["code"] == told.code
        assert error["request_id"]
        if told.retry_after is not None:
            least, most = told.retry_after
            assert least <= int(got.headers["retry-after"]) <= most
        return
    if not case.stream:
        whole = json.loads(got.raw)
        assert whole["choices"][0]["message"]["content"] == told.text
        assert whole["choices"][0]["finish_reason"] == told.finish
        assert ("usage" in whole) == bool(told.usages)
        return
    check_stream(told, got)


def check_stream(told: Told, got: Got) -> None:
    assert got.headers["content-type"].startswith("text/event-stream")
    events = got.events()
    payloads = [payload for name, payload in events if name == "message"]
    dones = payloads.count("[DONE]")
    chunks = [json.loads(payload) for payload in payloads if payload != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    assert sum("role" in choice["delta"] for choice in choices) <= 1
    if not told.odd_ids:
        assert len({(c["id"], c["model"], c["created"], c["object"]) for c in chunks}) <= 1
    if told.event:
        (name, last) = events[-1]
        assert (name, json.loads(last)["error"]["code"]) == ("error", told.code)
        assert dones == 0
        assert told.text.startswith(said)
        return
    assert [name for name, _ in events] == ["message"] * len(events)
    assert (dones, payloads[-1]) == (1, "[DONE]")
    assert said == told.text
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == [told.finish]
    assert sum(bool(chunk.get("usage")) for chunk in chunks) == told.usages


def _over(mock: MockVLLM) -> int | None:
    """How often a mock was asked to chat, once none of it is under way any more."""
    seen = [one.outcome for one in mock.requests("/v1/chat/completions")]
    return None if "running" in seen else len(seen)


def _until(true: Any, *, none: bool = False) -> Any:
    """What `true` says as soon as it says anything (`none`: anything but None)."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        said = true()
        if said is not None if none else said:
            return said
        time.sleep(0.002)
    raise AssertionError("it never came true")


def _black_hole() -> list[socket.socket]:
    """A port at which connecting hangs: a full backlog that nobody empties."""
    hole = socket.socket()
    hole.bind(("127.0.0.1", 0))
    hole.listen(0)
    plugs = [socket.socket() for _ in range(4)]
    for plug in plugs:
        plug.setblocking(False)
        plug.connect_ex(hole.getsockname())
    return [hole, *plugs]
