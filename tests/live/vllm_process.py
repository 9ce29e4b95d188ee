"""One vLLM server of ours: started, frozen, killed and started again on the port it has."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.live.environments import tail
from tests.live.process_group import ProcessGroup
from tests.live.provision import ELSEWHERE, Provision

MODEL = "smollm2"
CONTEXT_TOKENS = 2048
HEALTHY_WITHIN_S = 300.0


class ReplicaError(RuntimeError):
    """A replica can't be started or reached; the text ends with its log where there is one."""


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


class VllmProcess(ProcessGroup):
    """A server and, after `kill`, its successors. It runs from `start` to `stop`."""

    def __init__(self, launch: Launch) -> None:
        super().__init__(launch.command(), launch.environ(), launch.log)
        self.base_url = f"http://127.0.0.1:{launch.port}/v1"

    def await_health(self, deadline: float | None = None) -> None:
        """Return once `/health` answers; `ReplicaError` where the process ends or time is up."""
        ends = time.monotonic() + HEALTHY_WITHIN_S if deadline is None else deadline
        how = self.trouble(self.base_url.removesuffix("/v1") + "/health", ends)
        if how is not None:
            end = f"The end of {self.log}:\n{tail(self.log, 40)}"
            raise ReplicaError(f"vllm serve {how}.\n{ELSEWHERE}\n{end}")
