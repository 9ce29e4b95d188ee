"""What a call would meet is found out without a call, and nothing is taken for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.adapters.database import Database
from gateway.adapters.key_store import KeyStore
from gateway.domain.document import ConfigError
from gateway.domain.keyring import KeysUnknown
from gateway.rehearsal import Explained, Question, rehearse
from gateway.settings import KeyHash, Paths, PolicyEntry, Settings, Team, hash_key
from gateway.settings.policies import When
from gateway.settings.state import State
from gateway.settings.teams import Lifetime

SHIPPED = Path(__file__).parents[1] / "policies"
MODELS = """
model_list:
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: http://127.0.0.1:9/v1}
"""
LOOKS = {"looks after the answer", "looks during the answer"}
KEYS = (KeyHash(id="ide-1", sha256=hash_key("sk-secret")),)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "litellm_config.yaml"
    file.write_text(MODELS)
    chain = [
        PolicyEntry(use="audit"),
        PolicyEntry(use="schema", settings={"max_tokens": 100}),
        PolicyEntry(use="allowlist", settings={"models": []}, when=When(teams=("ops",))),
        PolicyEntry(use="ratelimit", settings={"rules": [{"requests": 1}]}),
        PolicyEntry(use="guard_output", settings={"patterns": {"x": "x"}}),
    ]
    paths = Paths(litellm_config=file, litellm_config_given=True, policies_dir=SHIPPED)
    return Settings(paths=paths, policies=tuple(chain), teams=(Team(name="ide", keys=KEYS),))


def verdicts(found: Explained) -> dict[str, str]:
    return {step.policy: step.verdict or step.says for step in found.steps}


@pytest.mark.parametrize("key", ["ide-1", "sk-secret"])
async def test_each_policy_says_what_it_would(settings: Settings, key: str) -> None:
    for _ in range(2):
        found = await rehearse(settings, Question(key, "m"))
        assert found.refused == 0
    assert (found.caller.team, found.caller.key_id) == ("ide", "ide-1")
    assert verdicts(found) == {
        "audit": "looks after the answer",
        "schema": "allowed",
        "allowlist": "not for this call (when)",
        "ratelimit": "allowed",
        "guard_output": "looks during the answer",
    }
    assert found.edited == ("max_tokens",)
    assert found.headers["x-ratelimit-limit-requests"] == "1"
    assert "cannot be seen from here" in found.remarks[0]
    assert "sk-secret" not in "\n".join(found.lines())


async def test_a_policy_for_a_model_is_met_by_its_alias_too(settings: Settings) -> None:
    settings.paths.litellm_config.write_text(
        f"{MODELS}router_settings: {{model_group_alias: {{fast: m}}}}\n"
    )
    own = PolicyEntry(use="allowlist", settings={"models": []}, when=When(models=("m",)))
    chained = settings.model_copy(update={"policies": (own,)})
    for model in ("m", "fast"):
        assert (await rehearse(chained, Question("ide-1", model))).refused == 403


async def test_a_refusal_says_so_and_who_was_not_reached(settings: Settings) -> None:
    found = await rehearse(settings, Question("ide-1", "m", team="ops"))
    assert (found.refused, found.shown()["team"]) == (403, "ops")
    assert verdicts(found)["allowlist"] == "refused"
    assert verdicts(found)["ratelimit"] == "not reached"
    assert found.lines()[-1].startswith("refused with 403: The model 'm' is not allowed")


async def test_the_body_is_the_clients_own(settings: Settings) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 500}
    found = await rehearse(settings, Question("ide-1", "m", body=body))
    assert (found.refused, verdicts(found)["schema"]) == (400, "refused")


async def test_keys_of_the_database_are_known_with_their_scope(
    settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"state": State(folder=tmp_path)})
    database = await Database.open(settings.state.url or "")
    store = KeyStore(database, settings.teams, time.time)
    scope = Lifetime(models=("other",), routes=("/v1/*",))
    try:
        _, narrow = await store.create("me", "ide", scope, key_id="narrow")
        key, _ = await store.create("me", "ide", Lifetime(), key_id="ended")
        await store.revoke("me", "ended")
    finally:
        await database.aclose()
    found = await rehearse(settings, Question(narrow.id, "m"))
    assert (found.refused, found.caller.key_id) == (403, "narrow")
    assert "not good for that model" in found.says
    assert set(verdicts(found).values()) <= {"not reached", "not for this call (when)"} | LOOKS
    found = await rehearse(settings, Question(narrow.id, "m", route="/api/ai/explain"))
    assert (found.refused, "not good for /api/ai/explain" in found.says) == (403, True)
    found = await rehearse(settings, Question(key, "m"))
    assert (found.refused, "was revoked" in found.says) == (401, True)


async def test_a_database_that_does_not_answer_leaves_the_keys_of_the_files(
    settings: Settings, tmp_path: Path
) -> None:
    state = State(database_url=SecretStr(f"postgresql://u@/db?host={tmp_path}"))
    settings = settings.model_copy(update={"state": state})
    found = await rehearse(settings, Question("ide-1", "m"))
    assert found.refused == 0
    assert "only keys of the files" in found.remarks[0]
    with pytest.raises(KeysUnknown):
        await rehearse(settings, Question("ide-2", "m"))


async def test_a_database_that_is_not_there_is_not_made(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"state": State(folder=tmp_path / "state")})
    assert (await rehearse(settings, Question("ide-1", "m"))).refused == 0
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (Question("sk-unknown", "m"), "take the id of one: ide-1"),
        (Question("ide-1", "mm"), "did you mean 'm'?"),
    ],
)
async def test_a_key_or_model_that_there_is_not_is_a_mistake(
    settings: Settings, question: Question, says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        await rehearse(settings, question)
    assert says in str(refused.value)
    assert "sk-unknown" not in str(refused.value), "it may be a key"
