"""What telemetry costs the thread that serves requests: `python benchmarks/telemetry.py [RESULT]`.

The same calls are told to the whole of it (every call traced, to a collector that takes all;
metrics by both conventions; a line of the log for each, to /dev/null) and to one that does nothing,
in turns, in one run. Counted is the processor time of that thread alone, in microseconds: the
median of several rounds. A call is answered whole by the first replica, past one policy; a stream
has 200 chunks. What is apart from the calls is measured by itself: what each chunk costs, the parts
of a call, a page of /metrics. With RESULT it writes all of it there, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TextIO

from gateway.adapters import logs
from gateway.adapters.logs import log_request
from gateway.adapters.spans import Origin
from gateway.adapters.telemetry import Telemetry
from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.pace import Pace
from gateway.domain.ports import Replica
from gateway.settings.telemetry import Telemetry as Settings
from gateway.testing.fakes import FakeProbe
from gateway.testing.otlp_sink import OtlpSink

# As many as the exporter can send in a round, so that none is dropped, which would be cheaper.
ROUNDS, CALLS, CHUNKS = 15, 300, 200
PAUSE_SECONDS = 1.5
REPLICA = Replica("r0", "m", "org/m", "http://10.0.0.1:8001/v1")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ANSWERED = Outcome(
    OutcomeKind.COMPLETED,
    200,
    usage=Usage(31, 200, 16),
    replica="r0",
    served_model="org/m",
    finish_reason="stop",
    attempts=(Attempt("r0", "ok", 0.5, 200),),
    seconds=2.5,
    queue_seconds=0.01,
    own_seconds=0.0004,
)
Work = Callable[[], object]


class Nothing:
    """A telemetry that does nothing."""

    def __init__(self) -> None:
        self._probe = FakeProbe(None)

    def started(self, call: Call) -> None:
        """Nothing."""

    def verdict(self, call: Call, policy: str, decision: str, seconds: float) -> None:
        """Nothing."""

    def attempt(self, call: Call, replica: Replica, number: int) -> FakeProbe:
        """Always the same."""
        return self._probe

    def settled(self, call: Call, outcome: Outcome) -> None:
        """Nothing."""


def a_call(number: int, *, stream: bool) -> Call:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 256}
    call = Call(f"req-{number}", CHAT, "m", body, received=0.0, deadline=60.0, stream=stream)
    call.caller = Caller("ide", "ide-1")
    call.traceparent = PARENT
    return call


def paced() -> Pace:
    """As of a whole stream."""
    pace = Pace()
    for number in range(CHUNKS):
        pace.chunk(0.25 + number * 0.01)
    return pace


def walk(told: Telemetry | Nothing, call: Call, outcome: Outcome) -> None:
    """From its start to its end, past one policy."""
    told.started(call)
    told.verdict(call, "ratelimit", "allow", 0.0001)
    probe = told.attempt(call, REPLICA, 1)
    _ = probe.traceparent
    probe.end(outcome.attempts[0])
    told.settled(call, outcome)


def walks(told: Telemetry | Nothing, *, stream: bool) -> Work:
    """So many calls, made beforehand: that is the gateway's work anyway."""
    made = [a_call(number, stream=stream) for number in range(CALLS)]
    ended = replace(ANSWERED, pace=paced(), first_token_seconds=0.25) if stream else ANSWERED

    def work() -> None:
        for call in made:
            walk(told, call, ended)

    return work


def chunks(*, looked_at: bool) -> Work:
    """As many chunks as calls, as flow/stream.py lets them pass."""
    pace, clock = Pace(), time.monotonic

    def work() -> None:
        if looked_at:
            chunk = pace.chunk
            for _ in range(CALLS):
                chunk(clock())
        else:
            for _ in range(CALLS):
                pass

    return work


def metered(told: Telemetry, *, stream: bool) -> Work:
    """The metrics of calls and nothing else."""
    call = a_call(0, stream=stream)
    ended = replace(ANSWERED, pace=paced(), first_token_seconds=0.25) if stream else ANSWERED
    meters = told.calls

    def work() -> None:
        for _ in range(CALLS):
            flying = meters.began(call)
            meters.verdict("ratelimit", "allow", 0.0001)
            meters.attempted("r0", "ok")
            meters.settled(call, ended, flying, "0af7651916cd43dd8448eb211c80319c")

    return work


def logged() -> Work:
    """The lines of calls and nothing else."""
    call, span = a_call(0, stream=False), Origin(1 << 120, 1 << 60, True, "")

    def work() -> None:
        for _ in range(CALLS):
            log_request(call, ANSWERED, span)

    return work


def spent(work: Work, times: int = CALLS) -> float:
    """Microseconds of this thread, each time."""
    gc.collect()
    began = time.thread_time()
    work()
    return (time.thread_time() - began) / times * 1e6


async def measure(nowhere: TextIO) -> tuple[dict[str, list[float]], float]:
    """Microseconds of each thing, a round each; how much was dropped, which should be nothing."""
    took: dict[str, list[float]] = {}
    with OtlpSink() as sink:
        logs.configure("json", "info", nowhere)
        settings = Settings.model_validate({"otlp_endpoint": sink.endpoint})
        told, nothing = Telemetry(settings, lambda: ("m",)), Nothing()
        for turn in range(ROUNDS + 1):
            works: dict[str, tuple[Work, int]] = {
                "call, without": (walks(nothing, stream=False), CALLS),
                "call": (walks(told, stream=False), CALLS),
                "stream, without": (walks(nothing, stream=True), CALLS),
                "stream": (walks(told, stream=True), CALLS),
                "chunk, without": (chunks(looked_at=False), CALLS),
                "chunk": (chunks(looked_at=True), CALLS),
                "metrics of a call": (metered(told, stream=False), CALLS),
                "metrics of a stream": (metered(told, stream=True), CALLS),
                "line of a call": (logged(), CALLS),
                "page of /metrics": (told.render, 1),
            }
            for name, (work, times) in works.items():
                one = spent(work, times)
                if turn:  # the first is for warming up
                    took.setdefault(name, []).append(one)
            await asyncio.sleep(PAUSE_SECONDS)
        await told.aclose()
        page = told.render()[0].decode()
    lost = [line for line in page.splitlines() if line.startswith("gw_telemetry_dropped_total")]
    return took, sum(float(line.split()[-1]) for line in lost)


def costs(found: dict[str, float]) -> dict[str, float]:
    """By what is told of them."""
    return {
        "a call": found["call"] - found["call, without"],
        "a stream, at its ends": found["stream"] - found["stream, without"],
        "each chunk": found["chunk"] - found["chunk, without"],
        **{f"  {name}": took for name, took in found.items() if " of a " in name},
        "a page of /metrics": found["page of /metrics"],
    }


def main() -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        took, dropped = asyncio.run(measure(nowhere))
    middle = costs({name: median(each) for name, each in took.items()})
    least = costs({name: min(each) for name, each in took.items()})
    print(f"{'us of the thread that serves requests':40}{'median':>10}{'least':>10}")
    for name, cost in middle.items():
        print(f"{name:40}{cost:10.2f}{least[name]:10.2f}")
    if dropped:
        print(f"{dropped:g} were dropped, which costs less: the machine is too busy")
    if len(sys.argv) > 1:
        found = {"median": middle, "least": least, "dropped": dropped, "rounds": took}
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
