"""A setting whose package is missing is refused with what to install."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from gateway.domain.document import ConfigError
from gateway.settings import Settings, packages


def test_what_is_installed_is_enough() -> None:
    url = "postgresql://gw:hunter2@db/gateway"
    settings = Settings.model_validate({"state": {"database_url": url}})
    assert packages.check_state(settings) is settings.state
    assert packages.check_records(settings) is settings.records


@pytest.mark.parametrize(
    ("section", "name", "url", "extra"),
    [
        ("state", "database_url", "postgresql://gw:hunter2@db/gateway", "postgres"),
        ("records", "redis_url", "redis://:hunter2@cache", "redis"),
        ("state", "redis_url", "redis://:hunter2@cache", "redis"),
    ],
)
def test_what_is_missing_is_told_without_the_password(
    section: str, name: str, url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    settings = Settings.model_validate({section: {name: url}})
    check: Any = getattr(packages, f"check_{section}")
    with pytest.raises(ConfigError) as caught:
        check(settings)
    assert f"pip install 'vllm-gateway[{extra}]'" in str(caught.value.problems[0])
    assert "hunter2" not in str(caught.value.problems[0])


def test_sqlite_takes_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    settings = Settings.model_validate({"state": {"database_url": "sqlite:///gateway.db"}})
    assert packages.check_state(settings)
