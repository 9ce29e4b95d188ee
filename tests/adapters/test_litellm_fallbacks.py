"""Fallbacks as the tables have them; what LiteLLM puts there is in test_litellm_router.py."""

from __future__ import annotations

from types import SimpleNamespace

from gateway.adapters.litellm_fallbacks import fallbacks_of
from gateway.domain.ports import Fallback
from gateway.domain.retry import Fault


def router(**tables: object) -> SimpleNamespace:
    empty = {"context_window_fallbacks": None, "content_policy_fallbacks": None}
    return SimpleNamespace(**{"fallbacks": [], "max_fallbacks": 5, **empty, **tables})


def test_a_target_may_bring_body_fields_of_its_own() -> None:
    given = router(fallbacks=[{"m": ["n", {"model": "o", "temperature": 0}]}])
    assert fallbacks_of(given, "m", "m", Fault.CONNECT) == (
        Fallback("n"),
        Fallback("o", {"temperature": 0}),
    )


def test_an_alias_has_those_of_its_model_and_all_others_the_default() -> None:
    given = router(fallbacks=[{"m": ["n"]}, {"*": ["p"]}])
    assert fallbacks_of(given, "alias", "m", Fault.TIMEOUT) == (Fallback("n"),)
    assert fallbacks_of(given, "x", "x", Fault.TIMEOUT) == (Fallback("p"),)


def test_without_a_router_or_for_a_clients_mistake_there_are_none() -> None:
    assert fallbacks_of(None, "m", "m", Fault.TIMEOUT) == ()
    assert fallbacks_of(router(fallbacks=[{"*": ["p"]}]), "m", "m", Fault.REJECTED) == ()
