"""Words that nobody may read again, planted wherever a secret may stand, are nowhere where
something is written down: logs, spans, metrics, records, error answers, `gateway check`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.domain.call import Call
from gateway.domain.endpoints import CHAT
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.otlp_sink import OtlpSink
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

# None looks like a key: what keeps them in must not depend on that.
_PLACES = """
bearer apikey cookie custom traceparent tracestate baggage content metadata argument prompt input
variable instruction code answer raised rejected broken event provider litellm upstream header
ownkey query toolname refused
"""
PLANTED = {name: f"kanarienvogel{number:02}{name}" for number, name in enumerate(_PLACES.split())}
# The client chose these itself, to be found by them again; only what looks like a key is kept out.
NAMED = {"id": "sk-kanarienvogelid00000000000000", "model": "sk-kanarienvogelmodel0000000000"}
POLICY = """
from gateway import Call, Policy, Refusal


class Raising(Policy):
    async def before(self, call: Call) -> None:
        text = str(call.body)
        if "RAISE-NOW" in text:
            try:
                raise ValueError("inner " + text)
            except ValueError as error:
                raise RuntimeError("{raised} " + text) from error
        if "REFUSE-NOW" in text:
            raise Refusal("not this", status=400)
"""


def headers(**more: str) -> dict[str, str]:
    """A request's, with a canary in each that a client may send."""
    return {
        "authorization": f"Bearer {PLANTED['ownkey']}",
        "cookie": f"session={PLANTED['cookie']}",
        "x-custom": PLANTED["custom"],
        "traceparent": f"00-{PLANTED['traceparent']}-01",
        "tracestate": f"a={PLANTED['tracestate']}",
        "baggage": f"user={PLANTED['baggage']}",
        **more,
    }


def chat(text: str = "", **more: Any) -> dict[str, Any]:
    function = {"name": PLANTED["toolname"], "arguments": f'{{"a": "{PLANTED["argument"]}"}}'}
    tool = {"id": "call-1", "type": "function", "function": function}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": f"{PLANTED['content']} {text}"},
        {"role": "assistant", "content": None, "tool_calls": [tool]},
        {"role": "tool", "tool_call_id": "call-1", "content": PLANTED["content"]},
    ]
    return {"model": "m", "messages": messages, "metadata": {"a": PLANTED["metadata"]}, **more}


class RawSink(OtlpSink):
    """Keeps what it was sent, byte for byte."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = b""

    def take(self, path: str, body: bytes) -> None:
        self.raw += body
        super().take(path, body)


def write_files(folder: Path, mock: MockVLLM, redis: RedisServer, log_format: str) -> None:
    (folder / "config").mkdir(parents=True)
    (folder / "policies").mkdir()
    (folder / "policies" / "raising.py").write_text(POLICY.replace("{raised}", PLANTED["raised"]))
    params = {
        "model": "hosted_vllm/m",
        "api_base": mock.base_url,
        "api_key": PLANTED["provider"],
        "extra_headers": {"x-team-secret": PLANTED["header"]},
    }
    provider = {
        "model": "anthropic/claude",
        "api_base": mock.url,
        "api_key": PLANTED["litellm"],
    }
    config: dict[str, dict[str, Any]] = {
        "litellm_config.yaml": {
            "model_list": [
                {"model_name": "m", "litellm_params": params},
                {"model_name": "other", "litellm_params": provider},
            ],
            "router_settings": {"disable_cooldowns": True},
        },
        "config/gateway.yaml": {
            "records": {"redis_url": redis.url},
            "telemetry": {"log_level": "debug", "log_format": log_format, "console": True},
            "retries": {"backoff_s": [0.01]},
        },
        "config/policies.yaml": {"policies": [{"use": "raising"}]},
        "config/teams.yaml": {
            "teams": {
                "operators": {
                    "keys": [
                        {
                            "id": "op-1",
                            "sha256": hashlib.sha256(PLANTED["ownkey"].encode()).hexdigest(),
                        }
                    ]
                }
            }
        },
    }
    for name, content in config.items():
        (folder / name).write_text(yaml.safe_dump(content))


@contextmanager
def stage(folder: Path, log_format: str) -> Iterator[tuple[ServedCommand, MockVLLM, RawSink, Any]]:
    """A gateway with a Redis that has a password, a replica that wants a key, and a collector."""
    with redis_server() as redis, MockVLLM.start(model="m") as mock, RawSink() as sink:
        write_files(folder, mock, redis, log_format)
        with served_command(folder, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint) as served:
            yield served, mock, sink, redis


SCRIPTS = (
    Behaviour(text=PLANTED["answer"]),
    Behaviour(status=400, body=f'{{"error": {{"message": "{PLANTED["rejected"]}"}}}}'),
    Behaviour(status=500, body=f"<html>{PLANTED['broken']}</html>"),
    Behaviour(status=401, body=f'{{"error": {{"message": "bad key {PLANTED["broken"]}"}}}}'),
    Behaviour(body=f"{{{PLANTED['broken']}"),
    Behaviour(text=PLANTED["answer"], error_after=2, error={"message": PLANTED["event"]}),
    Behaviour(text=PLANTED["answer"], garbage_after=1, garbage=PLANTED["answer"]),
    Behaviour(text=PLANTED["answer"], close_after=1),
    Behaviour(status=200, headers={"x-debug": PLANTED["broken"]}, body=""),
)


def ask_wrongly(http: httpx.Client) -> list[httpx.Response]:
    """What is refused before a replica hears of it."""
    bearer = headers(authorization=f"Bearer {PLANTED['bearer']}")
    cut = b'{"model": ' + PLANTED["content"].encode()
    query = PLANTED["query"]
    return [
        http.post(CHAT.path, headers=bearer, json=chat()),
        http.post(CHAT.path, headers={"x-api-key": PLANTED["apikey"]}, json=chat()),
        http.post(CHAT.path, headers=headers(), json=chat("RAISE-NOW")),
        http.post(CHAT.path, headers=headers(), json=chat("REFUSE-NOW", user=PLANTED["refused"])),
        http.post(CHAT.path, headers=headers(), content=cut),
        http.post(f"{CHAT.path}/{query}?key={query}", headers=headers()),
        http.get(f"/requests/none?key={query}", headers=headers()),
    ]


def ask_the_replica(http: httpx.Client, mock: MockVLLM) -> list[httpx.Response]:
    """Every kind of answer that a replica may give; all but the first are faults."""
    answers = []
    for number, script in enumerate(SCRIPTS):
        for stream in (False, True):
            mock.script(script)
            named = headers(**{"x-request-id": f"call-{number}-{stream}"})
            before = len(mock.requests(CHAT.path))
            answers.append(http.post(CHAT.path, headers=named, json=chat(stream=stream)))
            assert len(mock.requests(CHAT.path)) > before, script
    mock.script(Behaviour(path="/v1/messages", status=500, body=PLANTED["broken"]))
    answers.append(http.post(CHAT.path, headers=headers(), json=chat() | {"model": "other"}))
    assert answers[0].status_code == 200
    return answers[2:]


def ask_well(http: httpx.Client, mock: MockVLLM) -> None:
    """Whatever else is answered: other endpoints, questions about code, prompts."""
    mock.script(Behaviour(text=PLANTED["answer"]))
    file = {"path": "a.py", "content": f"{PLANTED['code']} = 1\n"}
    asked = {"instruction": PLANTED["instruction"], "file": file}
    inputs = {"instruction": PLANTED["variable"], "file": PLANTED["variable"]}
    bodies: list[tuple[str, dict[str, Any]]] = [
        (CHAT.path, chat()),
        (CHAT.path, chat() | {"model": NAMED["model"]}),
        ("/v1/completions", {"model": "m", "prompt": PLANTED["prompt"]}),
        ("/v1/embeddings", {"model": "m", "input": PLANTED["input"]}),
        *((f"/api/ai/{action}", asked) for action in ("explain", "explain/stream", "rewrite")),
        ("/prompts/code/explain/render", {"inputs": inputs}),
        ("/prompts/code/explain/render", {"inputs": inputs | {PLANTED["variable"]: 1}}),
    ]
    named = headers(**{"x-request-id": NAMED["id"]})
    answered = [http.post(path, headers=named, json=body).status_code for path, body in bodies]
    assert answered.count(200) >= 5, answered


def leaks(text: str, *, but: frozenset[str] = frozenset()) -> list[str]:
    """The places of the canaries that are in `text`."""
    every = {**PLANTED, **NAMED, "redis": PASSWORD}
    return [name for name, word in every.items() if word in text and name not in but]


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_no_canary_is_written_down_anywhere(tmp_path: Path, log_format: str) -> None:
    folder = tmp_path / "gateway"
    with stage(folder, log_format) as (served, mock, sink, redis):
        with httpx.Client(base_url=served.url, timeout=30) as http:
            ask_well(http, mock)
            wrong = [*ask_wrongly(http), *ask_the_replica(http, mock)]
        told = {"/metrics": httpx.get(f"{served.url}/metrics").text}
        told["/readyz"] = httpx.get(f"{served.url}/readyz").text
        for number in range(len(SCRIPTS)):
            for stream in (False, True):
                place = f"/requests/call-{number}-{stream}"
                until(partial(recorded, served, place), 10, "recorded")
                told[place] = httpx.get(served.url + place, headers=headers()).text
        told["admin"] = httpx.get(f"{served.url}/admin/replicas", headers=headers()).text
        sink.wait(2 * len(SCRIPTS))
        kept = redis.client()
        keys = [bytes(key) for key in kept.scan_iter("*")]
        assert keys
        told["redis"] = repr(
            [(key, kept.dump(key)) for key in keys if NAMED["id"].encode() not in key]
        )
    told["log"] = served.printed
    told["spans"] = sink.raw.decode("latin-1")
    checked = subprocess.run(
        [sys.executable, "-m", "gateway", "check"], cwd=folder, capture_output=True, text=True
    )
    told["gateway check"] = checked.stdout + checked.stderr
    assert {place: names for place, text in told.items() if (names := leaks(text))} == {}
    # A client reads what it sent, what a model said before it broke off, and why a replica refused
    # the request; no more.
    own = frozenset({"content", "answer", "query", "toolname", "rejected"})
    assert [each.text for each in wrong if leaks(each.text, but=own)] == []
    assert "request.end" in told["log"]


def recorded(served: ServedCommand, place: str) -> bool:
    return httpx.get(served.url + place, headers=headers()).status_code == 200


def test_no_repr_shows_one() -> None:
    settings = Settings(
        upstream={"api_key": PLANTED["upstream"]},  # type: ignore[arg-type]
        records={"redis_url": f"redis://:{PASSWORD}@localhost:6379/0"},  # type: ignore[arg-type]
    )
    assert leaks(repr(settings) + str(settings)) == []
    call = Call("c", CHAT, "m", chat(), 0.0, 60.0, credential=PLANTED["bearer"])
    assert PLANTED["bearer"] not in repr(call)
