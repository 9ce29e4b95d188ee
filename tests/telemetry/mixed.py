"""A thousand calls of all sorts through one gateway, and what each client saw of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.plan import Fleet
from gateway.settings import PolicyEntry, When
from gateway.settings.prices import ModelPrice, Prices
from gateway.settings.state import State
from gateway.settings.teams import Team
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway
from tests.shared_gateway import forgetful

CALLS = 1000
TOGETHER = 12
KEY, LIMITED, TIGHT = "sk-gw-sums", "sk-gw-sums-limited", "sk-gw-sums-tight"
CHAT = "/v1/chat/completions"
FILE = {"path": "a.py", "content": "def f():\n    return 1\n", "language": "python"}
SELECTION = {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}

_MOCKS = {
    "good": Behaviour(tokens=7, cached_tokens=3),
    "bad": Behaviour(status=500),
    "cuts": Behaviour(deltas=("one", " two", " three", " four"), close_after=3),
    "stalls": Behaviour(deltas=("one", " two", " three", " four"), stall_after=3),
    "silent": Behaviour(tokens=9, usage="missing"),
    "slow": Behaviour(tokens=5, delay_between=0.01),
}
_MODELS = {
    "m": ("good",),
    "retried": ("bad", "good"),
    "broken": ("bad",),
    "spare": ("bad",),
    "handed-over": ("cuts", "good"),
    "cut": ("cuts",),
    "stalls": ("stalls",),
    "silent": ("silent",),
    "slow": ("slow",),
    "secrets": ("good",),
}
_LONG = "".join(f"def f{number}():\n    return {number}\n\n\n" for number in range(1500))
_MONTH = {"rules": [{"per": "team", "tokens": 26, "every": "month"}]}
_HOURS = {"rules": [{"per": "key", "requests": 3, "every": "day"}]}


@dataclass(frozen=True, slots=True)
class Kind:
    """How one call is asked. `leaves`: once it has read that word."""

    path: str = CHAT
    model: str = "m"
    stream: bool = False
    key: str = KEY
    leaves: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        if self.path.startswith("/api/ai/"):
            asked = {"file": FILE, "selection": SELECTION, "instruction": "add types"}
            return {"model": self.model, **asked, **self.more}
        body = {"model": self.model, "messages": [{"role": "user", "content": "hi"}], **self.more}
        if self.stream:
            told = {"include_usage": True, "continuous_usage_stats": bool(self.leaves)}
            body |= {"stream": True, "stream_options": told}
        return body


KINDS = (
    *(Kind(), Kind(stream=True), Kind(stream=True), Kind(more={"max_tokens": 3})),
    Kind("/v1/completions", more={"prompt": "once upon"}),
    Kind("/v1/embeddings", more={"input": "hi"}),
    Kind("/api/ai/explain"),
    Kind(model="retried"),
    Kind(model="broken"),
    Kind(model="spare"),
    Kind(model="handed-over", stream=True),
    Kind(model="cut", stream=True),
    Kind(model="stalls", stream=True, leaves=" two"),
    Kind(model="silent"),
    Kind(model="silent", stream=True),
    Kind(key="sk-gw-nobody"),
    Kind(key=LIMITED),
    Kind(model="nobody"),
    Kind(more={"temperature": "hot"}),
)
# Three times each: they are dear.
RARE = (
    Kind("/api/ai/explain", more={"file": {**FILE, "content": _LONG}}),
    Kind("/api/ai/explain", more={"file": {**FILE, "content": _LONG}, "selection": None}),
    Kind("/api/ai/rewrite"),
    Kind(key=TIGHT, more={"max_tokens": 3}),
    Kind(model="slow", stream=True),
    Kind(model="secrets", more={"messages": [{"role": "user", "content": "AKIA" + "J" * 16}]}),
)


@dataclass(slots=True)
class Seen:
    """What came of it: by request id the usage that the client was told; the page of /metrics; the
    ledger's rows by request id."""

    told: dict[str, tuple[int, int]]
    page: str
    rows: dict[str, dict[str, Any]]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name which have these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.page)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def mixed(folder: Path) -> Seen:
    """Ask all of them, `TOGETHER` at once; returns when each is settled and in the database."""
    rare = RARE * 3
    order = [*rare, *(KINDS[number % len(KINDS)] for number in range(CALLS - len(rare)))]
    random.Random(7).shuffle(order)
    with _house(folder) as gateway:
        told = asyncio.run(_ask_all(gateway.url, order))
        page = _settled(gateway.url)
    return Seen(told, page, _rows(folder))


async def _ask_all(url: str, order: list[Kind]) -> dict[str, tuple[int, int]]:
    told: dict[str, tuple[int, int]] = {}
    waiting = iter(enumerate(order))
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:

        async def client() -> None:
            for number, kind in waiting:
                if (usage := await _ask(http, f"sums-{number}", kind)) is not None:
                    told[f"sums-{number}"] = usage

        await asyncio.gather(*(client() for _ in range(TOGETHER)))
    return told


async def _ask(http: httpx.AsyncClient, name: str, kind: Kind) -> tuple[int, int] | None:
    """The last usage that it is told of: of the prompt, of the answer."""
    headers = {"authorization": f"Bearer {kind.key}", "x-request-id": name}
    told = None
    async with http.stream("POST", kind.path, json=kind.body, headers=headers) as answer:
        if not kind.stream:
            whole = json.loads(await answer.aread())
            return _usage(whole)
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                told = _usage(json.loads(line[6:])) or told
            if kind.leaves and kind.leaves in line:
                break
    return told


def _usage(said: dict[str, Any]) -> tuple[int, int] | None:
    usage = said.get("usage")
    return (usage["prompt_tokens"], usage.get("completion_tokens") or 0) if usage else None


def _settled(url: str) -> str:
    """The page, once nothing is in flight."""
    ends = time.monotonic() + 30
    httpx.get(f"{url}/metrics", timeout=30)
    while True:
        page = httpx.get(f"{url}/metrics", timeout=30).text  # some tell of the page before
        flying = [line for line in page.splitlines() if line.startswith("gw_inflight{")]
        if all(line.endswith(" 0.0") for line in flying):
            return page
        assert time.monotonic() < ends, flying
        time.sleep(0.05)


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    with sqlite3.connect(folder / "gateway.db") as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM usage")]
    database.close()
    return {row["call_id"]: row for row in rows}


@contextmanager
def _house(folder: Path) -> Iterator[ServedGateway]:
    with ExitStack() as stack:
        mocks = {
            name: stack.enter_context(MockVLLM.start(model="served", script=(behaviour,)))
            for name, behaviour in _MOCKS.items()
        }
        deployments = [
            Deployment(
                model,
                f"{model}-{name}",
                {"model": "hosted_vllm/served", "api_base": mocks[name].base_url, "order": order},
            )
            for model, names in _MODELS.items()
            for order, name in enumerate(names, 1)
        ]
        router = {"disable_cooldowns": True, "fallbacks": [{"broken": ["m"]}], "num_retries": 1}
        fleet = Fleet("file", LiteLLMConfig(tuple(deployments), router, {}, "test"))
        settings = forgetful(
            identity={"failures": 0},
            state=State(folder=folder),
            prices=Prices(models={"m": ModelPrice(input_per_million=3, output_per_million=15)}),
            teams=(_team("ide", KEY), _team("limited", LIMITED), _team("tight", TIGHT)),
            policies=(
                PolicyEntry(use="ratelimit", settings=_HOURS, when=When(teams=("limited",))),
                PolicyEntry(use="budget", settings=_MONTH, when=When(teams=("tight",))),
                PolicyEntry(use="redaction", when=When(models=("secrets",))),
            ),
        )
        yield stack.enter_context(ServedGateway(fleet, settings))


def _team(name: str, key: str) -> Team:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return Team.model_validate({"name": name, "keys": [{"id": f"{name}-1", "sha256": digest}]})
