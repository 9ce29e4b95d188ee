"""What a policy author needs, and no more: each name is loaded when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Call",
    "Delta",
    "Detectors",
    "Outcome",
    "Policy",
    "Refusal",
    "Tools",
    "Vault",
    "Watch",
    "json_view",
    "request_texts",
]

if TYPE_CHECKING:
    from gateway.domain.call import Call, Outcome
    from gateway.domain.detectors import Detectors
    from gateway.domain.errors import Refusal
    from gateway.domain.json_view import view as json_view
    from gateway.domain.policy import Delta, Policy, Tools
    from gateway.domain.request_texts import texts as request_texts
    from gateway.domain.vault import Vault
    from gateway.domain.watch import Watch

    __version__: str
else:
    # pydantic takes a fifth of a second: most commands of the command line do without it, or need
    # it only for what they read.
    _HOMES = {
        "Call": "call",
        "Delta": "policy",
        "Detectors": "detectors",
        "Outcome": "call",
        "Policy": "policy",
        "Refusal": "errors",
        "Tools": "policy",
        "Vault": "vault",
        "Watch": "watch",
        "json_view": "json_view.view",
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
