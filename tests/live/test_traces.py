"""Traces of a real gateway before a real vLLM, read back from the store that both send them to."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.settings import Settings
from tests.live.environments import Report
from tests.live.fronted import CHAT, GREEDY, MODEL, ask, write_litellm_config
from tests.live.trace_store import StoredSpan, Trace, TraceStore, trace_store
from tests.live.vllm_process import MODEL as SERVED
from tests.live.vllm_server import Replica, start_replicas
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

KEY = f"sk-{secrets.token_hex(16)}"
REPLICA_KEY = f"sk-{secrets.token_hex(16)}"
# Two processes' clocks are one, but the store keeps microseconds and a span's time is read twice.
TICK_S = 0.005
CODE = "def mean(xs):\n    return sum(xs) / len(xs)\n"
FILE = {"path": "src/mean.py", "content": CODE}
WHOLE = {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}}
TOKENS = 24
MOST_TRIES = 40


# ---- The stage -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory, progress: Report) -> Iterator[TraceStore]:
    """A store that may not answer yet."""
    with trace_store(tmp_path_factory.mktemp("store"), progress) as store:
        yield store


@pytest.fixture(scope="module")
def replica(
    starting: TraceStore, tmp_path_factory: pytest.TempPathFactory, progress: Report
) -> Iterator[Replica]:
    """A real vLLM that sends its own spans to the store."""
    traced = ("--otlp-traces-endpoint", f"{starting.http}/v1/traces")
    environment = {
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "vllm-0",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    logs = tmp_path_factory.mktemp("traced")
    with start_replicas(
        1, logs=logs, arguments=traced, environment=environment, report=progress
    ) as [replica]:
        if replica.process is None:
            pytest.skip("the servers of VLLM_BASE_URLS send their spans elsewhere; unset it")
        yield replica


@pytest.fixture(scope="module")
def store(starting: TraceStore, replica: Replica) -> TraceStore:
    """It answers, and vLLM as well: they have started side by side."""
    starting.await_ready()
    return starting


def write_files(folder: Path, replicas: Sequence[Replica], **telemetry: Any) -> None:
    """A gateway that wants a key, has one policy, and sends its spans off."""
    (folder / "config").mkdir(parents=True)
    write_litellm_config(folder, replicas, disable_cooldowns=True)
    file = folder / "litellm_config.yaml"
    written = json.loads(file.read_text())
    for model in written["model_list"]:
        model["litellm_params"]["api_key"] = REPLICA_KEY
    file.write_text(json.dumps(written))
    keys = [{"id": "ide-1", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
    files = {
        "gateway.yaml": {"telemetry": telemetry},
        "policies.yaml": {"policies": [{"use": "schema", "with": {"max_messages": 50}}]},
        "teams.yaml": {"teams": {"ide": {"keys": keys}}},
    }
    for name, content in files.items():
        (folder / "config" / name).write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def traced(
    store: TraceStore, replica: Replica, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedCommand]:
    """`gateway serve` before that replica."""
    folder = tmp_path_factory.mktemp("traced") / "gateway"
    write_files(folder, [replica], otlp_endpoint=store.http)
    with served_command(folder) as served:
        yield served


@dataclass(frozen=True)
class Caller:
    """The span of an IDE, which it sends along."""

    trace_id: str
    span_id: str

    @classmethod
    def new(cls) -> Caller:
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @property
    def headers(self) -> dict[str, str]:
        traceparent = f"00-{self.trace_id}-{self.span_id}-01"
        return {"authorization": f"Bearer {KEY}", "traceparent": traceparent}


# ---- Every kind of request -----------------------------------------------------------------------


def chat(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": CHAT, "max_tokens": TOKENS, **GREEDY, **more}


def about_code(**more: Any) -> dict[str, Any]:
    return {"file": FILE, "options": {"max_output_tokens": TOKENS}, **more}


@dataclass(frozen=True)
class Kind:
    """A request, and the spans that it leaves."""

    path: str
    body: dict[str, Any]
    outline: str
    prompt: str = ""

    def usage(self, answer: httpx.Response) -> dict[str, Any]:
        """As the client is told it."""
        if "event-stream" not in answer.headers["content-type"]:
            told = answer.json()
        else:
            events = [line for line in answer.text.splitlines() if line.startswith("data: ")]
            assert events[-1] == "data: [DONE]", answer.text
            told = json.loads(events[-2].removeprefix("data: "))
        usage: dict[str, Any] = told["usage"]
        return usage


INFERENCE = f"""\
  chat {MODEL}
    POST
      llm_request"""
CHAT_OUTLINE = f"POST /v1/chat/completions\n  policy schema\n{INFERENCE}"
ASSIST_OUTLINE = """\
POST {path}
  context.build
  render_prompt {prompt}
  policy schema
"""
REWRITE = about_code(selection=WHOLE, instruction="Rename xs to values.")


def assist(path: str, prompt: str, body: dict[str, Any]) -> Kind:
    return Kind(path, body, ASSIST_OUTLINE.format(path=path, prompt=prompt) + INFERENCE, prompt)


KINDS = {
    "chat": Kind("/v1/chat/completions", chat(), CHAT_OUTLINE),
    "chat stream": Kind(
        "/v1/chat/completions",
        chat(stream=True, stream_options={"include_usage": True}),
        CHAT_OUTLINE,
    ),
    "explain": assist("/api/ai/explain", "code/explain", about_code()),
    "explain stream": assist("/api/ai/explain/stream", "code/explain", about_code()),
    "rewrite": assist("/api/ai/rewrite", "code/rewrite", REWRITE),
    "rewrite stream": assist("/api/ai/rewrite/stream", "code/rewrite", REWRITE),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_trace_is_whole_from_the_client_to_vllm(
    traced: ServedCommand, store: TraceStore, kind: Kind
) -> None:
    caller = Caller.new()
    answer = ask(traced.url, kind.path, kind.body, **caller.headers)
    assert answer.status_code == 200, answer.text
    trace = store.trace(caller.trace_id, f"POST {kind.path}", "llm_request")
    assert trace.outline() == kind.outline, trace.outline()
    root, inference = trace.one(f"POST {kind.path}"), trace.one(f"chat {MODEL}")
    assert root.parent_id == caller.span_id
    assert_told(root, inference, kind, answer)
    assert_counted(inference, trace.one("llm_request"), kind.usage(answer))
    assert_timed(trace, inference)
    assert not [span.name for span in trace.spans if span.error]


def assert_told(
    root: StoredSpan, inference: StoredSpan, kind: Kind, answer: httpx.Response
) -> None:
    """Who asked whom for what."""
    assert root["http.response.status_code"] == 200
    assert root["gw.request_id"] == answer.headers["x-request-id"]
    assert (root["gw.outcome"], root["gw.team"], root["gw.key_id"]) == ("completed", "ide", "ide-1")
    assert inference["gen_ai.operation.name"] == "chat"
    assert inference["gen_ai.request.model"] == MODEL
    assert inference["gen_ai.response.model"] == SERVED
    assert inference.attributes.get("gen_ai.prompt.name", "") == kind.prompt
    assert ("gen_ai.prompt.version" in inference.attributes) == bool(kind.prompt)
    assert inference["gen_ai.response.finish_reasons"][0] in ("stop", "length")


def assert_counted(inference: StoredSpan, vllm: StoredSpan, usage: dict[str, Any]) -> None:
    """The client, the gateway, vLLM and the store say the same."""
    told = (usage["prompt_tokens"], usage["completion_tokens"])
    for span, read, written in (
        (inference, "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
        (inference, "llm.token_count.prompt", "llm.token_count.completion"),
        (vllm, "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
    ):
        assert (span[read], span[written]) == told


def assert_timed(trace: Trace, inference: StoredSpan) -> None:
    """Each span lies within the one above it, and what a span says of its time is so."""
    for span in trace.spans:
        for child in trace.below(span):
            assert span.began - TICK_S <= child.began <= child.ended <= span.ended + TICK_S
    [attempt] = trace.below(inference)
    [vllm] = trace.below(attempt)
    first, whole = vllm["gen_ai.latency.time_to_first_token"], vllm["gen_ai.latency.e2e"]
    assert 0 < first <= whole <= attempt.seconds + TICK_S
    if inference["gen_ai.request.stream"]:
        shown = inference["gen_ai.response.time_to_first_chunk"]
        assert first - TICK_S <= shown <= inference.seconds + TICK_S


# ---- A second attempt ----------------------------------------------------------------------------


@contextmanager
def nobody() -> Iterator[Replica]:
    """A replica that is down."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Replica(f"http://127.0.0.1:{held.getsockname()[1]}/v1", SERVED)


def test_of_two_attempts_the_one_that_answered_is_above_vllm(
    store: TraceStore, replica: Replica, tmp_path: Path
) -> None:
    with nobody() as down:
        write_files(tmp_path / "gateway", [down, replica], otlp_endpoint=store.http)
        with served_command(tmp_path / "gateway") as served:
            for _ in range(MOST_TRIES):  # the first attempt goes to either
                caller = Caller.new()
                answer = ask(served.url, "/v1/chat/completions", chat(), **caller.headers)
                if answer.headers["x-gateway-attempts"] == "2":
                    break
    trace = store.trace(caller.trace_id, "POST /v1/chat/completions", "llm_request")
    root, inference = trace.one("POST /v1/chat/completions"), trace.one(f"chat {MODEL}")
    first, second = trace.named("POST")
    assert trace.outline() == CHAT_OUTLINE.replace("    POST\n", "    POST\n    POST\n")
    assert trace.one("llm_request").parent_id == second.span_id
    assert (first.error, first["error.type"]) == (True, "connect_error")
    assert (first["gw.replica"], second["gw.replica"]) == ("vllm-0", "vllm-1")
    assert "http.request.resend_count" not in first.attributes
    assert second["http.request.resend_count"] == 1
    assert (root["gw.attempts"], root.error, inference.error, second.error) == (2, *[False] * 3)
    assert f"http://{inference['server.address']}:{inference['server.port']}/v1" == replica.base_url
    assert first.ended <= second.began + TICK_S


# ---- A client that leaves ------------------------------------------------------------------------

LEFT_AFTER = 6


@pytest.mark.parametrize("told", [True, False], ids=["told of usage", "told of none"])
def test_a_stream_that_is_left_is_cancelled_with_the_tokens_that_were_made(
    traced: ServedCommand, store: TraceStore, replica: Replica, told: bool
) -> None:
    caller, before = Caller.new(), made(replica)
    body = chat(stream=True, max_tokens=1900, ignore_eos=True)
    if told:
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    seen = leave(traced.url, body, caller)
    until(lambda: replica.metrics()["vllm:num_requests_running"] == 0, 10, "stopped")
    # vLLM tells nothing of a request that was given up.
    trace = store.trace(caller.trace_id, "POST /v1/chat/completions", f"chat {MODEL}", "POST")
    root, inference = trace.one("POST /v1/chat/completions"), trace.one(f"chat {MODEL}")
    assert trace.outline() == CHAT_OUTLINE.removesuffix("\n      llm_request")
    assert (root["gw.outcome"], root.error) == ("cancelled", False)
    for span in (inference, trace.one("POST")):
        assert (span.error, span["error.type"]) == (True, "client_disconnected")
    assert inference["gen_ai.response.finish_reasons"] == ["error"]
    assert "gw.usage.estimated" not in inference.attributes
    written = inference["gen_ai.usage.output_tokens"]
    assert LEFT_AFTER <= seen[-1].get("completion_tokens", LEFT_AFTER) <= written
    assert written <= made(replica) - before
    assert inference["gen_ai.usage.input_tokens"] == prompt_tokens(traced)


def leave(url: str, body: dict[str, Any], caller: Caller) -> list[dict[str, Any]]:
    """Read some pieces of a stream, and go; the usages that came with them, {} for none."""
    seen: list[dict[str, Any]] = []
    with (
        httpx.Client(base_url=url, timeout=60) as http,
        http.stream("POST", "/v1/chat/completions", json=body, headers=caller.headers) as answer,
    ):
        for line in answer.iter_lines():
            if '"content":"' in line.replace('"content":""', ""):
                seen.append(json.loads(line.removeprefix("data: ")).get("usage") or {})
            if len(seen) == LEFT_AFTER:
                break
    return seen


def made(replica: Replica) -> float:
    """The tokens that it has made so far, whoever read them."""
    return replica.metrics().get("vllm:generation_tokens_total", 0.0)


def prompt_tokens(gateway: ServedCommand) -> int:
    """What that question takes, as vLLM counts it."""
    answer = ask(gateway.url, "/v1/chat/completions", chat(max_tokens=1), **Caller.new().headers)
    return int(answer.json()["usage"]["prompt_tokens"])


# ---- Secrets -------------------------------------------------------------------------------------


def test_no_key_and_no_text_reaches_the_store(traced: ServedCommand, store: TraceStore) -> None:
    text, sent = f"kanarienvogel{secrets.token_hex(8)}", Caller.new()
    visible = f"visible-{secrets.token_hex(8)}"
    headers = {**sent.headers, "x-request-id": visible, "cookie": text, "x-custom": text}
    asking = [{"role": "user", "content": f"Repeat: {text}"}]
    file = {"path": f"src/{text}.py", "content": f"NAME = '{text}'\n{CODE}"}
    wrong = {**Caller.new().headers, "authorization": f"Bearer sk-{text}"}
    ask(traced.url, "/v1/chat/completions", chat(messages=asking, user=text), **headers)
    ask(traced.url, "/v1/chat/completions", chat(messages=asking, stream=True), **headers)
    ask(traced.url, "/v1/chat/completions", chat(messages=asking, model=5), **headers)
    ask(traced.url, "/v1/chat/completions", chat(messages=asking, tools=text), **headers)
    ask(traced.url, "/api/ai/explain", about_code() | {"file": file}, **headers)
    ask(traced.url, "/api/ai/rewrite", REWRITE | {"file": file, "instruction": text}, **headers)
    assert ask(traced.url, "/v1/chat/completions", chat(), **wrong).status_code == 401
    wanted = ["POST /v1/chat/completions"] * 2 + ["POST /api/ai/explain", "POST /api/ai/rewrite"]
    store.trace(sent.trace_id, *wanted, *["llm_request"] * 4)
    held = store.everything()
    assert visible in held
    assert [secret for secret in (KEY, REPLICA_KEY, text) if secret in held] == []


# ---- Other ways to send --------------------------------------------------------------------------


@pytest.mark.skipif(
    "otlp_protocol" not in type(Settings().telemetry).model_fields,
    reason="spans go by HTTP alone",
)
def test_spans_go_by_grpc_as_well(store: TraceStore, replica: Replica, tmp_path: Path) -> None:
    folder, caller = tmp_path / "gateway", Caller.new()
    write_files(folder, [replica], otlp_endpoint=store.grpc, otlp_protocol="grpc")
    with served_command(folder) as served:
        kind = KINDS["chat"]
        answer = ask(served.url, kind.path, kind.body, **caller.headers)
        trace = store.trace(caller.trace_id, f"POST {kind.path}", "llm_request")
    assert trace.outline() == kind.outline, trace.outline()
    assert_counted(trace.one(f"chat {MODEL}"), trace.one("llm_request"), kind.usage(answer))
