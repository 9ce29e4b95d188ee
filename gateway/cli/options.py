"""The options that commands share, and how problems are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gateway.domain.document import Problem
    from gateway.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_PATHS = (
    ("config", "DIR", "Folder with gateway.yaml, teams.yaml, policies.yaml."),
    ("litellm_config", "FILE", "Models and replicas, in LiteLLM's format."),
    ("prompts", "DIR", "Folder of prompt files."),
    ("policies", "DIR", "Folder of policies."),
)


def path_options(command: Command) -> Command:
    """Adds --config, --litellm-config, --prompts and --policies."""
    for name, metavar, text in reversed(_PATHS):
        option = "--" + name.replace("_", "-")
        command = click.option(option, name, type=Path, metavar=metavar, help=text)(command)
    return command


def load_settings(
    paths: Mapping[str, Path | None], overrides: Mapping[str, Mapping[str, Any]]
) -> Settings:
    """The settings that the options, the environment and the files give. ConfigError."""
    # Here, not above: pydantic and YAML would double the time of `gateway --help`.
    from gateway.settings import ConfigPaths, load

    return load(ConfigPaths(**paths), os.environ, overrides)


def with_state(settings: Settings) -> Settings:
    """The same, with a folder for what outlives a process: ./state where none is set."""
    from gateway.settings.state import FOLDER

    if settings.state.folder is not None:
        return settings
    state = settings.state.model_copy(update={"folder": Path.cwd() / FOLDER})
    return settings.model_copy(update={"state": state})


def serving_settings(
    paths: Mapping[str, Path | None], overrides: Mapping[str, Mapping[str, Any]]
) -> Settings:
    """The settings of `gateway serve`. ConfigError."""
    return with_state(load_settings(paths, overrides))


def show(problems: Iterable[Problem], ending: str) -> None:
    """Each problem on stderr, then how many there are and what comes of it."""
    shown = list(problems)
    for problem in shown:
        click.echo(str(problem), err=True)
    count = "1 problem" if len(shown) == 1 else f"{len(shown)} problems"
    click.echo(f"gateway: {count}; {ending}", err=True)
