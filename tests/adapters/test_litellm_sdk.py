"""LiteLLM as we import it; what the import asks of the world, test_litellm_router.py says."""

from __future__ import annotations

import pytest
from litellm.router_utils import cooldown_handlers

from gateway.adapters.litellm_sdk import exceptions, facts_of, litellm


async def test_an_error_prints_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(exceptions.BadRequestError):
        await litellm.acompletion(model="nobody-has-this", messages=[])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"])
def test_windows_and_prices_come_from_its_list(model: str) -> None:
    facts = facts_of({"model": model})
    assert facts["max_input_tokens"] >= 100_000
    assert facts["input_cost_per_token"] > 0


@pytest.mark.parametrize("model", ["huggingface/a/b", "ollama_chat/c", "groq/claude-sonnet-4-5"])
def test_models_that_it_does_not_list_are_unknown_and_nobody_is_asked(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.getaddrinfo", asked)
    assert facts_of({"model": model}) == {}


async def test_nobody_in_litellm_is_told_of_a_resting_replica() -> None:
    told = cooldown_handlers.router_cooldown_event_callback
    await told(
        litellm_router_instance=None, deployment_id="r0", exception_status=500, cooldown_time=5.0
    )  # LiteLLM's own would have asked the router
