"""A gateway under traffic of every kind, for tests that look at what its operators see.

with watched(folder, replicas) as scene, scene.traffic():
    ...  # scene.served.url answers; each model of MODELS behaves as its name says
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from tests.live.vllm_server import Replica
from tests.served_command import ServedCommand, served_command

KEY, METERED, TIGHT, OPERATOR = "sk-gw-ide", "sk-gw-metered", "sk-gw-tight", "sk-gw-ops"
WORDS = [{"role": "user", "content": "hi"}]
FILE = {"path": "a.py", "content": "def add(a, b):\n    return a + b\n", "language": "python"}
SELECTION = {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}
CHAT = "/v1/chat/completions"

# What each mock does; every one of them says all that it has to say in some milliseconds.
BEHAVIOURS = {
    "good": Behaviour(tokens=12, delay_between=0.005),
    "better": Behaviour(tokens=12, delay_between=0.005),
    "bad": Behaviour(status=500),
    "hangs": Behaviour(before_headers="hang"),
    "cuts": Behaviour(tokens=40, close_after=6),
    "long": Behaviour(tokens=400, delay_between=0.02),
    "narrow": Behaviour(tokens=20, delay_between=0.05),
    "untold": Behaviour(tokens=12, usage="on_finish"),
}
MODELS = {
    "m": ("good", "better"),
    "lame": ("bad", "good"),
    "broken": ("bad",),
    "dying": ("cuts", "better"),
    "hangs": ("hangs",),
    "cut": ("cuts",),
    "long": ("long",),
    "narrow": ("narrow",),
}
_CRASHES = '''
from gateway import Call, Policy


class Crashes(Policy):
    """Fails for one model, as a policy with a mistake in it does."""

    async def before(self, call: Call) -> None:
        if call.model == "narrow":
            raise ValueError("a mistake")
'''
_SETTINGS = """
timeouts: {{first_token_s: 1.5, total_s: 4, stream_total_s: 30}}
queue: {{size: 2, wait_s: 0.5}}
identity: {{failures: 0}}
affinity: {{poll_s: 1}}
health: {{poll_metrics: true, interval_s: 2}}
hedging: {{models: [m]}}
records: {{keep: 5000}}
telemetry: {{otlp_endpoint: "{collector}", log_level: warning}}
"""
_POLICIES = """
policies:
  - {use: crashes, on_error: skip, when: {models: [narrow]}}
  - {use: redaction}
  - use: ratelimit
    with: {rules: [{per: key, requests: 2, every: minute}]}
    when: {teams: [metered]}
  - {use: budget, with: {rules: [{per: team, tokens: 60}]}, when: {teams: [tight]}}
  - {use: allowlist, with: {routes: [/v1/chat/completions]}, when: {teams: [metered]}}
"""


@dataclass(slots=True)
class Scene:
    """The gateway, and the mocks by name. `asked` counts calls by kind."""

    served: ServedCommand
    folder: Path
    mocks: dict[str, MockVLLM]
    asked: dict[str, int]

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Calls of every kind, again and again, until the block ends."""
        over = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._ask_all(over)), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)

    async def _ask_all(self, over: threading.Event) -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=self.served.url, timeout=60, limits=limits, trust_env=False
        ) as http:
            await asyncio.gather(*(self._again(over, http, kind) for kind in KINDS))

    async def _again(self, over: threading.Event, http: httpx.AsyncClient, kind: str) -> None:
        ask, pause = KINDS[kind]
        while not over.is_set():
            # The gateway may have been stopped by the test.
            with contextlib.suppress(httpx.TransportError):
                await ask(http)
                self.asked[kind] = self.asked.get(kind, 0) + 1
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))


def _headers(key: str = KEY) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def chat(
    model: str, key: str = KEY, *, stream: bool = False, text: str = "hi", most: int = 64
) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
    """Asks, and reads the answer to its end."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": most}

    async def ask(http: httpx.AsyncClient) -> None:
        sent = {**body, "stream": stream}
        async with http.stream("POST", CHAT, json=sent, headers=_headers(key)) as answer:
            async for _ in answer.aiter_bytes():
                pass

    return ask


async def leave(http: httpx.AsyncClient) -> None:
    """Goes away after the first pieces of a long answer."""
    body = {"model": "long", "messages": WORDS, "stream": True}
    async with http.stream("POST", CHAT, json=body, headers=_headers()) as answer:
        async for _ in answer.aiter_bytes():
            break


async def crowd(http: httpx.AsyncClient) -> None:
    """More at once than there is room for."""
    await asyncio.gather(*(chat("narrow")(http) for _ in range(8)))


def assist(
    action: str, model: str = "m", most: int = 64
) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
    """A question about code."""
    asked = {"file": FILE, "selection": SELECTION, "instruction": "add types", "model": model}
    asked["options"] = {"max_output_tokens": most}

    async def ask(http: httpx.AsyncClient) -> None:
        await http.post(f"/api/ai/{action}", json=asked, headers=_headers())

    return ask


# Each with the seconds between two of its calls.
KINDS: dict[str, tuple[Callable[[httpx.AsyncClient], Awaitable[None]], float]] = {
    "plain": (chat("m"), 0.5),
    "stream": (chat("m", stream=True), 0.5),
    "real": (chat("coder", stream=True, most=8), 2.5),
    "retried": (chat("lame"), 0.75),
    "fallback": (chat("broken"), 1.2),
    "handed over": (chat("dying", stream=True), 1.2),
    "truncated": (chat("cut", stream=True), 1.8),
    "timeout": (chat("hangs"), 1.2),
    "cancelled": (leave, 0.5),
    "wrong key": (chat("m", "sk-gw-wrong"), 0.75),
    "rate limited": (chat("m", METERED), 1.2),
    "over budget": (chat("m", TIGHT, most=4), 1.2),
    "with a secret": (chat("m", text="key AKIA" + "J" * 16), 2.5),
    "crowd": (crowd, 4),
    "explain": (assist("explain"), 1.8),
    "rewrite": (assist("rewrite"), 1.8),
    "real explain": (assist("explain", "coder", most=8), 7.5),
}


def _teams() -> str:
    teams = {}
    for team, key in (("ide", KEY), ("metered", METERED), ("tight", TIGHT)):
        teams[team] = {"keys": [{"id": f"{team}-1", "sha256": _sha(key)}]}
    teams["ops"] = {"roles": ["operator"], "keys": [{"id": "ops-1", "sha256": _sha(OPERATOR)}]}
    return json.dumps({"teams": teams})  # JSON is YAML


def _sha(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _models(mocks: dict[str, MockVLLM], replicas: Sequence[Replica]) -> str:
    rows = []
    for model, names in MODELS.items():
        for name in names:
            params = {"model": f"hosted_vllm/{model}", "api_base": mocks[name].base_url}
            if model == "narrow":
                params["max_parallel_requests"] = 1
            info = {"id": f"{model}-{name}", "input_cost_per_token": 1e-6}
            info["output_cost_per_token"] = 1e-6
            rows.append({"model_name": model, "litellm_params": params, "model_info": info})
    for number, one in enumerate(replicas):
        params = {"model": f"hosted_vllm/{one.model}", "api_base": one.base_url}
        rows.append(
            {
                "model_name": "coder",
                "litellm_params": params,
                "model_info": {"id": f"vllm-{number}"},
            }
        )
    settings: dict[str, Any] = {"fallbacks": [{"broken": ["m"]}], "num_retries": 1}
    return json.dumps({"model_list": rows, "router_settings": settings})


def closed_port() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def watched(folder: Path, replicas: Sequence[Replica]) -> Iterator[Scene]:
    """Two workers in front of mocks that do all that replicas do wrong, and of real `replicas` as
    the model `coder`. Spans go to a collector that is not there."""
    home = folder / "gateway"
    (home / "config").mkdir(parents=True)
    (home / "policies").mkdir()
    (home / "policies" / "crashes.py").write_text(_CRASHES)
    (home / "config" / "gateway.yaml").write_text(_SETTINGS.format(collector=closed_port()))
    (home / "config" / "policies.yaml").write_text(_POLICIES)
    (home / "config" / "teams.yaml").write_text(_teams())
    with ExitStack() as stack:
        mocks = {
            name: stack.enter_context(MockVLLM.start(model="mock", script=(behaviour,)))
            for name, behaviour in BEHAVIOURS.items()
        }
        (home / "litellm_config.yaml").write_text(_models(mocks, replicas))
        served = stack.enter_context(served_command(home, "--workers", "2"))
        yield Scene(served, home, mocks, {})
