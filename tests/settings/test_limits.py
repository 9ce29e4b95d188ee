"""Limits: the same defaults as the domain's, and models that differ in what they name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.domain.bounds import Bounds, JsonBounds
from gateway.domain.document import ConfigError
from gateway.rules import input_limits_of
from gateway.settings import ConfigPaths, Settings, load
from gateway.settings.limits import Limits, ModelLimits


def test_the_defaults_are_those_of_the_domain_and_no_name_is_missing() -> None:
    limits = input_limits_of(Settings())
    assert limits.usual == Bounds()
    assert limits.json == JsonBounds()
    assert {one.name for one in dataclasses.fields(Bounds)} == set(ModelLimits.model_fields)


def test_a_model_inherits_what_it_does_not_name() -> None:
    limits = Limits.model_validate(
        {"n": 4, "stop": 2, "models": {"big": {"n": 64, "allow": ["documents"]}}}
    )
    found = input_limits_of(Settings(limits=limits)).of("big")
    assert (found.n, found.stop, found.logprobs) == (64, 2, 20)
    assert found.allow == {"documents"}


@pytest.mark.parametrize("host", ["*.example.com", "a.example.com", "localhost", "10.0.0.1"])
def test_a_media_host_is_a_name(host: str) -> None:
    assert ModelLimits(media_hosts=(host,)).media_hosts == (host,)


@pytest.mark.parametrize(
    "broken",
    [
        {"media_hosts": ["https://example.com"]},
        {"media_hosts": ["Example.com"]},
        {"media_hosts": ["*"]},
        {"media_hosts": [""]},
        {"n": 0},
        {"json_depth": 1000},
        {"unknown_parameters": "ignore"},
        {"models": {"m": {"json_depth": 3}}},
    ],
)
def test_what_makes_no_sense_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(broken)


def read(folder: Path, text: str) -> Settings:
    (folder / "gateway.yaml").write_text(text, encoding="utf-8")
    return load(ConfigPaths(config=folder), {}, {})


def test_a_slip_in_a_models_limits_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "limits:\n  n: 3\n  models:\n    big: {max_token: 3}\n")
    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (3, "unknown key 'limits.models.big.max_token'")
    assert problem.fix == "did you mean 'max_tokens'?"


def test_limits_are_read_from_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, "limits:\n  models:\n    big: {n: 99}\n  media_hosts: [a.test]\n")
    limits = input_limits_of(settings)
    assert (limits.of("big").n, limits.of("big").media_hosts) == (99, ("a.test",))
