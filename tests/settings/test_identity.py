"""The section `identity`."""

from __future__ import annotations

from gateway.settings import Settings


def test_a_gateway_where_keys_are_required_has_keys_configured() -> None:
    assert not Settings().keys_configured
    settings = Settings(identity={"required": True}, server={"host": "0.0.0.0"})  # type: ignore[arg-type]
    assert settings.keys_configured
    assert settings.exposure_problem() is None
