"""The URL of a Redis: which are taken, and that no word about one shows its password."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.domain.document import ConfigError
from gateway.settings import ConfigPaths, Settings, load
from gateway.settings.redis_url import shown

NAME = "GATEWAY_RECORDS__REDIS_URL"
SECRET = "hunter2"


def settings_of(folder: Path, url: str) -> Settings:
    (folder / "gateway.yaml").touch()
    return load(ConfigPaths(config=folder), {NAME: url}, {})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://cache", "redis://cache:6379"),
        (f"redis://:{SECRET}@cache:7000/3", "redis://cache:7000"),
        (f" rediss://user:{SECRET}@cache/0?ssl_cert_reqs=required ", "rediss://cache:6379"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        (f"unix://:{SECRET}@/run/redis.sock?db=2", "unix:///run/redis.sock"),
    ],
)
def test_one_that_is_taken_is_shown_without_its_password_and_redis_py_takes_it_too(
    tmp_path: Path, url: str, said: str
) -> None:
    settings = settings_of(tmp_path, url)
    value = settings.records.redis_url
    assert value is not None
    assert shown(value) == said
    assert Redis.from_url(value.get_secret_value())
    for text in (repr(settings), str(settings.records), str(settings.model_dump())):
        assert SECRET not in text
    assert SECRET not in settings.model_dump_json()
    assert pickle.loads(pickle.dumps(settings)).records == settings.records


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@cache",
        f"redis://:{SECRET}@",
        f"redis://:{SECRET}@:6379",
        f"redis://:{SECRET}/x@cache",
        f"redis://user:12/{SECRET}@cache",
        f"redis://user:12?{SECRET}@cache",
        f"redis://user:12#{SECRET}@cache",
        f"redis://:{SECRET}@cache:0",
        f"redis://:{SECRET}@cache:port",
        f"redis://:{SECRET}@cache/first",
        f"redis://:{SECRET}@cache?db=first",
        f"redis://:{SECRET}@cache?host=other",
        f"unix://:{SECRET}@",
        f"{SECRET}",
    ],
)
def test_one_that_is_not_taken_is_told_with_its_place_and_without_the_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, url)
    (problem,) = caught.value.problems
    assert problem.file == NAME
    assert "records.redis_url: " in problem.message
    assert "redis://HOST" in str(problem)
    assert SECRET not in f"{problem} {problem!r} {caught.value!r}"


def test_in_the_file_it_may_be_named_by_an_environment_variable(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("records:\n  redis_url: os.environ/CACHE_URL\n")
    environ = {"CACHE_URL": f"redis://:{SECRET}@cache"}
    settings = load(ConfigPaths(config=tmp_path), environ, {})
    assert settings.records.redis_url is not None
    assert settings.records.redis_url.get_secret_value() == environ["CACHE_URL"]
    with pytest.raises(ConfigError, match="CACHE_URL is not set") as caught:
        load(ConfigPaths(config=tmp_path), {}, {})
    (problem,) = caught.value.problems
    assert problem.line == 2
    assert "export CACHE_URL=" in str(problem)
