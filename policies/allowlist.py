"""Allowlist: only the listed models, routes and parameters."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from pydantic import model_validator

from gateway import Call, Policy, Refusal


class Allowlist(Policy):
    """Refuses what is not on the lists. A list that is left out allows everything; an empty one
    allows nothing."""

    class Settings(Policy.Settings):
        models: frozenset[str] | None = None
        """models that may be asked for, names or globs: [qwen-coder, "llama-*"]"""

        routes: frozenset[str] | None = None
        """paths that may be called, names or globs: [/v1/chat/completions, "/api/ai/*"]"""

        parameters: frozenset[str] | None = None
        """body fields that may be sent, by name: [temperature, max_tokens]; those that a request
        cannot do without need no mention"""

        @model_validator(mode="after")
        def _says_something(self) -> Allowlist.Settings:
            if self.models is self.routes is self.parameters is None:
                raise ValueError("list at least one of models, routes, parameters")
            return self

    settings: Settings

    async def before(self, call: Call) -> None:
        allowed = self.settings
        if not _listed(call.model, allowed.models):
            raise _refusal("model_not_allowed", f"The model {call.model[:80]!r}", allowed.models)
        if not _listed(call.path, allowed.routes):
            raise _refusal("route_not_allowed", f"The route {call.path!r}", allowed.routes)
        if allowed.parameters is None:
            return
        needed = {"model", "stream", "stream_options", *call.endpoint.required}
        for name in call.body.keys() - needed - allowed.parameters:
            what = f"The parameter {name[:80]!r}"
            raise _refusal("parameter_not_allowed", what, allowed.parameters)


def _listed(name: str, allowed: frozenset[str] | None) -> bool:
    if allowed is None or name in allowed:
        return True
    return any(fnmatchcase(name, glob) for glob in allowed)


def _refusal(code: str, what: str, allowed: Iterable[str] | None) -> Refusal:
    names = ", ".join(sorted(allowed or ())[:12]) or "nothing"
    return Refusal(f"{what} is not allowed here; allowed: {names}.", code=code)
