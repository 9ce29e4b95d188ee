"""The kinds of requests that the contract is about, asked of one gateway in front of mocks.

    python -m tests.telemetry.contract > tests/telemetry/contract.json

writes what each leaves behind. Read every line of a change to it: a dashboard, an alert or
somebody's query may stand on the line that goes.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.plan import Fleet
from gateway.settings import Paths, PolicyEntry, Settings
from gateway.settings.teams import Team
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.otlp_sink import OtlpSink
from gateway.testing.served import ServedGateway
from tests.served_command import until
from tests.shared_gateway import forgetful

KEY, LIMITED = "sk-gw-contract", "sk-gw-limited"
CHAT = "/v1/chat/completions"
TRACE, PARENT = "ab" * 16, "cd" * 8
FILE = {"path": "a.py", "content": "def f():\n    return 1\n", "language": "python"}
SELECTION = {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}
REWRITE = "def f() -> int:\n    return 1\n"

# What each mock does.
MOCKS = {
    "good": Behaviour(deltas=("one", " two", " three"), cached_tokens=0),
    "writer": Behaviour(text=REWRITE),
    "bad": Behaviour(status=500),
    "hangs": Behaviour(before_headers="hang"),
    "cuts": Behaviour(deltas=("one", " two", " three", " four"), close_after=3),
    "stalls": Behaviour(deltas=("one", " two", " three", " four"), stall_after=3),
}
# Model → the replicas that it is on, in the order in which they are asked.
MODELS = {
    "m": ("good",),
    "writer": ("writer",),
    "retried": ("bad", "good"),
    "broken": ("bad",),
    "spare": ("bad",),
    "hangs": ("hangs",),
    "full": ("hangs",),
    "handed-over": ("cuts", "good"),
    "cut": ("cuts",),
    "stalls": ("stalls",),
}


Mocks = dict[str, MockVLLM]
Ask = Callable[[httpx.Client, Mocks], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: `ask` sends it, and returns when its answer is over or it has left;
    so many `calls` it takes."""

    name: str
    ask: Ask
    calls: int = 1


def _chat(
    model: str, *, stream: bool = False, key: str = KEY, status: int = 200, **more: Any
) -> Ask:
    return _post(CHAT, {**_body(model, stream=stream), **more}, key, status)


def _body(model: str, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hi"}]
    return {"model": model, "messages": messages, "max_tokens": 32, "stream": stream}


def _post(path: str, body: dict[str, Any], key: str = KEY, status: int = 200) -> Ask:
    def ask(http: httpx.Client, mocks: Mocks) -> None:
        answer = http.post(path, json=body, headers=_headers(key))
        assert answer.status_code == status, answer.text

    return ask


def _assist(action: str, model: str, *, stream: bool = False) -> Ask:
    asked = {"file": FILE, "selection": SELECTION, "instruction": "add types", "model": model}
    return _post(f"/api/ai/{action}{'/stream' if stream else ''}", asked)


@contextmanager
def _sent(http: httpx.Client, model: str) -> Iterator[None]:
    """A stream is asked for, and left at the end of the block."""
    body, url = json.dumps(_body(model, stream=True)).encode(), http.base_url
    head = [f"POST {CHAT} HTTP/1.1", f"host: {url.host}", "content-type: application/json"]
    head += [f"content-length: {len(body)}", *(f"{a}: {b}" for a, b in _headers(KEY).items())]
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        yield


def _leave_before_the_first_byte(http: httpx.Client, mocks: Mocks) -> None:
    """Goes away while the replica thinks."""
    before = len(mocks["hangs"].requests(CHAT))
    with _sent(http, "hangs"):
        until(lambda: len(mocks["hangs"].requests(CHAT)) > before, 20, "arrived")


def _leave_the_queue(http: httpx.Client, mocks: Mocks) -> None:
    """Goes away while another has the only slot; then that one goes away too."""
    before = len(mocks["hangs"].requests(CHAT))
    with _sent(http, "full"):
        until(lambda: len(mocks["hangs"].requests(CHAT)) > before, 20, "arrived")
        with _sent(http, "full"):
            until(lambda: _queued(http) == 1, 20, "queued")
        until(lambda: _queued(http) == 0, 20, "out of the queue")


def _queued(http: httpx.Client) -> int:
    page = http.get("/metrics").text.splitlines()
    return round(sum(float(one.split()[-1]) for one in page if one.startswith("gw_queue_depth{")))


def _leave_mid_stream(http: httpx.Client, mocks: Mocks) -> None:
    """Goes away once it has read all that there is, of an answer that goes on."""
    body, said = _body("stalls", stream=True), b""
    with http.stream("POST", CHAT, json=body, headers=_headers(KEY)) as answer:
        for piece in answer.iter_bytes():
            said += piece
            if b" two" in said:
                break


def _headers(key: str) -> dict[str, str]:
    return {
        "authorization": f"Bearer {key}",
        "traceparent": f"00-{TRACE}-{PARENT}-01",
        "x-request-id": "contract-1",
    }


def _late(http: httpx.Client, mocks: Mocks) -> None:
    sent = {**_headers(KEY), "x-request-timeout": "0.5"}
    answer = http.post(CHAT, json=_body("hangs", stream=False), headers=sent)
    assert answer.status_code == 504, answer.text


def first_call_of_the_day(http: httpx.Client) -> None:
    """After it the limited key has none left."""
    sent = _headers(LIMITED)
    assert http.post(CHAT, json=_body("m", stream=False), headers=sent).status_code == 200


KINDS = (
    Kind("chat", _chat("m")),
    Kind("chat, stream", _chat("m", stream=True, stream_options={"include_usage": True})),
    Kind("completion", _post("/v1/completions", {"model": "m", "prompt": "hi", "max_tokens": 8})),
    Kind("embedding", _post("/v1/embeddings", {"model": "m", "input": "hi"})),
    Kind("explain", _assist("explain", "m")),
    Kind("explain, stream", _assist("explain", "m", stream=True)),
    Kind("rewrite", _assist("rewrite", "writer")),
    Kind("rewrite, stream", _assist("rewrite", "writer", stream=True)),
    Kind("retried", _chat("retried")),
    Kind("fallback", _chat("broken")),
    Kind("failed", _chat("spare", status=503)),
    Kind("timeout", _late),
    Kind("handed over", _chat("handed-over", stream=True)),
    Kind("truncated", _chat("cut", stream=True)),
    Kind("refused by a policy", _chat("m", status=403, n=2)),
    Kind("rate limited", _chat("m", key=LIMITED, status=429)),
    Kind("wrong key", _chat("m", key="sk-gw-nobody", status=401)),
    Kind("unknown model", _chat("nobody", status=404)),
    Kind("left while queued", _leave_the_queue, calls=2),
    Kind("left before the first byte", _leave_before_the_first_byte),
    Kind("left mid-stream", _leave_mid_stream),
)

_POLICY = '''
from gateway import Call, Policy, Refusal


class OneChoice(Policy):
    """One answer for each question."""

    async def before(self, call: Call) -> None:
        if call.body.get("n", 1) != 1:
            raise Refusal("one choice", status=403, code="one_choice")
'''


@dataclass(slots=True)
class House:
    """The gateway, and the collector that it sends to."""

    gateway: ServedGateway
    sink: OtlpSink
    mocks: Mocks

    def client(self) -> httpx.Client:
        """For one request."""
        return httpx.Client(base_url=self.gateway.url, timeout=30, trust_env=False)


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """One gateway for all kinds; nothing that one does is felt by the next."""
    (folder / "one_choice.py").write_text(_POLICY)
    with ExitStack() as stack:
        mocks = {
            name: stack.enter_context(MockVLLM.start(model="served", script=(behaviour,)))
            for name, behaviour in MOCKS.items()
        }
        sink = stack.enter_context(OtlpSink())
        served = ServedGateway(_fleet(mocks), _settings(folder, sink.endpoint))
        house = House(stack.enter_context(served), sink, mocks)
        with house.client() as http:
            first_call_of_the_day(http)
        sink.wait(4)
        yield house


def _fleet(mocks: Mocks) -> Fleet:
    deployments = [
        Deployment(
            model,
            f"{model}-{name}",
            {
                "model": "hosted_vllm/served",
                "api_base": mocks[name].base_url,
                "order": order,
                **({"max_parallel_requests": 1} if model == "full" else {}),
            },
        )
        for model, names in MODELS.items()
        for order, name in enumerate(names, 1)
    ]
    router = {"disable_cooldowns": True, "fallbacks": [{"broken": ["m"]}], "num_retries": 1}
    return Fleet("file", LiteLLMConfig(tuple(deployments), router, {}, "test"))


def _settings(folder: Path, collector: str) -> Settings:
    hours = {"rules": [{"per": "key", "requests": 1, "every": "day"}]}
    return forgetful(
        telemetry={"otlp_endpoint": collector},
        identity={"failures": 0},
        affinity={"poll_s": 3600},
        paths=Paths(policies_dir=folder),
        teams=(_team("ide", KEY), _team("limited", LIMITED)),
        policies=(
            PolicyEntry(use="one_choice"),
            PolicyEntry(use="ratelimit", settings=hours, when={"teams": ["limited"]}),
        ),
    )


def _team(name: str, key: str) -> Team:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return Team.model_validate({"name": name, "keys": [{"id": f"{name}-1", "sha256": digest}]})
