"""Words that nobody may read again, planted wherever a secret may stand, are nowhere where
something is written down: logs, spans, metrics, records, error answers, `gateway check`, the usage
ledger, the audit log, the database of keys, the journal on disk, and what commands print of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
from tests.adapters.identity_provider import AUDIENCE, ISSUER, Provider
from tests.postgres_server import PASSWORD as POSTGRES_PASSWORD
from tests.postgres_server import PostgresServer, postgres_server
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.served_command import OURS, ServedCommand, served_command, until

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


def add_keepers(folder: Path, redis: RedisServer, login: Provider) -> None:
    """Whatever else is kept or counted: limits, the audit log, tokens of an identity provider."""
    (folder / "jwks.json").write_text(json.dumps(login.jwks))
    jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": "jwks.json"}
    said = folder / "config" / "gateway.yaml"
    more: dict[str, Any] = {
        "state": {"redis_url": redis.url, "flush_s": 0.05},
        "identity": {"failures": 0, "jwt": {**jwt, "teams": {"dev": "operators"}}},
    }
    said.write_text(yaml.safe_dump({**yaml.safe_load(said.read_text()), **more}))
    chain: list[dict[str, Any]] = [
        {"use": "audit", "with": {"fields": ["max_tokens", "metadata", "user"]}},
        {"use": "ratelimit", "with": {"rules": [{"requests": 10_000}]}},
        {"use": "budget", "with": {"rules": [{"per": "key", "tokens": 10, "hard": False}]}},
        {"use": "raising"},
    ]
    (folder / "config" / "policies.yaml").write_text(yaml.safe_dump({"policies": chain}))


@dataclass
class Stage:
    """A gateway with a Redis and a PostgreSQL that have passwords, a replica that wants a key, an
    identity provider and a collector. `secrets` are made while it runs, by the place they are for.
    """

    folder: Path
    served: ServedCommand
    mock: MockVLLM
    sink: RawSink
    redis: RedisServer
    login: Provider
    postgres: PostgresServer | None
    environ: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> str:
        """What `gateway …` prints, where the server runs."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            cwd=self.folder,
            env=clean | self.environ,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    def tables(self) -> str:
        """All that the database has, as text."""
        if self.postgres is None:
            files = sorted(self.folder.glob("state/gateway.db*"))
            return "".join(file.read_bytes().decode("latin-1") for file in files)
        asked = (f"SELECT t::text FROM {name} t" for name in ("usage", "audit", "keys", "teams"))
        found = [self.postgres.execute(one, database="canaries") for one in asked]
        assert all(found[:3])
        return repr(found)

    def journals(self) -> str:
        """What waits on disk for the database."""
        files = sorted(self.folder.glob("state/journal/*"))
        return "".join(file.read_bytes().decode("latin-1") for file in files)


@contextmanager
def stage(folder: Path, log_format: str, *, postgres: bool) -> Iterator[Stage]:
    with ExitStack() as stack:
        redis, login = stack.enter_context(redis_server()), Provider()
        server = stack.enter_context(postgres_server()) if postgres else None
        mock = stack.enter_context(MockVLLM.start(model="m"))
        sink = stack.enter_context(RawSink())
        write_files(folder, mock, redis, log_format)
        add_keepers(folder, redis, login)
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        if server is not None:
            environ["GATEWAY_STATE__DATABASE_URL"] = server.fresh("canaries")
        served = stack.enter_context(served_command(folder, **environ))
        yield Stage(folder, served, mock, sink, redis, login, server, environ)


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


def ask_with_other_keys(stage: Stage, http: httpx.Client) -> list[httpx.Response]:
    """Keys that the gateway makes and tokens of the provider, good ones and others."""
    made = json.loads(stage.command("keys", "create", "--team", "ide", "--id", "made", "--json"))
    stage.secrets["made"] = made["key"]
    asked = {"authorization": f"Bearer {made['key']}"}
    until(lambda: http.get("/v1/models", headers=asked).status_code == 200, 10, "known")
    answers = [http.post(CHAT.path, headers=headers(**asked), json=chat())]
    turned = json.loads(stage.command("keys", "rotate", "made", "--overlap", "0s", "--json"))
    stage.secrets["turned"] = turned["key"]
    posted = http.post("/admin/keys", headers=headers(), json={"team": "ide", "id": "posted"})
    stage.secrets["posted"] = posted.json()["key"]
    http.post("/admin/keys", headers=headers(), json={"team": "ide", "id": stage.secrets["posted"]})
    http.delete(f"/admin/keys/{stage.secrets['posted']}", headers=headers())
    until(lambda: http.get("/v1/models", headers=asked).status_code == 401, 10, "over")
    tokens = {
        "good": stage.login.sign("RS256"),
        "late": stage.login.sign("ES256", exp=1),
        "strange": stage.login.sign("RS256", kid="nobody"),
        "lost": stage.login.sign("EdDSA", groups=["nowhere"]),
    }
    tokens["forged"] = tokens["good"][:-20] + "A" * 20
    for name, token in tokens.items():
        # Its head is that of every token of the key; the other two parts are its own.
        for number, part in enumerate(token.split(".")):
            stage.secrets[f"{name} token, part {number}"] = part
    ours = [stage.secrets[name] for name in ("made", "turned", "posted")]
    for secret in (*ours, *tokens.values()):
        for way in ({"authorization": f"Bearer {secret}"}, {"x-api-key": secret}):
            one = {**headers(), **way}
            if "x-api-key" in way:
                one.pop("authorization")
            answers.append(http.post(CHAT.path, headers=one, json=chat()))
            answers.append(http.get("/admin/keys", headers=one))
    statuses = {answer.status_code for answer in answers}
    assert {200, 401, 403} <= statuses, statuses
    return [answer for answer in answers if answer.status_code >= 400]


def without_its_database(stage: Stage, http: httpx.Client) -> None:
    """PostgreSQL is killed: what waits for it, and what is said of it."""
    if stage.postgres is None:
        return
    stage.postgres.kill()
    asked = partial(httpx.get, f"{stage.served.url}/readyz")
    http.post(CHAT.path, headers=headers(), json=chat())
    until(lambda: asked().json()["state"]["database"] != "ok", 20, "noticed")
    http.post("/admin/keys", headers=headers(), json={"team": "ide"})
    http.get("/admin/usage", headers=headers())


def leaks(
    text: str, *, but: frozenset[str] = frozenset(), made: dict[str, str] | None = None
) -> list[str]:
    """The places of the canaries that are in `text`."""
    every = {**PLANTED, **NAMED, "redis": PASSWORD, "postgres": POSTGRES_PASSWORD}
    # Of a key its first 12 characters may be shown.
    every |= {name: word[12:] for name, word in (made or {}).items()}
    return [name for name, word in every.items() if word in text and name not in but]


def written(stage: Stage) -> dict[str, str]:
    """What is kept of the calls and the keys, where it is kept and as commands print it."""
    return {
        "tables": stage.tables(),
        "keys list": stage.command("keys", "list", "--json"),
        "audit": stage.command("audit", "export"),
        "usage": stage.command("usage", "--by", "team,key,user,model,prompt", "--format", "json"),
        "data": stage.command("data", "export"),
        "explain": stage.command("policies", "explain", "op-1", "m"),
    }


@pytest.mark.parametrize(
    ("log_format", "postgres"), [("json", True), ("pretty", False)], ids=["json", "pretty"]
)
def test_no_canary_is_written_down_anywhere(
    tmp_path: Path, log_format: str, postgres: bool
) -> None:
    with stage(tmp_path / "gateway", log_format, postgres=postgres) as on:
        served, told = on.served, {}
        with httpx.Client(base_url=served.url, timeout=30) as http:
            ask_well(http, on.mock)
            wrong = [*ask_wrongly(http), *ask_the_replica(http, on.mock)]
            wrong += ask_with_other_keys(on, http)
            told["metrics"] = httpx.get(f"{served.url}/metrics").text
            for number in range(len(SCRIPTS)):
                for stream in (False, True):
                    place = f"/requests/call-{number}-{stream}"
                    until(partial(recorded, served, place), 10, "recorded")
                    told[place] = httpx.get(served.url + place, headers=headers()).text
            for path in SHOWN:
                told[path] = http.get(path, headers=headers()).text
            on.sink.wait(2 * len(SCRIPTS))
            kept = on.redis.client()
            keys = [bytes(key) for key in kept.scan_iter("*")]
            assert keys
            told["redis"] = repr(
                [(key, kept.dump(key)) for key in keys if NAMED["id"].encode() not in key]
            )
            until(lambda: settled(served), 20, "in the database")
            told |= written(on)
            assert "key.rotate" in told["audit"]
            assert "call.completed" in told["audit"]
            assert '"made"' in told["data"]
            without_its_database(on, http)
            told["readyz without"] = httpx.get(f"{served.url}/readyz").text
            told["journals"] = on.journals()
            assert postgres == ('"uid"' in told["journals"])
        told["check"] = on.command("check")
        told["spans"] = on.sink.raw.decode("latin-1")
    told["log"], made = served.printed, on.secrets
    assert {place: names for place, text in told.items() if (names := leaks(text, made=made))} == {}
    # A client reads what it sent, what a model said before it broke off, and why a replica refused
    # the request; no more.
    own = frozenset({"content", "answer", "query", "toolname", "rejected"})
    assert [each.text for each in wrong if leaks(each.text, but=own, made=made)] == []
    assert "request.end" in told["log"]


SHOWN = ("/admin/replicas", "/admin/keys", "/admin/teams", "/admin/usage", "/usage", "/readyz")


def settled(served: ServedCommand) -> bool:
    """Whether all that was put into the ledger is in the database."""
    return httpx.get(f"{served.url}/readyz").json()["state"]["ledger"]["waiting"] == 0


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
