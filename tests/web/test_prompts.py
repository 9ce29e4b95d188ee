"""GET /prompts and POST /prompts/{name}/render, and prompts that change under a running gateway."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.settings import ConfigPaths, KeyHash, Settings, Team, hash_key, load
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.web.clients import metric

SHIPPED = Path(__file__).parents[2] / "prompts"
FILE = {"path": "a.py", "language": "python", "before": "", "selected": "print(1)\n", "after": ""}
KEYS = {"ops": "sk-gw-ops", "ide": "sk-gw-ide"}


@pytest.fixture
def mock(mock_vllm_factory: MockFleet) -> MockVLLM:
    return mock_vllm_factory(model="m")


@pytest.fixture
def gateway(mock: MockVLLM) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([mock.base_url])) as served:
        yield served


def render(gateway: ServedGateway, name: str, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {body.pop('key')}"} if "key" in body else {}
    return httpx.post(f"{gateway.url}/prompts/{name}/render", json=body, headers=headers)


def test_all_prompts_are_listed_with_what_they_take(gateway: ServedGateway) -> None:
    answer = httpx.get(f"{gateway.url}/prompts").json()

    rows = {row["name"]: row for row in answer["data"]}
    explain = rows["code/explain"]
    assert explain["served"] == explain["working"]
    assert explain["versions"] == [explain["working"]]
    assert (explain["labels"], explain["variants"]) == ({}, [])
    assert explain["inputs"]["file"]["fields"][:2] == ["path", "language"]
    assert rows["code/rewrite"]["kind"] == "rewrite"


def test_a_render_shows_messages_tokens_and_prefix_and_asks_no_model(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    inputs = {"file": FILE, "instruction": "Why?"}
    answer = render(gateway, "code/explain", inputs=inputs).json()
    other = render(gateway, "code/explain", inputs=inputs | {"instruction": "How?"}).json()

    assert [message["role"] for message in answer["messages"]] == ["system", "user"]
    assert "Why?" in answer["messages"][1]["content"]
    assert answer["tokens"]["messages"] == sum(m["tokens"] for m in answer["messages"]) > 0
    assert answer["tokens"]["inputs"]["instruction"] > 0
    assert (answer["exact"], answer["lint"], answer["model"]) == (True, [], "m")
    assert answer["prefix"] == other["prefix"]
    assert answer["prefix"]["until"] == "instruction"
    assert mock.requests("/v1/chat/completions") == []


@pytest.mark.parametrize(
    ("name", "body", "status", "code"),
    [
        ("code/explain", {"inputs": {}}, 422, "invalid_prompt_input"),
        ("code/explain", {"inputs": {"file": FILE}, "version": "9.9.9"}, 422, "unknown_prompt"),
        ("code/explain", {"inputs": {"file": FILE}, "variant": "x"}, 422, "unknown_prompt"),
        ("code/explain", {"input": {}}, 422, "invalid_body"),
        ("code/nothing", {}, 404, "prompt_not_found"),
        ("..%2f..%2fetc%2fpasswd", {}, 404, "prompt_not_found"),
        ("../code/explain.prompt.j2", {}, 404, None),
        ("code/explain%00", {}, 404, "prompt_not_found"),
        ("code/explain@1.0.0", {}, 404, "prompt_not_found"),
    ],
)
def test_what_does_not_fit_is_refused(
    gateway: ServedGateway, name: str, body: dict[str, Any], status: int, code: str | None
) -> None:
    answer = render(gateway, name, **body)

    assert answer.status_code == status
    assert code in (None, answer.json()["error"]["code"])
    assert "root:" not in answer.text


def test_with_keys_anybody_known_may_list_and_only_operators_render(mock: MockVLLM) -> None:
    teams = tuple(
        Team(name=name, keys=(KeyHash(id=f"{name}-1", sha256=hash_key(key)),))
        for name, key in KEYS.items()
    )
    settings = Settings(teams=teams)
    admin = settings.server.model_copy(update={"admin_team": "ops"})
    settings = settings.model_copy(update={"server": admin})
    inputs = {"file": FILE}
    with ServedGateway(fleet_on([mock.base_url]), settings) as gateway:
        known = {"authorization": f"Bearer {KEYS['ide']}"}
        assert httpx.get(f"{gateway.url}/prompts").status_code == 401
        assert httpx.get(f"{gateway.url}/prompts", headers=known).status_code == 200
        assert render(gateway, "code/explain", inputs=inputs).status_code == 401
        for name, status in (("ide", 403), ("ops", 200)):
            answer = render(gateway, "code/explain", inputs=inputs, key=KEYS[name])
            assert answer.status_code == status
        # Who may not render learns nothing about which names there are.
        assert render(gateway, "code/nothing", key=KEYS["ide"]).status_code == 403


def test_an_author_has_no_tokens_counted_by_a_model_that_the_key_is_not_for(
    mock: MockVLLM,
) -> None:
    key = KeyHash(id="ide-1", sha256=hash_key("sk-gw-ide"), roles=("author",), models=("other",))
    settings = Settings(teams=(Team(name="ide", keys=(key,)),))
    with ServedGateway(fleet_on([mock.base_url]), settings) as gateway:
        asked = len(mock.requests("/tokenize"))
        for model in ("m", "nowhere"):
            answer = render(
                gateway, "code/explain", inputs={"file": FILE}, model=model, key="sk-gw-ide"
            )
            assert answer.json()["error"]["code"] == "model_not_permitted"
        shown = render(gateway, "code/explain", inputs={"file": FILE}, key="sk-gw-ide").json()
        assert (shown["model"], shown["exact"]) == ("", False)
        assert len(mock.requests("/tokenize")) == asked


def eventually(gateway: ServedGateway, sha: str, ok: bool) -> dict[str, Any]:
    """The prompts' part of /readyz once it is another set, or broken."""
    for _ in range(1000):
        state: dict[str, Any] = httpx.get(f"{gateway.url}/readyz").json()
        if (state["prompts"]["sha"], state["prompts"]["ok"]) != (sha, ok):
            return state
        time.sleep(0.01)
    raise AssertionError("nothing was reloaded")


def test_an_edit_is_served_at_once_and_a_broken_one_never(mock: MockVLLM, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    shutil.copytree(SHIPPED, folder)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gateway.yaml").write_text(
        "reload: {poll_s: 0.02}\nhealth: {probe: false}\n", "utf-8"
    )
    (tmp_path / "litellm_config.yaml").write_text(
        "model_list:\n  - model_name: m\n    litellm_params: "
        f"{{model: hosted_vllm/m, api_base: '{mock.base_url}'}}\n",
        "utf-8",
    )

    def again() -> Settings:
        paths = ConfigPaths(tmp_path / "config", tmp_path / "litellm_config.yaml", folder)
        return load(paths, {}, {})

    fleet = fleet_on([mock.base_url])
    file = folder / "code" / "explain.prompt.j2"
    text = file.read_text("utf-8")
    with ServedGateway(replace(fleet), again(), again) as gateway:
        first = httpx.get(f"{gateway.url}/readyz").json()["prompts"]
        assert (first["ok"], first["count"]) == (True, 9)
        file.write_text(text.replace("You explain", "You teach"), "utf-8")
        second = eventually(gateway, first["sha"], True)["prompts"]
        body = {"file": {"path": "a.py", "content": "print(1)\n"}}
        answer = httpx.post(f"{gateway.url}/api/ai/explain", json=body).json()
        assert answer["prompt"]["sha"] == served_sha(gateway)
        assert metric(gateway, "gw_prompts_info", sha=second["sha"]) == 1
        assert metric(gateway, "gw_prompts_info", sha=first["sha"]) == 0
        failed = metric(gateway, "gw_config_reload_total", result="failed")

        file.write_text(text.replace("{% enduser %}", ""), "utf-8")
        state = eventually(gateway, second["sha"], True)

        assert (state["prompts"]["ok"], state["prompts"]["sha"]) == (False, second["sha"])
        assert state["ready"]
        assert "E103" in state["config"]["problems"][0]
        assert metric(gateway, "gw_config_reload_total", result="failed") > failed
        assert answer["prompt"]["sha"] == served_sha(gateway)


def served_sha(gateway: ServedGateway) -> str:
    rows = httpx.get(f"{gateway.url}/prompts").json()["data"]
    [sha] = [row["served"]["sha"] for row in rows if row["name"] == "code/explain"]
    return str(sha)
