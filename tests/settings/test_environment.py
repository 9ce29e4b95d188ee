"""Variables: their names, what they hold, and those that only look like ours."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.settings.environment import read_environment, variables


def test_each_setting_has_one_variable() -> None:
    names = variables()

    assert names["GATEWAY_SERVER__PORT"] == ("server", "port")
    assert names["GATEWAY_TIMEOUTS__FIRST_TOKEN_S"] == ("timeouts", "first_token_s")
    assert "GATEWAY_UPSTREAM__API_KEY" not in names


@pytest.mark.parametrize(
    ("name", "text", "place", "value"),
    [
        ("GATEWAY_SERVER__PORT", " 9000 ", ("server", "port"), "9000"),
        ("GATEWAY_RETRIES__BACKOFF_S", "1, 2,3", ("retries", "backoff_s"), ["1", "2", "3"]),
        ("GATEWAY_RETRIES__BACKOFF_S", "[0.5]", ("retries", "backoff_s"), [0.5]),
        ("GATEWAY_ASSIST__TOKENIZERS", '{"m": "t"}', ("assist", "tokenizers"), {"m": "t"}),
        ("GATEWAY_ASSIST__TOKENIZERS", "{broken", ("assist", "tokenizers"), "{broken"),
        ("GATEWAY_ASSIST__MODEL", "{m}", ("assist", "model"), "{m}"),
        ("VLLM_BASE_URL", "http://gpu/v1", ("upstream", "base_url"), "http://gpu/v1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", ("telemetry", "otlp_endpoint"), "http://c"),
    ],
)
def test_a_variable_sets_its_setting(
    name: str, text: str, place: tuple[str, str], value: Any
) -> None:
    values, origins, problems = read_environment({name: text, "HOME": "/"})

    assert problems == []
    assert values == {place[0]: {place[1]: value}}
    assert origins == {place: name}


def test_an_empty_variable_counts_as_unset() -> None:
    assert read_environment({"GATEWAY_SERVER__PORT": "", "VLLM_API_KEY": " "}) == ({}, {}, [])


def test_our_own_name_wins_over_a_borrowed_one() -> None:
    values, origins, _ = read_environment(
        {
            "GATEWAY_TELEMETRY__OTLP_ENDPOINT": "http://ours",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs",
        }
    )

    assert values == {"telemetry": {"otlp_endpoint": "http://ours"}}
    assert origins[("telemetry", "otlp_endpoint")] == "GATEWAY_TELEMETRY__OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("GATEWAY_SERVER_PORT", "did you mean 'GATEWAY_SERVER__PORT'?"),
        ("GATEWAY_PORT", "did you mean 'GATEWAY_SERVER__PORT'?"),
        ("GATEWAY_SERVER__PROT", "did you mean 'GATEWAY_SERVER__PORT'?"),
        ("GATEWAY_TIMEOUT__IDLE_S", "did you mean 'GATEWAY_TIMEOUTS__IDLE_S'?"),
        ("GATEWAY_UPSTREAM__BASE_URL", "did you mean 'VLLM_BASE_URL' or 'VLLM_API_KEY'?"),
        ("GATEWAY_API_KEY", "did you mean 'GATEWAY_API_KEYS'?"),
    ],
)
def test_an_unknown_variable_is_refused_with_what_was_meant(name: str, fix: str) -> None:
    _, _, [problem] = read_environment({name: "sk-secret"})

    assert (problem.file, problem.message, problem.fix) == (name, "unknown variable", fix)
    assert "sk-secret" not in str(problem)


def test_variables_that_kubernetes_makes_for_a_service_named_gateway_are_no_mistake() -> None:
    environ = {
        "GATEWAY_SERVICE_HOST": "10.0.0.7",
        "GATEWAY_SERVICE_PORT": "80",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT": "tcp://10.0.0.7:80",
        "GATEWAY_PORT_80_TCP": "tcp://10.0.0.7:80",
        "GATEWAY_PORT_80_TCP_PROTO": "tcp",
        "GATEWAY_PORT_80_TCP_PORT": "80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.7",
        "GATEWAY_METRICS_SERVICE_HOST": "10.0.0.8",
    }

    assert read_environment(environ) == ({}, {}, [])
