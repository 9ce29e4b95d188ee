"""`load`: who wins, where each value came from, and everything wrong at once."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.domain.document import ConfigError, Problem
from gateway.settings import ConfigPaths, hash_key, load
from gateway.settings.tree import Place

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def problems_of(folder: Path, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(ConfigPaths(config=folder), environ or {}, {})
    return list(caught.value.problems)


def test_the_command_line_wins_over_the_environment_over_the_file_over_defaults(
    tmp_path: Path, write: Write
) -> None:
    file = write("gateway.yaml", "server:\n  host: 127.0.0.2\n  port: 1001\n  workers: 2\n")
    environ = {"GATEWAY_SERVER__PORT": "1002", "GATEWAY_SERVER__WORKERS": "3"}

    settings = load(ConfigPaths(config=tmp_path), environ, {"server": {"workers": 4}})

    assert settings.server.host == "127.0.0.2"
    assert settings.server.port == 1002
    assert settings.server.workers == 4
    assert settings.server.shutdown_grace_s == 30
    assert settings.origin("server", "host") == Place(str(file), 2)
    assert settings.origin("server", "port") == Place("GATEWAY_SERVER__PORT")
    assert settings.origin("server", "workers") == Place("--workers")


def test_an_exposed_host_is_told_where_it_was_set(tmp_path: Path, write: Write) -> None:
    file = write("gateway.yaml", "server:\n  host: 0.0.0.0\n")

    problem = load(ConfigPaths(config=tmp_path), {}, {}).exposure_problem()

    assert problem is not None
    assert (problem.file, problem.line) == (str(file), 2)


def test_teams_policies_and_paths_are_part_of_the_tree(tmp_path: Path, write: Write) -> None:
    write("teams.yaml", f'teams: {{ide: {{keys: [{{id: a, sha256: "{hash_key("sk-a")}"}}]}}}}')
    write("policies.yaml", "policies:\n  - use: allowlist\n")

    settings = load(ConfigPaths(config=tmp_path), {"GATEWAY_API_KEYS": "sk-a,sk-b"}, {})

    assert [(team.name, len(team.keys)) for team in settings.teams] == [("ide", 1), ("default", 1)]
    assert [entry.use for entry in settings.policies] == ["allowlist"]
    assert settings.paths.config_dir == tmp_path
    assert "sk-b" not in repr(settings)


def test_the_upstream_comes_from_the_environment_alone(tmp_path: Path, write: Write) -> None:
    write("gateway.yaml", "")
    environ = {"VLLM_BASE_URL": "http://gpu:8000/v1", "VLLM_API_KEY": "sk-up"}

    settings = load(ConfigPaths(config=tmp_path), environ, {})

    assert settings.upstream.url == "http://gpu:8000/v1"
    assert "sk-up" not in repr(settings)


def test_lists_and_mappings_of_the_environment_are_read(tmp_path: Path, write: Write) -> None:
    write("gateway.yaml", "")
    write("tokenizer.json", "{}")
    environ = {
        "GATEWAY_RETRIES__BACKOFF_S": "0.5,1",
        "GATEWAY_ASSIST__TOKENIZERS": '{"m": "tokenizer.json"}',
        "GATEWAY_TELEMETRY__CONSOLE": "true",
    }

    settings = load(ConfigPaths(config=tmp_path), environ, {})

    assert settings.retries.backoff_s == (0.5, 1.0)
    assert settings.assist.tokenizers == {"m": tmp_path / "tokenizer.json"}
    assert settings.telemetry.console is True
    assert settings.origin("telemetry", "console") == Place("GATEWAY_TELEMETRY__CONSOLE")


def test_a_tokenizer_file_that_is_missing_is_told_with_its_line(
    tmp_path: Path, write: Write
) -> None:
    write("gateway.yaml", "assist:\n  tokenizers: {qwen: nowhere/tokenizer.json}\n")

    [problem] = problems_of(tmp_path)

    assert problem.line == 2
    assert "nowhere/tokenizer.json for model 'qwen'" in problem.message


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path, write: Write) -> None:
    write("gateway.yaml", "server:\n  prot: 1\n  workers: 0\nqueue: 3\nserevr: {}\nteams: {}\n")
    write("teams.yaml", "teams: [\n")
    write("policies.yaml", "policies:\n  - use: a\n    when: {model: x}\n")
    environ = {
        "GATEWAY_SERVER__PORT": "http",
        "GATEWAY_RETRIES__LIMIT": "4",
        "GATEWAY_NONSENSE": "1",
        "GATEWAY_API_KEYS": ",",
        "VLLM_BASE_URL": "gpu:8000",
    }

    problems = problems_of(tmp_path, environ)

    assert sorted((Path(one.file).name, one.line) for one in problems) == [
        ("GATEWAY_API_KEYS", 0),
        ("GATEWAY_API_KEYS", 0),
        ("GATEWAY_NONSENSE", 0),
        ("GATEWAY_RETRIES__LIMIT", 0),
        ("GATEWAY_SERVER__PORT", 0),
        ("VLLM_BASE_URL", 0),
        ("gateway.yaml", 2),
        ("gateway.yaml", 3),
        ("gateway.yaml", 4),
        ("gateway.yaml", 5),
        ("gateway.yaml", 6),
        ("policies.yaml", 3),
        ("teams.yaml", 2),
    ]
    assert all(problem.fix for problem in problems)


def test_a_value_out_of_range_says_what_the_setting_is(tmp_path: Path, write: Write) -> None:
    write("gateway.yaml", "retries:\n  limit: 9\n")

    [problem] = problems_of(tmp_path)

    assert problem.message == "retries.limit: input should be less than or equal to 3"
    assert problem.fix == "limit is: attempts on top of the first, 0 to 3; default 3"


def test_a_base_url_without_its_path_is_refused_with_the_whole_line(
    tmp_path: Path, write: Write
) -> None:
    write("gateway.yaml", "")

    [problem] = problems_of(tmp_path, {"VLLM_BASE_URL": "http://gpu:8000"})

    assert problem.file == "VLLM_BASE_URL"
    assert "http://gpu:8000/v1" in problem.message


def test_an_override_that_no_setting_is_called_like_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"server\.prot"):
        load(ConfigPaths(), {}, {"server": {"prot": 1}})


def test_settings_travel_to_worker_processes_whole(tmp_path: Path, write: Write) -> None:
    write("gateway.yaml", "server: {port: 1}\n")
    environ = {"GATEWAY_API_KEYS": "sk-a", "VLLM_API_KEY": "sk-up"}
    settings = load(ConfigPaths(config=tmp_path), environ, {})

    copy = pickle.loads(pickle.dumps(settings))

    assert copy == settings
    assert copy.origin("server", "port").line == 1


def test_a_wrong_value_inside_a_list_or_mapping_is_told_once(tmp_path: Path, write: Write) -> None:
    jwt = "issuer: i, audience: a, jwks: keys.json"
    write("gateway.yaml", f"identity:\n  jwt: {{{jwt}, algorithms: [HS256], teams: {{a: ide}}}}\n")
    (one,) = problems_of(tmp_path)
    assert "identity.jwt.algorithms.0: input should be 'RS256'" in one.message

    write("gateway.yaml", f"identity:\n  jwt: {{{jwt}, algorithms: [], teams: {{}}}}\n")
    assert len(problems_of(tmp_path)) == 2
