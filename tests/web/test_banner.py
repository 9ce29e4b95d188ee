"""The banner: where, with which models, and lines that can be typed as they are."""

from __future__ import annotations

import json
import shlex

from pydantic import SecretStr

from gateway.adapters.litellm_config import LiteLLMConfig
from gateway.bootstrap import Fleet
from gateway.settings import KeyHash, Settings, Team
from gateway.web.banner import banner

URL = "http://127.0.0.1:8000"
READY: dict[str, object] = {"ready": True, "reason": "", "models": {"m": {}, "n": {}}}


def curls(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  curl ")]


def test_it_shows_lines_for_chat_and_explain_that_a_shell_understands() -> None:
    chat, explain = curls(banner(Settings(), Fleet("embedded"), URL, READY))
    assert (chat[2], explain[2]) == (f"{URL}/v1/chat/completions", f"{URL}/api/ai/explain")
    body = json.loads(chat[chat.index("-d") + 1])
    assert (body["model"], body["stream"]) == ("m", True)
    assert json.loads(explain[explain.index("-d") + 1])["file"]["content"].startswith("def mean")


def test_it_says_that_no_key_is_needed_or_how_to_send_one() -> None:
    team = Team(name="ide", keys=(KeyHash(id="k", sha256="0" * 64),))
    open_, closed = (
        banner(settings, Fleet("embedded"), URL, READY)
        for settings in (Settings(), Settings(teams=(team,)))
    )
    assert "every call is let in" in open_
    assert "Authorization: Bearer <key>" in closed
    assert "Authorization: Bearer <key>" in curls(closed)[0]


def test_it_says_where_the_models_come_from_and_why_it_is_not_ready() -> None:
    state: dict[str, object] = {"ready": False, "reason": "no answer from x", "models": {}}
    text = banner(Settings(), Fleet("upstream", None, "http://x/v1"), URL, state)
    assert "Not ready yet: no answer from x" in text
    assert "MODEL" in text
    ready = banner(Settings(), Fleet("upstream", None, "http://x/v1"), URL, READY)
    assert "Models: m, n   (http://x/v1)" in ready


def test_a_file_that_wins_over_the_environment_is_said_so() -> None:
    settings = Settings(upstream={"api_key": SecretStr("sk-up")})  # type: ignore[arg-type]
    fleet = Fleet("file", LiteLLMConfig(file="litellm_config.yaml"))
    text = banner(settings, fleet, URL, READY)
    assert "names the models" in text
    assert "sk-up" not in text
