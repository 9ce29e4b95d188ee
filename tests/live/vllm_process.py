"""One vLLM server of ours: started, frozen, killed and started again on the port it has."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from tests.live.provision import ELSEWHERE, Provision, tail

MODEL = "smollm2"
CONTEXT_TOKENS = 2048
HEALTHY_WITHIN_S = 300.0
STOPPED_WITHIN_S = 15.0


class ReplicaError(RuntimeError):
    """A replica can't be started or reached; the text ends with its log where there is one."""


def fetch(url: str | Request, timeout_s: float = 5.0) -> bytes:
    """The body at `url`, asked with no proxy; `OSError` where no 2xx answer comes in time."""
    with build_opener(ProxyHandler({})).open(url, timeout=timeout_s) as answer:
        body: bytes = answer.read()
    return body


@dataclass(frozen=True, slots=True)
class Launch:
    """How one server is started: what to run, on which port of loopback and which cores."""

    build: Provision
    port: int
    cores: str
    log: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        """Its command line. In bfloat16 logits are rounded so coarsely that two tokens often tie,
        and then a prompt that is read at once ends otherwise than one that was generated; in
        float32 a greedy answer is the same however it came about."""
        command = [str(self.build.vllm), "serve", str(self.build.weights)]
        command += ["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--max-model-len", str(CONTEXT_TOKENS), "--enforce-eager"]
        command += ["--dtype", "float32"]
        return [*command, "--enable-prompt-tokens-details", *self.arguments]

    def environ(self) -> dict[str, str]:
        """Its environment: ours, its cores, and nothing that leaves the machine."""
        own = {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": self.cores,
            "VLLM_CACHE_ROOT": str(self.build.root / "vllm"),
            "VLLM_CONFIG_ROOT": str(self.build.root / "vllm"),
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        # vLLM warns of each VLLM_ variable it doesn't know; the gateway's test settings are such.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
        return {**ours, **own, **self.environment}


class VllmProcess:
    """A server and, after `kill`, its successors. It runs from `start` to `stop`."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.base_url = f"http://127.0.0.1:{launch.port}/v1"
        self._life = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the server that runs now; also its process group."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def start(self) -> None:
        """Begin to start it; `await_health` says when it answers."""
        with self.launch.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.launch.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.launch.environ(),
                start_new_session=True,
            )
        self._life.enter_context(guarded(self.pid))

    def await_health(self, deadline: float | None = None) -> None:
        """Return once `/health` answers; `ReplicaError` where the process ends or time is up."""
        assert self._process is not None, "start() comes first"
        ends = time.monotonic() + HEALTHY_WITHIN_S if deadline is None else deadline
        while True:
            if self._process.poll() is not None:
                how = f"ended with exit status {self._process.returncode}"
                break
            if time.monotonic() > ends:
                how = f"was not healthy within {HEALTHY_WITHIN_S:.0f} s"
                break
            try:
                fetch(self.base_url.removesuffix("/v1") + "/health", timeout_s=2.0)
                return
            except (URLError, OSError):
                time.sleep(0.25)
        log = self.launch.log
        raise ReplicaError(f"vllm serve {how}.\n{ELSEWHERE}\nThe end of {log}:\n{tail(log, 40)}")

    def kill(self) -> None:
        """SIGKILL to all of its processes at once, as when its machine goes."""
        assert self._process is not None, "start() comes first"
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._life.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP to all of its processes until the block ends: it looks alive and says nothing."""
        os.killpg(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it: the server is asked to, and after `STOPPED_WITHIN_S` the group is killed."""
        if self._process is None:
            return
        # Only the server is asked: it ends its own children, and their going first looks like a
        # crash.
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPPED_WITHIN_S)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._life.close()


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
