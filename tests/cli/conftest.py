"""`gateway …` in a folder and an environment of its own, stopping short of the server."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.domain.document import ConfigError
from gateway.settings import Settings
from gateway.web import server


@dataclass
class Served:
    """Stands in for serving: what was to be served, and how that is to end."""

    settings: list[Settings] = field(default_factory=list)
    status: int = 0
    refusal: ConfigError | None = None

    def __call__(self, settings: Settings, again: Callable[[], Settings]) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.settings.append(settings)
        return self.status


class CommandLine:
    """Runs `gateway …` in a folder of its own."""

    def __init__(self, folder: Path, served: Served) -> None:
        self.folder = folder
        self.served = served

    def __call__(self, *arguments: str, **environ: str) -> Result:
        given: dict[str, Any] = dict(environ)
        return CliRunner().invoke(main, arguments, env=given)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file


@pytest.fixture
def gateway_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The whole command, but that `gateway serve` ends where the server would start."""
    served = Served()
    monkeypatch.setattr(server, "serve", served)
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("GATEWAY_", "VLLM_", "OTEL_")):
            monkeypatch.delenv(name)
    return CommandLine(tmp_path, served)
