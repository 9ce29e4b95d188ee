"""Real vLLM replicas for live tests: started on loopback, or borrowed through VLLM_BASE_URLS.

    with start_replicas(2) as (first, second):
        ...  # first.base_url ends in /v1, first.metrics()["vllm:num_requests_running"]

By hand: `python -m tests.live.vllm_server [N]` starts N replicas and holds them until Ctrl-C.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request

from prometheus_client.parser import text_string_to_metric_families

from tests.live.environments import Report, announce, tail
from tests.live.process_group import fetch
from tests.live.provision import ELSEWHERE, provision
from tests.live.vllm_process import (
    HEALTHY_WITHIN_S,
    MODEL,
    Launch,
    ReplicaError,
    VllmProcess,
)

FIRST_ANSWER_WITHIN_S = 60.0
REPLICA_GIB = 3.5  # 1 of them the KV cache
CORES_PER_REPLICA = 4  # more don't make 135 million parameters faster


@dataclass(frozen=True, slots=True)
class Replica:
    """One vLLM server; `process` is None where it isn't ours to stop and start."""

    base_url: str
    model: str = MODEL
    process: VllmProcess | None = None

    @property
    def log(self) -> Path | None:
        """Where it prints, if it is ours."""
        return self.process.log if self.process else None

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics` now, by name, summed over its labels."""
        totals: dict[str, float] = {}
        text = fetch(self.base_url.removesuffix("/v1") + "/metrics").decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        return totals


@contextmanager
def start_replicas(
    count: int,
    *,
    logs: Path | None = None,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    report: Report = announce,
) -> Iterator[tuple[Replica, ...]]:
    """Yield `count` healthy replicas and stop them afterwards, together with their children.

    `arguments` and `environment` go on top of those every replica gets. Where VLLM_BASE_URLS is
    set, its servers are yielded, nothing is started and both are ignored. Raises `ReplicaError`,
    or `ProvisionError` where real vLLM can't be had.
    """
    given = base_urls(os.environ.get("VLLM_BASE_URLS", ""))
    if given:
        yield borrowed(given, count)
        return
    build = provision(report)
    check_memory(count)
    report(f"starting {count} vLLM replica(s): under a minute on an idle machine")
    folder = logs or Path(tempfile.mkdtemp(prefix="vllm-live-"))
    extra = environment or {}
    with ExitStack() as stack:
        processes = []
        for port, cores in zip(free_ports(count), core_lists(count), strict=True):
            log = folder / f"vllm-{port}.log"
            process = VllmProcess(Launch(build, port, cores, log, arguments, extra))
            stack.callback(process.stop)
            process.start()
            processes.append(process)
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        for process in processes:
            process.await_health(deadline)
        replicas = tuple(Replica(one.base_url, process=one) for one in processes)
        for replica in replicas:
            first_answer(replica)
        yield replicas


def base_urls(setting: str) -> list[str]:
    """The URLs of a comma-separated setting, without trailing slashes."""
    return [url for part in setting.split(",") if (url := part.strip().rstrip("/"))]


def borrowed(urls: Sequence[str], count: int) -> tuple[Replica, ...]:
    """The first `count` of these servers, each asked for the model it serves."""
    if len(urls) < count:
        raise ReplicaError(f"VLLM_BASE_URLS names {len(urls)} server(s); {count} are needed")
    return tuple(Replica(url, served_model(url)) for url in urls[:count])


def served_model(base_url: str) -> str:
    """The first model that a server lists."""
    try:
        listed = json.loads(fetch(f"{base_url}/models"))
        return str(listed["data"][0]["id"])
    except (OSError, ValueError, LookupError) as error:
        raise ReplicaError(
            f"VLLM_BASE_URLS: {base_url}/models gave no model: {error!r}. "
            "Each URL ends in /v1 and its server answers without a key."
        ) from error


def check_memory(count: int) -> None:
    """Refuse to start what the machine would kill for want of memory."""
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    needed = count * REPLICA_GIB
    if found and int(found[1]) / 2**20 < needed:
        raise ReplicaError(
            f"{count} replicas need about {needed:.0f} GiB of memory, "
            f"{int(found[1]) / 2**20:.1f} are available.\n{ELSEWHERE}"
        )


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def core_lists(count: int, available: Sequence[int] | None = None) -> list[str]:
    """The cores of each replica, as VLLM_CPU_OMP_THREADS_BIND takes them; shared if too few.

    One core is left to the gateway under test where that costs no replica its only one: threads
    that wait for each other on a busy core are many times slower than one thread.
    """
    cores = sorted(available if available is not None else os.sched_getaffinity(0))
    share = max(1, min(CORES_PER_REPLICA, (len(cores) - 1) // count))
    starts = [(index * share) % len(cores) for index in range(count)]
    return [",".join(map(str, cores[start : start + share])) for start in starts]


def first_answer(replica: Replica) -> None:
    """Ask for one token: what a server does only once is done before a test waits for it."""
    body = json.dumps({"model": replica.model, "prompt": "Hello", "max_tokens": 1}).encode()
    headers = {"content-type": "application/json"}
    try:
        fetch(Request(f"{replica.base_url}/completions", body, headers), FIRST_ANSWER_WITHIN_S)
    except OSError as error:
        raise ReplicaError(
            f"{replica.base_url} is healthy but does not answer: {error!r}.\n"
            f"The end of {replica.log}:\n{tail(replica.log, 40)}"
        ) from error


def main() -> int:
    """Start replicas and hold them until interrupted."""
    with start_replicas(int(sys.argv[1]) if len(sys.argv) > 1 else 1) as replicas:
        for replica in replicas:
            announce(f"{replica.base_url} log {replica.log}")
        try:
            signal.pause()
        except KeyboardInterrupt:
            announce("stopping")
    return 0


if __name__ == "__main__":
    sys.exit(main())
