"""Where the files of prompts are in their folder, and which prompt each is a text of."""

from __future__ import annotations

import os
import re
from pathlib import Path

SUFFIX = ".prompt.j2"
VERSIONS = "_versions"
"""The folder of texts that labels stand for, beside the working ones."""
LOCALE = re.compile(r"^(?P<name>[^.]+)\.(?P<locale>[a-z]{2,3})\.prompt\.j2$")


def partial_path(name: str) -> str:
    """The path of the partial that an include names; the ending may be left out."""
    return name if name.endswith(".j2") else f"{name}.j2"


def template_paths(root: Path) -> list[Path]:
    """Every file of the folder that is a template: texts of prompts, and partials."""
    found = []
    # Linked folders are not walked. A mounted Kubernetes ConfigMap keeps copies in "..<date>".
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".") and name != VERSIONS]
        found += [Path(folder, name) for name in names if name.endswith(".j2")]
    return sorted(found)


def names_in(root: Path) -> list[str]:
    """The names of all prompts below `root`, sound or not, by their paths. Reads none of them."""
    files = (path for path in template_paths(root) if path.name.endswith(SUFFIX))
    return sorted({name_of(root, path) for path in files})


def name_of(root: Path, path: Path) -> str:
    """The prompt that a file is a text of: its path, without the language."""
    relative = path.relative_to(root).as_posix()
    locale = LOCALE.match(relative)
    return locale["name"] if locale else relative.removesuffix(SUFFIX)
