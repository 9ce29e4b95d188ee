"""What a call would meet is found out without a call, and nothing is taken for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.domain.document import ConfigError
from gateway.rehearsal import Explained, Question, rehearse
from gateway.settings import KeyHash, Paths, PolicyEntry, Settings, Team, hash_key
from gateway.settings.policies import When

SHIPPED = Path(__file__).parents[1] / "policies"
MODELS = """
model_list:
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: http://127.0.0.1:9/v1}
"""
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
