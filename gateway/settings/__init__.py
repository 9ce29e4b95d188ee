"""What the operator has set: one frozen tree, read once at the start. Nothing else reads files.

Defaults < config/*.yaml < environment < command line. `load` gives a Settings or a ConfigError
with everything that is wrong; `Settings()` alone is the defaults, whatever the environment says.
"""

from __future__ import annotations

from gateway.settings.paths import ConfigPaths, Paths, read_document, shipped
from gateway.settings.policies import PolicyEntry, When
from gateway.settings.sources import load
from gateway.settings.teams import KeyHash, Team, hash_key
from gateway.settings.tree import DEFAULT_UPSTREAM, Settings

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
