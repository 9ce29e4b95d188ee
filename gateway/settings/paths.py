"""Where files are: the operators' folder, prompts, policies, litellm_config.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.domain.document import ConfigError, Document, Problem

_PACKAGE = Path(__file__).resolve().parent.parent
CONFIG_FILES = ("gateway.yaml", "teams.yaml", "policies.yaml")


def shipped(name: str) -> Path:
    """The copy of `name` (config, prompts, policies, litellm_config.yaml) that came with the
    package: inside an installed wheel, or the repository of an editable checkout."""
    inside = _PACKAGE / "_shipped"
    return (inside if inside.is_dir() else _PACKAGE.parent) / name


@dataclass(frozen=True, slots=True)
class ConfigPaths:
    """What the command line says; None where it says nothing."""

    config: Path | None = None
    litellm_config: Path | None = None
    prompts: Path | None = None
    policies: Path | None = None


@dataclass(frozen=True, slots=True)
class Paths:
    """Where everything is. `litellm_config_given`: named on the command line, so it must serve."""

    config_dir: Path = field(default_factory=lambda: shipped("config"))
    litellm_config: Path = field(default_factory=lambda: shipped("litellm_config.yaml"))
    prompts_dir: Path = field(default_factory=lambda: shipped("prompts"))
    policies_dir: Path = field(default_factory=lambda: shipped("policies"))
    litellm_config_given: bool = False


def resolve(given: ConfigPaths) -> tuple[Paths, list[Problem]]:
    """Given paths, else those of the working directory that look like ours, else the shipped.

    Many projects have a `config` or `policies` folder of their own: one is taken for ours only
    when it holds what we would read from it.
    """
    here = Path()
    found = _missing(given)
    return Paths(
        config_dir=_choose(given.config, here / "config", CONFIG_FILES),
        litellm_config=_choose(given.litellm_config, here / "litellm_config.yaml", ()),
        prompts_dir=_choose(given.prompts, here / "prompts", ("*.prompt.j2", "*/*.prompt.j2")),
        policies_dir=_choose(given.policies, here / "policies", ("*.py",)),
        litellm_config_given=given.litellm_config is not None,
    ), found


def _choose(given: Path | None, near: Path, holds: tuple[str, ...]) -> Path:
    if given is not None:
        return given
    ours = _holds(near, holds) if holds else near.is_file()
    return near if ours else shipped(near.name)


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return any(any(folder.glob(name)) for name in names)


def _missing(given: ConfigPaths) -> list[Problem]:
    found = []
    for option, path in (
        ("--config", given.config),
        ("--prompts", given.prompts),
        ("--policies", given.policies),
    ):
        if path is not None and not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "there is no such folder"
            fix = f"make it, name another after {option}, or leave {option} out"
            found.append(Problem(str(path), 0, f"{option}: {what}", fix))
        elif option == "--config" and path is not None and not _holds(path, CONFIG_FILES):
            message = f"--config: the folder holds none of {', '.join(CONFIG_FILES)}"
            fix = f"copy the folder {shipped('config')} and edit it there"
            found.append(Problem(str(path), 0, message, fix))
    path = given.litellm_config
    if path is not None and not path.is_file():
        what = "is a folder, not a file" if path.exists() else "there is no such file"
        fix = "name LiteLLM's configuration file, or leave --litellm-config out"
        found.append(Problem(str(path), 0, f"--litellm-config: {what}", fix))
    return found


def read_document(path: Path) -> Document:
    """A YAML file. ConfigError when it cannot be read, is not UTF-8, or is not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        fix = "check that the file is there and that this user may read it"
        problem = Problem(str(path), 0, f"cannot be read: {error.strerror}", fix)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = Problem(str(path), line, "is not UTF-8 text", "save the file as UTF-8")
    else:
        return Document(str(path), text)
    raise ConfigError([problem])
