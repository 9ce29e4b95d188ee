"""What the operator has set: one frozen tree, read once at the start. Nothing else reads files.

Defaults < config/*.yaml < environment < command line. `load` gives a Settings or a ConfigError
with everything that is wrong; `Settings()` alone is the defaults, whatever the environment says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.settings.paths import ConfigPaths, Paths, read_document, shipped

__all__ = [
    "DEFAULT_UPSTREAM",
    "ConfigPaths",
    "KeyHash",
    "Paths",
    "PolicyEntry",
    "Settings",
    "Team",
    "When",
    "hash_key",
    "load",
    "read_document",
    "shipped",
]

if TYPE_CHECKING:
    from gateway.settings.policies import PolicyEntry, When
    from gateway.settings.sources import load
    from gateway.settings.teams import KeyHash, Team, hash_key
    from gateway.settings.tree import DEFAULT_UPSTREAM, Settings
else:
    # Where files are is known without the tree, whose making takes a prompt author 0.15 s.
    _HOMES = {
        "DEFAULT_UPSTREAM": "tree",
        "KeyHash": "teams",
        "PolicyEntry": "policies",
        "Settings": "tree",
        "Team": "teams",
        "When": "policies",
        "hash_key": "teams",
        "load": "sources",
    }

    def __getattr__(name: str) -> object:
        """One of `__all__`, looked up when somebody asks."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # only when it is needed

        found = globals()[name] = getattr(import_module(f"gateway.settings.{home}"), name)
        return found
