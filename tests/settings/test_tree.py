"""The tree: defaults, ranges, what may be seen of secrets, and who may be reached from outside."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.settings.tree import SECTIONS, Place, Server, Upstream


def test_settings_alone_are_the_defaults_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVER", '{"port": 9}')
    monkeypatch.setenv("GATEWAY_SERVER__PORT", "9")

    settings = Settings()

    assert settings.server.port == 8000
    assert settings.timeouts.stream_total_s == 600
    assert settings.retries.backoff_s == (1, 2, 3)
    assert settings.keys_configured is False


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().server.port = 1


def test_every_setting_says_what_it_is() -> None:
    silent = [
        f"{section}.{name}"
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
        if not field.description
    ]

    assert silent == []


def test_the_upstream_key_is_hidden_in_the_repr() -> None:
    settings = Settings(upstream=Upstream.model_validate({"api_key": "sk-very-secret"}))

    assert "sk-very-secret" not in repr(settings)
    assert settings.upstream.api_key is not None
    assert settings.upstream.api_key.get_secret_value() == "sk-very-secret"


def test_the_hashes_of_keys_are_hidden_in_the_repr() -> None:
    digest = hash_key("sk-a")
    settings = Settings(teams=(Team(name="ide", keys=(KeyHash(id="ide-1", sha256=digest),)),))

    assert settings.keys_configured is True
    assert digest not in repr(settings)


@pytest.mark.parametrize(
    ("base_url", "api_key", "configured", "url"),
    [
        (None, None, False, "http://localhost:8001/v1"),
        (None, "sk-a", True, "http://localhost:8001/v1"),
        ("http://gpu:8000/v1/", None, True, "http://gpu:8000/v1"),
    ],
)
def test_an_upstream_is_configured_by_its_address_or_its_key(
    base_url: str | None, api_key: str | None, configured: bool, url: str
) -> None:
    upstream = Upstream.model_validate({"base_url": base_url, "api_key": api_key})

    assert (upstream.configured, upstream.url) == (configured, url)


def test_serving_to_others_without_keys_is_a_problem_with_its_fix() -> None:
    problem = Settings(server=Server(host="0.0.0.0")).exposure_problem()

    assert problem is not None
    assert "no keys are configured" in problem.message
    assert "gateway keys create --team NAME" in problem.fix
    assert "teams.yaml" in problem.fix
    assert "--host 127.0.0.1" in problem.fix


def test_serving_to_others_with_keys_is_fine() -> None:
    team = Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-a")),))

    assert Settings(server=Server(host="0.0.0.0"), teams=(team,)).exposure_problem() is None


def test_a_team_without_keys_opens_no_door() -> None:
    settings = Settings(server=Server(host="0.0.0.0"), teams=(Team(name="ide"),))

    assert settings.exposure_problem() is not None


def test_a_default_comes_from_its_own_name() -> None:
    assert Settings().origin("server", "port") == Place("server.port")


def test_more_files_may_be_denied_to_models_and_secrets_refused() -> None:
    assist = Settings(assist={"denied_paths": ("*.sql", "!.npmrc"), "secrets": "refuse"}).assist  # type: ignore[arg-type]
    assert (assist.denied_paths, assist.secrets) == (("*.sql", "!.npmrc"), "refuse")
    assert (Settings().assist.denied_paths, Settings().assist.secrets) == ((), "redact")
    with pytest.raises(ValidationError, match="'redact', 'refuse' or 'allow'"):
        Settings(assist={"secrets": "hide"})  # type: ignore[arg-type]


def test_metrics_that_other_machines_may_read_without_a_key_are_told() -> None:
    def told(**server: object) -> list[str]:
        return Settings(server=Server.model_validate(server)).open_pages()

    [line] = told(host="0.0.0.0")
    assert "server.metrics_need_key: true" in line
    assert told(host="0.0.0.0", metrics_need_key=True) == []
    assert told() == []
