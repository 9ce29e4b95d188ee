"""A real store of traces for live tests: Arize Phoenix, which takes OTLP and gives spans back.

    with trace_store(folder) as store:  # it starts; vLLM may start meanwhile
        store.await_ready()
        ...  # store.http and store.grpc take spans
        store.trace(trace_id, "POST /v1/chat/completions", "llm_request").outline()

By hand: `python -m tests.live.trace_store` holds one until Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.live.environments import (
    Builder,
    Environment,
    Report,
    announce,
    cache_folder,
    check_space,
    exclusive,
    fingerprint,
    tail,
    this_python,
)
from tests.live.process_group import ProcessGroup
from tests.live.vllm_server import free_ports

LOCK = Path(__file__).resolve().parent / "requirements-phoenix.lock"
RECIPE = 1  # raise it when the way of building changes and its result with it
FREE_GIB = 2.0
READY_WITHIN_S = 180.0
STORED_WITHIN_S = 30.0
PAGE = 1000
ADVICE = """\
Run it again; it needs a package index (pip's own settings hold). Only the traces need this program:
    make live ARGS='--ignore tests/live/test_traces.py'"""


class StoreError(RuntimeError):
    """The store does not start; the text ends with its log."""


def phoenix(report: Report = announce) -> Path:
    """Its command, built first where it is missing. Raises `ProvisionError`."""
    key = fingerprint(f"{RECIPE} {this_python()}".encode(), LOCK.read_bytes())
    root = cache_folder() / f"phoenix-{key}"
    environment = Environment(root / "environment")
    with exclusive(root.with_suffix(".lock"), report) as descriptor:
        if not environment.finished.exists():
            check_space(root, FREE_GIB, ADVICE)
            root.mkdir(parents=True, exist_ok=True)
            report(f"building Phoenix in {root}: minutes, once")
            builder = Builder(root, descriptor, report, ADVICE)
            builder.create(environment)
            builder.install_lock("Phoenix and its libraries", environment, LOCK)
            environment.finished.touch()
    return environment.program("phoenix")


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span as the store tells it, which knows microseconds. `began` and `ended` are seconds
    since 1970; `parent_id` is empty for a root."""

    name: str
    span_id: str
    parent_id: str
    began: float
    ended: float
    error: bool
    attributes: dict[str, Any]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes[attribute]


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of one trace that the store had, in the order of their start."""

    spans: tuple[StoredSpan, ...]

    def named(self, name: str) -> list[StoredSpan]:
        """Those of that name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> StoredSpan:
        """The only one of that name."""
        [found] = self.named(name)
        return found

    def below(self, parent: StoredSpan) -> list[StoredSpan]:
        """Its children."""
        return [span for span in self.spans if span.parent_id == parent.span_id]

    def outline(self) -> str:
        """The tree: a name a line, two spaces for each span above it."""
        known = {span.span_id for span in self.spans}
        roots = [span for span in self.spans if span.parent_id not in known]
        return "\n".join(line for root in roots for line in self._lines(root, ""))

    def _lines(self, span: StoredSpan, indent: str) -> Iterator[str]:
        yield indent + span.name
        for child in self.below(span):
            yield from self._lines(child, indent + "  ")


class TraceStore:
    """A running store. Everything in it belongs to one project, which it calls `default`."""

    def __init__(self, group: ProcessGroup, port: int, grpc_port: int) -> None:
        self.http = f"http://127.0.0.1:{port}"
        self.grpc = f"http://127.0.0.1:{grpc_port}"
        self.log = group.log
        self._group = group

    def await_ready(self) -> None:
        """Return once it takes spans; `StoreError` where it does not come up."""
        deadline = time.monotonic() + READY_WITHIN_S
        if how := self._group.trouble(f"{self.http}/healthz", deadline):
            end = f"The end of {self.log}:\n{tail(self.log, 40)}"
            raise StoreError(f"phoenix serve {how}.\n{ADVICE}\n{end}")

    def trace(self, trace_id: str, *names: str) -> Trace:
        """It, once spans of all these names are there; a name twice for two of them."""
        wanted, ends = Counter(names), time.monotonic() + STORED_WITHIN_S
        while True:
            last = time.monotonic() >= ends
            found = [_span(told) for told in self._told(trace_id=trace_id)]
            trace = Trace(tuple(sorted(found, key=lambda span: span.began)))
            if wanted <= Counter(span.name for span in found):
                return trace
            missing = f"no {wanted - Counter(span.name for span in found)} in {STORED_WITHIN_S} s"
            assert not last, f"{missing}; there is\n{trace.outline()}"
            time.sleep(0.2)

    def everything(self) -> str:
        """All that it holds of any span, as one text."""
        return "\n".join(page.text for page in self._pages())

    def _told(self, **filters: str) -> Iterator[dict[str, Any]]:
        for page in self._pages(**filters):
            yield from page.json()["data"]

    def _pages(self, **filters: str) -> Iterator[httpx.Response]:
        asked: dict[str, Any] = {"limit": PAGE, **filters}
        with httpx.Client(base_url=self.http, timeout=10, trust_env=False) as http:
            while True:
                page = http.get("/v1/projects/default/spans", params=asked)
                assert page.status_code == 200, page.text
                yield page
                asked["cursor"] = page.json()["next_cursor"]
                if asked["cursor"] is None:
                    return


def _span(told: dict[str, Any]) -> StoredSpan:
    began, ended = (datetime.fromisoformat(told[f"{end}_time"]) for end in ("start", "end"))
    return StoredSpan(
        name=told["name"],
        span_id=told["context"]["span_id"],
        parent_id=told["parent_id"] or "",
        began=began.timestamp(),
        ended=ended.timestamp(),
        error=told["status_code"] == "ERROR",
        attributes=told["attributes"],
    )


@contextmanager
def trace_store(folder: Path, report: Report = announce) -> Iterator[TraceStore]:
    """An empty one that begins to start, with its files in `folder`; it ends with the block."""
    program = phoenix(report)
    report("starting Phoenix: half a minute on an idle machine")
    port, grpc_port = free_ports(2)
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PHOENIX_", "OTEL_", "GRPC_"))
    }
    own = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    }
    group = ProcessGroup([str(program), "serve"], {**clean, **own}, folder / "phoenix.log")
    try:
        group.start()
        yield TraceStore(group, port, grpc_port)
    finally:
        group.stop()


def main() -> int:
    """Start one and hold it until interrupted."""
    with trace_store(Path(tempfile.mkdtemp(prefix="traces-live-"))) as store:
        store.await_ready()
        announce(f"{store.http} gRPC {store.grpc} log {store.log}")
        try:
            signal.pause()
        except KeyboardInterrupt:
            announce("stopping")
    return 0


if __name__ == "__main__":
    sys.exit(main())
