"""What a policy author needs, and no more: each name is loaded when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["Call", "Delta", "Outcome", "Policy", "Refusal", "Tools"]

if TYPE_CHECKING:
    from gateway.domain.call import Call, Outcome
    from gateway.domain.errors import Refusal
    from gateway.domain.policy import Delta, Policy, Tools

    __version__: str
else:
    # pydantic takes a fifth of a second: most commands of the command line do without it, or need
    # it only for what they read.
    _HOMES = {
        "Call": "call",
        "Delta": "policy",
        "Outcome": "call",
        "Policy": "policy",
        "Refusal": "errors",
        "Tools": "policy",
    }

    def __getattr__(name: str) -> object:
        """One of `__all__`, or `__version__`, looked up when somebody asks."""
        if name == "__version__":
            return _version()
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # as all here: only when it is needed

        found = globals()[name] = getattr(import_module(f"gateway.domain.{home}"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    def _version() -> str:
        from importlib import metadata

        try:
            return metadata.version("vllm-gateway")
        except metadata.PackageNotFoundError:
            return "0.0.0+unknown"
