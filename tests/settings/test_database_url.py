"""The URL of a database: which are taken, and that no word about one shows its password."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gateway.domain.document import ConfigError
from gateway.settings import ConfigPaths, Settings, load
from gateway.settings.database_url import is_sqlite, shown

NAME = "GATEWAY_STATE__DATABASE_URL"
SECRET = "hunter2"


def settings_of(folder: Path, url: str) -> Settings:
    (folder / "gateway.yaml").touch()
    return load(ConfigPaths(config=folder), {NAME: url}, {})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://gw:{SECRET}@db/gateway", "postgresql://db:5432/gateway"),
        (f"postgres://gw:{SECRET}@db:6000/gateway", "postgresql://db:6000/gateway"),
        (f" postgresql://gw:{SECRET}@[::1]/gw?sslmode=require ", "postgresql://[::1]:5432/gw"),
        (f"postgresql://gw:{SECRET}@/gw?host=/run/pg", "postgresql:///run/pg:5432/gw"),
        ("sqlite:///gateway.db", "sqlite:///gateway.db"),
        ("sqlite:////var/lib/gateway.db", "sqlite:////var/lib/gateway.db"),
    ],
)
def test_one_that_is_taken_is_shown_without_its_password(
    tmp_path: Path, url: str, said: str
) -> None:
    settings = settings_of(tmp_path, url)
    value = settings.state.database_url
    assert value is not None
    assert shown(value) == said
    assert is_sqlite(value) is said.startswith("sqlite")
    for text in (repr(settings), str(settings.state), str(settings.model_dump())):
        assert SECRET not in text
    assert SECRET not in settings.model_dump_json()
    assert pickle.loads(pickle.dumps(settings)).state == settings.state


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://gw:{SECRET}@db/gateway",
        f"postgresql://gw:{SECRET}@db",
        f"postgresql://gw:{SECRET}@db/",
        f"postgresql://gw:{SECRET}@/gateway",
        f"postgresql://gw:{SECRET}@db:0/gateway",
        f"postgresql://gw:{SECRET}@db:port/gateway",
        f"postgresql://gw:12/{SECRET}@db/gateway",
        f"postgresql://gw:12#{SECRET}@db/gateway",
        f"postgresql://db/gateway#{SECRET}",
        f"postgresql://gw:{SECRET}@db/gateway?x",
        f"sqlite://{SECRET}/gateway.db",
        f"sqlite:///gateway.db?{SECRET}=1",
        "sqlite://",
        SECRET,
    ],
)
def test_one_that_is_not_taken_is_told_with_its_place_and_without_the_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, url)
    (problem,) = caught.value.problems
    assert problem.file == NAME
    assert "state.database_url: " in problem.message
    assert SECRET not in f"{problem} {problem!r} {caught.value!r}"


def test_in_the_file_it_may_be_named_by_an_environment_variable(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("state:\n  database_url: os.environ/DATABASE_URL\n")
    environ = {"DATABASE_URL": f"postgresql://gw:{SECRET}@db/gateway"}
    settings = load(ConfigPaths(config=tmp_path), environ, {})
    assert settings.state.database_url is not None
    assert settings.state.database_url.get_secret_value() == environ["DATABASE_URL"]
    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        load(ConfigPaths(config=tmp_path), {}, {})
