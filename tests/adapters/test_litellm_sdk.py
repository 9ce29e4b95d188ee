"""LiteLLM as we import it; what the import asks of the world, test_litellm_router.py says."""

from __future__ import annotations

import pytest

from gateway.adapters.litellm_sdk import exceptions, litellm


async def test_an_error_prints_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(exceptions.BadRequestError):
        await litellm.acompletion(model="nobody-has-this", messages=[])
    assert capsys.readouterr().out == ""
