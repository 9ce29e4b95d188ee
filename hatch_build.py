"""The wheel's extra content: what a team edits travels inside the package, as gateway/_shipped/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = ("prompts", "policies", "config", "litellm_config.yaml")


class ShippedFiles(BuildHookInterface[Any]):
    """Adds SHIPPED to a real wheel. An editable install reads them in the checkout instead: a
    copy of them would be stale after the first edit."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for name in SHIPPED:
            source = Path(self.root, name)
            build_data["force_include"][str(source)] = f"gateway/_shipped/{name}"
