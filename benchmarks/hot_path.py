"""CPU time of the gateway for a request and for a streamed chunk: `python benchmarks/hot_path.py`.

With `NAME=FOLDER …` it compares checkouts, which take turns in one run, so that what else goes on
on the machine meets all of them alike: `git archive SOME_COMMIT | tar x -C old`, then
`python benchmarks/hot_path.py old=old new=.`. Of each it starts the real command, three times:

- open: no keys, no policies;
- key: a key that is looked up;
- limits: a key, and concurrency, ratelimit and budget, two rules each.

A checkout of which a policy is missing goes without that row. What `gateway serve` keeps on disk
(the usage ledger, from 0.3 on) is in all of them. Counted is all processor time of the gateway's
process, in user and kernel, until the ledger is written: the smallest of several rounds, in
microseconds. A chunk is one small packet; its price is that of long streams less that of short
ones. A mock replica answers, and 32 connections ask.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from tests.served_command import ServedCommand, served_command

ROUNDS = 5
TOGETHER = 32
ASKED_BY_EACH = 40
SHORT, LONG = 8, 208
BETWEEN_SECONDS = 0.008
# By then the ledger, which writes five times a second, has written all.
_SETTLED_SECONDS = 1.0

KEY = "sk-benchmark-0123456789abcdef"
POLICIES = ("concurrency", "ratelimit", "budget")
CHAIN = """
policies:
  - {use: concurrency, with: {rules: [{per: key, calls: 1000}, {per: team, calls: 1000}]}}
  - use: ratelimit
    with:
      rules:
        - {per: key, requests: 100000000, tokens: 100000000000}
        - {per: [team, model], requests: 100000000}
  - use: budget
    with:
      rules:
        - {per: team, tokens: 1000000000000, every: month}
        - {per: key, tokens: 1000000000000, every: day}
"""
MODELS = """
model_list:
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: URL}
    model_info: {id: r0}
"""


@dataclass(slots=True)
class Served:
    """One checkout in one setting, and what it took: microseconds, a round each."""

    name: str
    kind: str
    gateway: ServedCommand
    requests: list[float] = field(default_factory=list)
    chunks: list[float] = field(default_factory=list)

    def cpu(self) -> float:
        """Microseconds that all of its threads have had so far."""
        tasks = Path(f"/proc/{self.gateway.process.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in tasks) / 1000

    async def spent(self, tokens: int, *, stream: bool, each: int) -> float:
        """What so many answers of each connection take."""
        before = self.cpu()
        asking = (ask(self.gateway.url, tokens, stream, each) for _ in range(TOGETHER))
        await asyncio.gather(*asking)
        await asyncio.sleep(_SETTLED_SECONDS)
        return self.cpu() - before

    async def round(self) -> None:
        """One more number each."""
        took = await self.spent(SHORT, stream=False, each=ASKED_BY_EACH)
        self.requests.append(took / (TOGETHER * ASKED_BY_EACH))
        short = await self.spent(SHORT, stream=True, each=1)
        long = await self.spent(LONG, stream=True, each=1)
        self.chunks.append((long - short) / (TOGETHER * (LONG - SHORT)))


async def ask(url: str, tokens: int, stream: bool, times: int) -> None:
    """So many answers on one connection, one after the other. AssertionError for a bad one."""
    where = urlsplit(url)
    body = orjson.dumps(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Say something long, please. " * 8}],
            "max_tokens": tokens,
            "stream": stream,
        }
    )
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json"
    head += f"\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        for _ in range(times):
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            if stream:
                assert b"data: [DONE]" in await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                length = answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
                await reader.readexactly(int(length))
    finally:
        writer.close()


@contextmanager
def serving(name: str, tree: Path, kind: str, url: str) -> Iterator[Served]:
    """A gateway of that checkout."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "gateway"
        folder.mkdir()
        (folder / "models.yaml").write_text(MODELS.replace("URL", url), encoding="utf-8")
        chain = CHAIN if kind == "limits" else "policies: []"
        (folder / "policies.yaml").write_text(chain, encoding="utf-8")
        options = ["--config", ".", "--litellm-config", "models.yaml"]
        options += ["--policies", str(tree / "policies"), "--prompts", str(tree / "prompts")]
        environ = {"PYTHONPATH": str(tree)}
        if kind != "open":
            environ["GATEWAY_API_KEYS"] = f"ide:{KEY}"
        with served_command(folder, *options, **environ) as gateway:
            yield Served(name, kind, gateway)


def kinds(tree: Path) -> list[str]:
    """Those that this checkout can do."""
    able = all((tree / "policies" / f"{name}.py").exists() for name in POLICIES)
    return ["open", "key", "limits"] if able else ["open", "key"]


async def measure(trees: dict[str, Path]) -> None:
    script = (Behaviour(tokens=LONG, delay_between=BETWEEN_SECONDS),)
    quick = (Behaviour(tokens=LONG),)
    with ExitStack() as stack:
        mock = stack.enter_context(MockVLLM.start(model="m", script=script))
        every = [
            stack.enter_context(serving(name, tree, kind, mock.base_url))
            for kind in ("open", "key", "limits")
            for name, tree in trees.items()
            if kind in kinds(tree)
        ]
        mock.script(*quick)
        for one in every:
            await one.spent(SHORT, stream=False, each=ASKED_BY_EACH)
            await one.spent(SHORT, stream=True, each=2)
        mock.script(*script)
        for _ in range(ROUNDS):
            for one in every:
                await one.round()
    print(f"{'what':8} {'which':10} {'us a request':>13} {'us a chunk':>12}")
    for one in every:
        print(f"{one.kind:8} {one.name:10} {min(one.requests):13.0f} {min(one.chunks):12.1f}")


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:]) or {"here": "."}
    asyncio.run(measure({name: Path(folder).resolve() for name, folder in given.items()}))


if __name__ == "__main__":
    main()
