"""What a policy author needs, and no more: each name is loaded when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Amounts",
    "Balance",
    "Call",
    "Claim",
    "Counts",
    "Delta",
    "Detectors",
    "Every",
    "Full",
    "Held",
    "LimitSettings",
    "Outcome",
    "Period",
    "Policy",
    "Quota",
    "Refusal",
    "Term",
    "Tools",
    "Usage",
    "Vault",
    "Watch",
    "Window",
    "amount_for",
    "at_most",
    "bounded",
    "counted",
    "expected",
    "json_view",
    "reached",
    "request_texts",
]

if TYPE_CHECKING:
    from gateway.domain.call import Call, Outcome, Usage
    from gateway.domain.counters import Balance, Claim, Full, Held, Window
    from gateway.domain.detectors import Detectors
    from gateway.domain.errors import Refusal
    from gateway.domain.json_view import view as json_view
    from gateway.domain.period import Every, Period, Term
    from gateway.domain.policy import Delta, Policy
    from gateway.domain.quota import (
        Amounts,
        Counts,
        LimitSettings,
        Quota,
        amount_for,
        at_most,
        bounded,
        counted,
        expected,
        reached,
    )
    from gateway.domain.request_texts import texts as request_texts
    from gateway.domain.tools import Tools
    from gateway.domain.vault import Vault
    from gateway.domain.watch import Watch

    __version__: str
else:
    # pydantic takes a fifth of a second: most commands of the command line do without it, or need
    # it only for what they read.
    _HOMES = {
        "Amounts": "quota",
        "Balance": "counters",
        "Call": "call",
        "Claim": "counters",
        "Counts": "quota",
        "Delta": "policy",
        "Detectors": "detectors",
        "Every": "period",
        "Full": "counters",
        "Held": "counters",
        "LimitSettings": "quota",
        "Outcome": "call",
        "Period": "period",
        "Policy": "policy",
        "Quota": "quota",
        "Refusal": "errors",
        "Term": "period",
        "Tools": "tools",
        "Usage": "call",
        "Vault": "vault",
        "Watch": "watch",
        "Window": "counters",
        "amount_for": "quota",
        "at_most": "quota",
        "bounded": "quota",
        "counted": "quota",
        "expected": "quota",
        "json_view": "json_view.view",
        "reached": "quota",
        "request_texts": "request_texts.texts",
    }

    def __getattr__(name: str) -> object:
        """One of `__all__`, or `__version__`, looked up when somebody asks."""
        if name == "__version__":
            return _version()
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # as all here: only when it is needed

        module, _, called = home.partition(".")
        found = getattr(import_module(f"gateway.domain.{module}"), called or name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    def _version() -> str:
        from importlib import metadata

        try:
            return metadata.version("vllm-gateway")
        except metadata.PackageNotFoundError:
            return "0.0.0+unknown"
