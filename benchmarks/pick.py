"""CPU time of one pick, by strategy and number of replicas: `python benchmarks/pick.py`.

No network: the real Router of LiteLLM, our choice over its list, reports of attempts. The smallest
of several rounds, in microseconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from gateway.adapters.litellm_router import LiteLLMRouter
from gateway.domain.call import Call
from gateway.domain.endpoints import CHAT

PICKS = 3000
ROUNDS = 5
OURS = ("simple-shuffle", "least-busy", "prefix_affinity")
THEIRS = ("latency-based-routing", "usage-based-routing-v2")


def deployment(number: int) -> dict[str, Any]:
    params = {"model": "hosted_vllm/m", "api_base": f"http://r{number}.test/v1"}
    return {"model_name": "m", "litellm_params": params, "model_info": {"id": f"r{number}"}}


def calls(text: str) -> list[Call]:
    return [
        Call(
            id=f"req-{number}",
            endpoint=CHAT,
            model="m",
            body={
                "messages": [
                    {"role": "system", "content": text},
                    {"role": "user", "content": f"question {number}"},
                ]
            },
            received=0.0,
            deadline=60.0,
        )
        for number in range(100)
    ]


async def measure(strategy: str, replicas: int, chars: int) -> float:
    router = LiteLLMRouter(time.monotonic)
    model_list = [deployment(number) for number in range(replicas)]
    router.load({"model_list": model_list, "routing_strategy": strategy})
    asked = calls("x" * chars)
    best = float("inf")
    for _ in range(ROUNDS):
        count = PICKS if strategy in OURS else PICKS // 10
        began = time.process_time()
        for number in range(count):
            call = asked[number % len(asked)]
            replica = await router.pick(call, "m", ())
            assert replica is not None
            router.started(call, replica)
            router.ended(call, replica, None)
        best = min(best, (time.process_time() - began) / count)
    router.close()
    return best * 1e6


async def main() -> None:
    print("strategy                 replicas  prompt chars  us CPU per pick")
    for strategy in OURS + THEIRS:
        for replicas in (3, 32):
            for chars in (200, 100_000) if strategy == "prefix_affinity" else (200,):
                took = await measure(strategy, replicas, chars)
                print(f"{strategy:24} {replicas:8} {chars:13} {took:12.1f}")


if __name__ == "__main__":
    asyncio.run(main())
