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
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families

from tests.live.provision import ELSEWHERE, Provision, Report, announce, provision, tail

MODEL = "smollm2"
CONTEXT_TOKENS = 2048
HEALTHY_WITHIN_S = 300.0
FIRST_ANSWER_WITHIN_S = 60.0
STOPPED_WITHIN_S = 15.0
REPLICA_GIB = 3.5  # 1 of them the KV cache
CORES_PER_REPLICA = 4  # more don't make 135 million parameters faster


class ReplicaError(RuntimeError):
    """A replica can't be started or reached; the text ends with its log where there is one."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One vLLM server. `pid` (also its process group) and `log` are None where it isn't ours."""

    base_url: str
    model: str = MODEL
    pid: int | None = None
    log: Path | None = None

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics` now, by name, summed over its labels."""
        totals: dict[str, float] = {}
        text = fetch(self.base_url.removesuffix("/v1") + "/metrics").decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        return totals


def fetch(url: str | Request, timeout_s: float = 5.0) -> bytes:
    """The body at `url`, asked with no proxy; `OSError` where no 2xx answer comes in time."""
    with build_opener(ProxyHandler({})).open(url, timeout=timeout_s) as answer:
        body: bytes = answer.read()
    return body


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
    with ExitStack() as stack:
        starts = [
            stack.enter_context(launched(build, port, cores, folder, arguments, environment or {}))
            for port, cores in zip(free_ports(count), core_lists(count), strict=True)
        ]
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        for replica, process in starts:
            await_health(replica, process, deadline)
        for replica, _ in starts:
            first_answer(replica)
        yield tuple(replica for replica, _ in starts)


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


def serve_command(build: Provision, port: int, arguments: Sequence[str]) -> list[str]:
    """The command line of one replica."""
    command = [str(build.vllm), "serve", str(build.weights), "--served-model-name", MODEL]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--max-model-len", str(CONTEXT_TOKENS), "--enforce-eager"]
    return [*command, "--enable-prompt-tokens-details", *arguments]


def serve_environment(build: Provision, cores: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of one replica: ours, its core, and nothing that leaves the machine."""
    own = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": cores,
        "VLLM_CACHE_ROOT": str(build.root / "vllm"),
        "VLLM_CONFIG_ROOT": str(build.root / "vllm"),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    # vLLM warns of each VLLM_ variable it doesn't know; the gateway's test settings are such.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    return {**ours, **own, **extra}


@contextmanager
def launched(
    build: Provision,
    port: int,
    cores: str,
    folder: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> Iterator[tuple[Replica, subprocess.Popen[bytes]]]:
    """Start one `vllm serve` in a process group of its own; end the whole group on leaving."""
    log = folder / f"vllm-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            serve_command(build, port, arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=serve_environment(build, cores, environment),
            start_new_session=True,
        )
    with guarded(process.pid):
        try:
            yield Replica(f"http://127.0.0.1:{port}/v1", pid=process.pid, log=log), process
        finally:
            stop(process)


@contextmanager
def guarded(group: int) -> Iterator[None]:
    """Have the process group killed if we are: no killed test run leaves gigabytes behind.

    The guard reads a pipe that ends when we do. (Linux's parent-death signal would be simpler, but
    it reaches one process only, and vLLM 0.32 that gets SIGTERM while it starts hangs for good.)
    """
    command = ["sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(group)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.kill()


def await_health(replica: Replica, process: subprocess.Popen[bytes], deadline: float) -> None:
    """Return once `/health` answers; `ReplicaError` where the process ends or time is up."""
    health = replica.base_url.removesuffix("/v1") + "/health"
    while True:
        if process.poll() is not None:
            how = f"ended with exit status {process.returncode}"
            break
        if time.monotonic() > deadline:
            how = f"was not healthy within {HEALTHY_WITHIN_S:.0f} s"
            break
        try:
            fetch(health, timeout_s=2.0)
            return
        except (URLError, OSError):
            time.sleep(0.25)
    raise ReplicaError(
        f"vllm serve {how}.\n{ELSEWHERE}\nThe end of {replica.log}:\n{tail(replica.log, 40)}"
    )


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


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a replica: its server is asked to, and after `STOPPED_WITHIN_S` the group is killed."""
    # Only the server is asked: it ends its own children, and their going first looks like a crash.
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOPPED_WITHIN_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> int:
    """Start replicas and hold them until interrupted."""
    with start_replicas(int(sys.argv[1]) if len(sys.argv) > 1 else 1) as replicas:
        for replica in replicas:
            announce(f"{replica.base_url} pid {replica.pid} log {replica.log}")
        try:
            signal.pause()
        except KeyboardInterrupt:
            announce("stopping")
    return 0


if __name__ == "__main__":
    sys.exit(main())
