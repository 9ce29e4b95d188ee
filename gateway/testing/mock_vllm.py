"""A mock vLLM to test against: a real server in its own process, with scripted misbehaviour.

By hand: `python -m gateway.testing.mock_vllm --port 8001 --model m`. In a test:

    with MockVLLM.start(model="m") as mock:
        mock.script(Behaviour(status=503), Behaviour(text="hello", reset_after=2))
"""

import asyncio
import contextlib
import json
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gateway.testing.mock_script import GENERATING, Behaviour, Received

__all__ = ["Behaviour", "MockVLLM", "Received"]

# The package itself (`gateway/__init__.py`) imports pydantic; the mock needs only this folder of
# it, and starts in half the time without.
_BOOT = """
import sys, types
package = sys.modules["gateway"] = types.ModuleType("gateway")
package.__path__ = [sys.argv.pop(1)]
from gateway.testing.mock_server import main
main()
"""
_PACKAGE = str(Path(__file__).parents[1])
_PATIENCE = 10.0
_POLL = 0.002


class MockVLLM:
    """A mock vLLM process. Orders take well under a millisecond, also on an event loop.

    The process dies with this one: its standard input is a pipe from here.
    """

    def __init__(self, options: Sequence[str], port: int) -> None:
        self._options = list(options)
        self._lock = threading.Lock()
        self._launch(port)

    @classmethod
    def start(
        cls,
        *,
        model: str | Sequence[str] = "mock",
        port: int = 0,
        max_model_len: int = 4096,
        script: Sequence[Behaviour] = (),
    ) -> "MockVLLM":
        """A mock that listens on 127.0.0.1 by the time this returns; port 0 picks a free one.

        Blocks for as long as a Python process takes to start, 0.2 s.
        `model` is what it serves: other names get vLLM's 404. "*" serves whatever is asked for.
        `script` holds before the first request can come, also after a restart.
        """
        names = [model] if isinstance(model, str) else list(model)
        told = json.dumps([behaviour.to_json() for behaviour in script])
        options = ["--max-model-len", str(max_model_len), "--script", told, "--model", *names]
        return cls(options, port)

    def _launch(self, port: int) -> None:
        options = ["--orders", "--port", str(port), *self._options]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, _PACKAGE, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.port: int = self._reply()["port"]
        except RuntimeError:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes for `base_url`."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    # Orders

    def script(self, *behaviours: Behaviour | Mapping[str, Any]) -> None:
        """Answer the coming requests so: one behaviour each, the last one again and again.

        Replaces the script so far. None at all: healthy. A behaviour with a `path` waits for
        requests to that path; the others are for the paths in GENERATING.
        """
        given = [b if isinstance(b, Behaviour) else Behaviour.from_json(b) for b in behaviours]
        self._order("script", behaviours=[behaviour.to_json() for behaviour in given])

    def requests(self, path: str | None = None) -> list[Received]:
        """What was received since the last reset, in order of arrival; of `path` only."""
        every = [Received(**received) for received in self._order("requests")]
        return [received for received in every if path in (None, received.path)]

    def load(
        self,
        *,
        running: float | None = None,
        waiting: float | None = None,
        kv_cache_usage: float | None = None,
    ) -> None:
        """What /metrics shows from now on; None: `running` as it is, the others 0."""
        shown = {"running": running, "waiting": waiting, "kv_cache_usage": kv_cache_usage}
        self._order("load", **{name: value for name, value in shown.items() if value is not None})

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections, for `seconds` or until `accept`; idle ones are closed."""
        self._order("refuse", seconds=seconds)

    def accept(self) -> None:
        """Accept connections again."""
        self._order("accept")

    def reset(self) -> None:
        """As good as new: nothing scripted, nothing received, connections reset, accepting."""
        self._order("reset")

    async def arrived(
        self, count: int = 1, path: str | None = None, within: float = 5.0
    ) -> list[Received]:
        """The requests to `path` (None: to those in GENERATING) once there are `count`.

        Raises TimeoutError after `within` seconds.
        """
        return await self._until("arrived", count, path, within)

    async def settled(
        self, count: int = 1, path: str | None = None, within: float = 5.0
    ) -> list[Received]:
        """As `arrived`, once `count` of them have an outcome."""
        return await self._until("settled", count, path, within)

    async def _until(
        self, what: str, count: int, path: str | None, within: float
    ) -> list[Received]:
        deadline = time.monotonic() + within
        wanted = GENERATING if path is None else {path}
        while True:
            tally = self._order("tally")
            reached = sum(tally[one][what] for one in tally if one in wanted)
            if reached >= count:
                return [received for received in self.requests() if received.path in wanted]
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{reached} of {count} requests have {what} within {within} s: {tally}"
                )
            await asyncio.sleep(_POLL)

    # The process

    def freeze(self) -> None:
        """SIGSTOP: connections open and nobody answers, orders included. `thaw` ends it."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, as by the kernel: every connection breaks."""
        self._process.kill()
        self._clear_away()

    def restart(self) -> None:
        """A new process on the same port, as at the start; the old one is killed."""
        self.kill()
        self._launch(self.port)

    def renew(self) -> None:
        """As good as new, whatever was done to it: thawed, restarted if dead, and reset."""
        if self.alive:
            self.thaw()
            self.reset()
        else:
            self.restart()

    def stop(self) -> None:
        """End the process; a second time does nothing."""
        self.kill()

    def _clear_away(self) -> None:
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> "MockVLLM":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # The pipes

    def _order(self, verb: str, **given: object) -> Any:
        line = json.dumps({"do": verb, **given}).encode("ascii") + b"\n"
        with self._lock:
            if not self.alive:
                raise RuntimeError("the mock is not running; restart() starts it again")
            assert self._process.stdin is not None
            self._process.stdin.write(line)
            self._process.stdin.flush()
            reply = self._reply()
        if "error" in reply:
            raise ValueError(reply["error"])
        return reply["ok"]

    def _reply(self) -> dict[str, Any]:
        pipe = self._process.stdout
        assert pipe is not None
        with selectors.DefaultSelector() as ready:
            ready.register(pipe, selectors.EVENT_READ)
            answered = ready.select(_PATIENCE)
        if not answered:
            raise RuntimeError("the mock is silent; is it frozen?")
        line = pipe.readline()
        if not line:
            raise RuntimeError("the mock ended; see its standard error")
        reply: dict[str, Any] = json.loads(line)
        return reply


if __name__ == "__main__":
    # Here, not above: tests import this file for the handle, and the server is for the process.
    from gateway.testing.mock_server import main

    main()
