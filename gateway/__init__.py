"""What a policy author needs, and no more. Importing it loads no web framework and no LiteLLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.call import Call, Outcome
from gateway.domain.errors import Refusal
from gateway.domain.policy import Delta, Policy, Tools

__all__ = ["Call", "Delta", "Outcome", "Policy", "Refusal", "Tools"]

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """`__version__`, looked up when somebody asks: few do, and the look-up reads files."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import metadata  # here, because it costs start-up time

        try:
            return metadata.version("vllm-gateway")
        except metadata.PackageNotFoundError:
            return "0.0.0+unknown"
