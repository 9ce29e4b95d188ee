"""The tree of errors: what each one tells the client, and that the log's half stays out of it."""

from __future__ import annotations

import pytest

from gateway.domain import errors
from gateway.domain.errors import GatewayError, LLMError, LLMTimeoutError, Refusal

ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, GatewayError)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_a_code_and_a_text_in_the_table_of_the_module(
    kind: type[GatewayError],
) -> None:
    assert 400 <= kind.status < 600
    assert kind.default_public.endswith(".")
    assert kind.__name__ in (errors.__doc__ or "")


def test_the_body_is_openais_shape_with_the_request_id() -> None:
    error = LLMError(detail="r0: connection refused to 10.0.0.7").body("req-1")["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == "req-1"
    assert "10.0.0.7" not in str(error)


def test_a_timeout_is_an_llm_error_with_504() -> None:
    assert issubclass(LLMTimeoutError, LLMError)
    assert LLMTimeoutError.status == 504


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_refusal_is_a_4xx(status: int) -> None:
    with pytest.raises(ValueError, match="4xx"):
        Refusal("no", status=status)
