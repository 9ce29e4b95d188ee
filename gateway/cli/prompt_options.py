"""What the commands of `gateway prompts` share: folder, inputs, token counts, refusals."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.options import load_settings, show

if TYPE_CHECKING:
    from gateway.adapters.prompt_render import Loaded
    from gateway.adapters.prompts import Family
    from gateway.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
BROKEN = 1

_FOLDER = click.option("--prompts", "folder", type=Path, metavar="DIR", help="Folder of prompts.")
_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="For people, or programs.",
)


def folder_option(command: Command) -> Command:
    """Adds --prompts."""
    return _FOLDER(command)


def format_option(command: Command) -> Command:
    """Adds --format text|json."""
    return _FORMAT(command)


def input_options(command: Command) -> Command:
    """Adds -i NAME=VALUE, --inputs FILE, and which of the prompt's texts is meant."""
    for option in (
        click.option("--language", default="", metavar="CODE", help="Of the answer: ko."),
        click.option("--variant", metavar="ID", help="One of its variants; by default none."),
        click.option(
            "--version",
            "version",
            default="label:working",
            metavar="V",
            help="1.4.0, label:production, a hash; the working file by default.",
        ),
        click.option("--inputs", "file", type=Path, metavar="FILE", help="Inputs as YAML or JSON."),
        click.option(
            "-i", "given", multiple=True, metavar="NAME=VALUE", help="An input; @FILE reads one."
        ),
    ):
        command = option(command)
    return command


@contextmanager
def refusing(ending: str) -> Iterator[None]:
    """Shows what is wrong and exits with 1."""
    from gateway.adapters.prompt_git import NoGit
    from gateway.domain.document import ConfigError
    from gateway.domain.errors import GatewayError

    try:
        yield
    except ConfigError as error:
        show(error.problems, ending)
        sys.exit(BROKEN)
    except (GatewayError, NoGit) as error:
        stop(str(error))


def stop(message: str, fix: str = "") -> None:
    """Says why, and what to type next, and exits with 1."""
    click.echo(f"gateway: {message}" + (f"\n    fix: {fix}" if fix else ""), err=True)
    sys.exit(BROKEN)


def folder_of(folder: Path | None) -> Path:
    """The prompts folder that is meant; no other setting is read. ConfigError."""
    from gateway.domain.document import ConfigError
    from gateway.settings.paths import ConfigPaths, resolve

    paths, problems = resolve(ConfigPaths(prompts=folder))
    if problems:
        raise ConfigError(problems)
    return paths.prompts_dir


def settings_of(folder: Path | None) -> Settings:
    """All settings, with the prompts folder that is meant. ConfigError."""
    return load_settings({"prompts": folder}, {})


def family_of(folder: Path, name: str) -> Family:
    """One prompt of a folder whose other prompts may be broken. ConfigError, UnknownPrompt."""
    from gateway.adapters.prompts import PromptFiles, survey
    from gateway.domain.document import ConfigError

    families, problems = survey(folder, (name,))
    if name not in families and problems:
        raise ConfigError(problems)
    return PromptFiles(families).family(name)


def face_of(folder: Path, name: str, options: Mapping[str, Any]) -> Loaded:
    """The text that --version, --variant and --language name. UnknownPrompt."""
    from gateway.adapters.prompts import PromptFiles
    from gateway.domain.prompt import Wanted

    family = family_of(folder, name)
    files = PromptFiles({name: family})
    wanted = Wanted(options["version"], options["variant"], options["language"])
    chosen = files.choose(name, wanted).ref
    if options["variant"] is None:
        bundle = family.find(chosen.sha) or family.working
        return bundle.faces[chosen.locale, ""]
    return files.loaded(chosen.key)


def inputs_of(loaded: Loaded, given: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    """From --inputs and -i. With neither, those of the prompt's first test. ConfigError."""
    from gateway.domain.document import ConfigError, Document, Problem
    from gateway.settings import read_document

    found: dict[str, Any] = {}
    if file is not None:
        read = read_document(file).data
        if not isinstance(read, dict):
            raise ConfigError([Problem(str(file), 0, "holds no inputs", "write NAME: VALUE lines")])
        found = read
    elif not given and loaded.front.tests:
        found = dict(loaded.front.tests[0].inputs)
    for one in given:
        name, sign, text = one.partition("=")
        if not sign:
            raise ConfigError([Problem(f"-i {one}", 0, "has no '='", "write -i NAME=VALUE")])
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        spec = loaded.front.inputs.get(name)
        plain = spec is None or spec.shape.kind in ("text", "choice")
        found[name] = text if plain else Document(f"-i {name}", text).data
    return found


def counter(folder: Path | None, tokenizer: Path | None) -> tuple[Callable[[str], int], bool]:
    """Counts tokens of a text, and whether exactly: by tokenizer.json, where one is known, from
    --tokenizer or from the settings. ConfigError."""
    from gateway.adapters.prompt_preview import estimate

    files = [tokenizer] if tokenizer else _tokenizers(folder)
    if not files:
        return estimate, False
    from gateway.adapters.tokens import read_tokenizers

    known = next(iter(read_tokenizers({"it": files[0]}).values()))
    return lambda text: len(known.encode(text, add_special_tokens=False)), True


def _tokenizers(folder: Path | None) -> list[Path]:
    """Those that the settings name. To read all settings takes longer than all else that `render`
    does, so this happens only where a line of theirs, or a variable, says that word."""
    from gateway.settings.paths import ConfigPaths, resolve

    file = resolve(ConfigPaths(prompts=folder))[0].config_dir / "gateway.yaml"
    lines = file.read_text("utf-8", "replace").splitlines() if file.is_file() else []
    said = any("tokenizers" in line and not line.lstrip().startswith("#") for line in lines)
    if not said and "GATEWAY_ASSIST__TOKENIZERS" not in os.environ:
        return []
    return list(settings_of(folder).assist.tokenizers.values())


def print_json(content: object) -> None:
    """As programs read it."""
    click.echo(json.dumps(content, ensure_ascii=False, indent=2))
