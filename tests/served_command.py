"""The real command `gateway serve` in a process of its own, as its users start it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

STARTED_WITHIN_S = 90.0
STOPPED_WITHIN_S = 60.0
OURS = ("GATEWAY_", "LITELLM_", "OPENAI_", "OTEL_", "VLLM_")

_BANNER = re.compile(r"^Serving on (http://\S+)[\s\S]*^Try it:\n((?:  curl .*\n){2})", re.MULTILINE)


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once it is true; AssertionError when it is not within `seconds`. The last look is
    taken when the time is up: one before that may itself have been slow, and be out of date."""
    ends = time.monotonic() + seconds
    while True:
        last = time.monotonic() >= ends
        if true():
            return
        assert not last, f"not {what} within {seconds:g} s"
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class ServedCommand:
    """A running `gateway serve`: where it answers, and the file that holds what it prints."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def printed(self) -> str:
        """What it has printed so far, its log lines included."""
        return self.log.read_text(encoding="utf-8")

    @property
    def lines_to_try(self) -> list[str]:
        """The lines of its banner that a newcomer is to type."""
        banner = _BANNER.search(self.printed)
        assert banner is not None, self.printed
        return [line.strip() for line in banner[2].splitlines()]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of /metrics that have this name and these labels, now."""
        families = text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text)
        samples = (sample for family in families for sample in family.samples)
        return sum(
            one.value
            for one in samples
            if one.name == name and labels.items() <= one.labels.items()
        )

    def children(self) -> list[int]:
        """The processes that it has started and that still run (from /proc, so on Linux)."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]

    def stop(self, how: signal.Signals) -> int:
        """Send the signal and wait for the end; its exit status."""
        self.process.send_signal(how)
        return self.process.wait(STOPPED_WITHIN_S)


@contextmanager
def served_command(folder: Path, *options: str, **environ: str) -> Iterator[ServedCommand]:
    """`gateway serve` in `folder`, ready, on a port that it takes itself; its settings are these
    options and variables alone. At the end it is asked to stop, and must do so with status 0."""
    log = folder.parent / f"{folder.name}.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--port", "0", *options],
            cwd=folder,
            env={**clean, **environ},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        served = ServedCommand(_address(process, log), process, log)
        until(lambda: httpx.get(f"{served.url}/readyz").status_code == 200, 30, "ready")
        yield served
        if process.poll() is None:
            assert served.stop(signal.SIGTERM) == 0, served.printed
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL in the banner, as soon as all of that is printed."""
    ends = time.monotonic() + STARTED_WITHIN_S
    while (banner := _BANNER.search(log.read_text(encoding="utf-8"))) is None:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < ends, log.read_text(encoding="utf-8")
        time.sleep(0.05)
    return banner[1]
