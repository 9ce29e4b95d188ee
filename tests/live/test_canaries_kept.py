"""Canaries once more, in what is kept: ledger, audit log, journals, counters; and those that keys,
tokens and database URLs would be."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.domain.endpoints import CHAT
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from tests.adapters.identity_provider import AUDIENCE, ISSUER, Provider, provider
from tests.live.test_canaries import NAMED, PLANTED, RawSink, chat, headers, leaks, write_files
from tests.redis_server import RedisServer, redis_server
from tests.served_command import served_command, until

pytestmark = pytest.mark.live

COUNTED = [
    {"use": "audit", "with": {"outcomes": ["completed", "refused", "failed"]}},
    {"use": "ratelimit", "with": {"rules": [{"per": ["key", "model"], "requests": 1000}]}},
    {"use": "budget", "with": {"rules": [{"per": "team", "tokens": 1_000_000}]}},
    {"use": "raising"},
]


def command(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words], cwd=folder, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def prepare(folder: Path, mock: MockVLLM, redis: RedisServer, login: Provider) -> None:
    """As for the other canaries; calls are counted in Redis, kept in SQLite, and tokens good."""
    write_files(folder, mock, redis, "json")
    (folder / "jwks.json").write_text(json.dumps(login.jwks))
    said = folder / "config" / "gateway.yaml"
    jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": str(folder / "jwks.json")}
    more: dict[str, Any] = {
        "state": {"redis_url": redis.url},
        "identity": {"jwt": {**jwt, "teams": {"dev": "ide"}}},
    }
    said.write_text(yaml.safe_dump({**yaml.safe_load(said.read_text()), **more}))
    (folder / "config" / "policies.yaml").write_text(yaml.safe_dump({"policies": COUNTED}))


def kept_by(folder: Path) -> str:
    """Every byte under state/."""
    files = [path for path in (folder / "state").rglob("*") if path.is_file()]
    assert any(path.name == "gateway.db" for path in files)
    return "".join(path.read_bytes().decode("latin-1") for path in files)


def test_no_canary_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    with (
        redis_server() as redis,
        MockVLLM.start(model="m") as mock,
        RawSink() as sink,
        provider() as login,
    ):
        prepare(folder, mock, redis, login)
        secret = {
            "good": login.sign(sub="ada", groups=["dev"]),
            "old": login.sign(sub="bob", exp=1),
            "foreign": login.sign(sub="eve", iss="https://evil.example.com"),
        }
        with served_command(folder, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint) as served:
            made = json.loads(
                command(folder, "keys", "create", "--team", "ide", "--id", "ide-1", "--json")
            )
            secret["made"] = made["key"]
            mock.script(Behaviour(text=PLANTED["answer"]))
            with httpx.Client(base_url=served.url, timeout=30) as http:
                ask = partial(http.post, CHAT.path)
                until(lambda: ask(headers=bearer(secret["made"]), json=chat()).is_success, 20, "in")
                named = headers(**{"x-request-id": NAMED["id"]})
                codes = [
                    ask(headers=headers(), json=chat()).status_code,
                    ask(headers=bearer(secret["good"]), json=chat()).status_code,
                    ask(headers=bearer(secret["old"]), json=chat()).status_code,
                    ask(headers=bearer(secret["foreign"]), json=chat()).status_code,
                    ask(headers=named, json=chat() | {"model": NAMED["model"]}).status_code,
                    ask(headers=headers(), json=chat("RAISE-NOW")).status_code,
                    ask(headers=headers(), json=chat(user=PLANTED["refused"])).status_code,
                ]
                rotated = http.post("/admin/keys/ide-1/rotate", headers=headers(), json={})
                secret["rotated"] = rotated.json()["key"]
                shown = [
                    http.get(path, headers=headers()).text
                    for path in ("/admin/keys", "/admin/teams", "/admin/usage", "/readyz")
                ]
            assert codes == [200, 200, 401, 401, 404, 503, 200]
            until(lambda: "refused" in command(folder, "usage", "--by", "outcome"), 20, "entered")
            told = {"log": served.printed, "shown": "".join(shown)}
            rows = redis.client()
            told["redis"] = repr([(key, rows.dump(key)) for key in rows.scan_iter("*")])
        told["state"] = kept_by(folder)
        told["log at the end"] = served.printed
        told["spans"] = sink.raw.decode("latin-1")
    for words in (
        ("audit", "list"),
        ("audit", "export"),
        ("usage", "--by", "model,key"),
        ("check",),
    ):
        told[" ".join(words)] = command(folder, *words)
    parts = {f"{name} {n}": part for name, word in secret.items() for n, part in split(word)}
    found = {
        place: [*leaks(text), *(name for name, part in parts.items() if part in text)]
        for place, text in told.items()
    }
    assert {place: names for place, names in found.items() if names} == {}


def bearer(key: str) -> dict[str, str]:
    return headers(authorization=f"Bearer {key}")


def split(word: str) -> list[tuple[int, str]]:
    """What of a secret must not be seen, even alone: the payload and the signature of a token, all
    of a key but the prefix by which it is known."""
    parts = word.split(".")
    return list(enumerate(parts[1:])) if len(parts) == 3 else [(0, word[16:])]


def test_a_database_url_with_a_password_is_shown_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    url = f"postgresql://ada:{PLANTED['provider']}@127.0.0.1:1/gateway"
    with redis_server() as redis, MockVLLM.start(model="m") as mock:
        write_files(folder, mock, redis, "pretty")
        said = folder / "config" / "gateway.yaml"
        more = {"state": {"database_url": url}}
        said.write_text(yaml.safe_dump({**yaml.safe_load(said.read_text()), **more}))
        with served_command(folder) as served:
            assert httpx.post(
                f"{served.url}{CHAT.path}", headers=headers(), json=chat(), timeout=30
            ).is_success
            until(lambda: "unavailable" in served.printed, 20, "missed")
            told = [httpx.get(f"{served.url}/readyz").text]
            told += [
                httpx.get(served.url + path, headers=headers()).text
                for path in ("/admin/keys", "/admin/usage")
            ]
            told += [
                command(folder, *words) for words in (("keys", "list"), ("usage",), ("check",))
            ]
        told.append(served.printed)
    assert [text for text in told if leaks(text)] == []
