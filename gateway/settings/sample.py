"""The text of config/gateway.yaml, made from the tree: every setting, commented, at its default."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from gateway.settings.tree import SECTIONS

_HEAD = """\
# How the gateway works: limits, timeouts, queue, telemetry. Every setting is here, at its default;
# take the # off a line to change it. An environment variable wins over this file
# (GATEWAY_SERVER__PORT=9000 sets server.port), the command line over both. `gateway check` says
# what is wrong, with the line. This file is made from gateway/settings/tree.py.
"""

_COLUMN = 38


def sample() -> str:
    """The file's text. Read as it stands it sets nothing; uncommented it sets the defaults."""
    lines = [_HEAD]
    for section, model in SECTIONS.items():
        lines.append(f"# {model.__doc__}\n{section}:")
        for name, field in model.model_fields.items():
            value = _scalar(field.get_default(call_default_factory=True))
            lines.append(f"  #{name}: {value}".ljust(_COLUMN) + f"  # {field.description}")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _scalar(value: Any) -> str:
    """A default as YAML; JSON is YAML too."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    return json.dumps(str(value) if isinstance(value, PurePath) else value)


if __name__ == "__main__":
    print(sample(), end="")
