"""LiteLLM's cooldowns: a failure is told to it, and a rest that began elsewhere. Cooldowns."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from gateway.adapters.litellm_sdk import exceptions
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault

# A replica rests from now on: for so many seconds, because of this.
Began = Callable[[Replica, float, Fault], None]

# What its allowed_fails_policy tells apart.
_EXCEPTIONS: Final = {
    Fault.TIMEOUT: exceptions.Timeout,
    Fault.RATE_LIMITED: exceptions.RateLimitError,
    Fault.UPSTREAM_AUTH: exceptions.AuthenticationError,
    Fault.SERVER_ERROR: exceptions.InternalServerError,
}


class Cooldowns:
    """Those of one LiteLLM Router. `began` hears of each rest that LiteLLM begins here."""

    def __init__(self, router: Any, began: Began) -> None:
        self._router = router
        self._began = began

    def failed(
        self, replica: Replica, kwargs: dict[str, Any], fault: Fault, retry_after: float | None
    ) -> None:
        """An attempt failed; how many may, and how long a replica then rests, is LiteLLM's to say.
        `kwargs` name the replica to it."""
        rest = None if retry_after is None else math.ceil(retry_after)
        told = {**kwargs, "exception": _exception(fault, replica.model, rest)}
        if self._router.deployment_callback_on_failure(told, None, None, None):
            cache = self._router.cooldown_cache
            for _, resting in cache.get_active_cooldowns([replica.id], None):
                self._began(replica, float(resting["cooldown_time"]), fault)

    def rest(self, replica: Replica, seconds: float, fault: Fault) -> None:
        """It failed elsewhere, and rests here too."""
        error = _exception(fault, replica.model, None)
        self._router.cooldown_cache.add_deployment_to_cooldown(
            replica.id, error, getattr(error, "status_code", 503), seconds
        )


@lru_cache(maxsize=256)
def _exception(fault: Fault, model: str, retry_after: int | None) -> Exception:
    """The LiteLLM exception that its cooldown rules understand; `retry_after` in the whole seconds
    that it reads. Never APIConnectionError, which they ignore by its name. It is never raised, and
    costly to make: with each comes an HTTP response of httpx."""
    kind: Any = _EXCEPTIONS.get(fault, exceptions.ServiceUnavailableError)
    error = kind(message=str(fault), model=model, llm_provider="openai")
    if fault is Fault.TIMEOUT:
        error.status_code = 504
    if retry_after is not None:
        error.litellm_response_headers = {"retry-after": str(retry_after)}
    return error  # type: ignore[no-any-return]
