"""The providers that we wrote down are those of the installed LiteLLM."""

from __future__ import annotations

from gateway.adapters.litellm_schema import OPENAI_WIRE
from gateway.adapters.provider_names import NOT_HERE, PROVIDERS


def test_they_are_litellms_less_those_on_our_wire() -> None:
    # Here, not above: it takes seconds.
    from gateway.adapters.litellm_sdk import litellm

    theirs = {str(getattr(one, "value", one)) for one in litellm.provider_list}
    assert theirs >= NOT_HERE
    assert theirs - OPENAI_WIRE - NOT_HERE == PROVIDERS
