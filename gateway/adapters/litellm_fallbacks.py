"""Which models to try after which fault, as LiteLLM's Router has them in its tables."""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.ports import Fallback
from gateway.domain.retry import Fault

_SPECIAL: Final = {
    Fault.CONTEXT_WINDOW: "context_window_fallbacks",
    Fault.CONTENT_POLICY: "content_policy_fallbacks",
}


def fallbacks_of(router: Any, model: str, group: str, fault: Fault) -> tuple[Fallback, ...]:
    """In the order of litellm_config.yaml. `router` is LiteLLM's, or None; `group` is the model
    that the name `model` stands for."""
    special = _SPECIAL.get(fault)
    if router is None or not (special or fault.elsewhere):
        return ()
    table = getattr(router, special) if special else None
    if table is None:  # LiteLLM's own rule: no table of its own, so the general one
        table = router.fallbacks
    named = {name: targets for row in table or () for name, targets in row.items()}
    targets = named.get(model) or named.get(group) or named.get("*") or ()
    return tuple(_fallback(target) for target in targets[: router.max_fallbacks])


def _fallback(target: Any) -> Fallback:
    """A name, or a mapping with `model` and body fields beside it."""
    if not isinstance(target, dict):
        return Fallback(target)
    return Fallback(target["model"], {k: v for k, v in target.items() if k != "model"})
