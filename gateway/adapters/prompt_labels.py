"""Labels such as `production`, which text each stands for, and the store of those texts.

`labels.yaml` beside the prompts says what each label stands for and how it came to; the folder
`_versions/NAME/SHA/` holds the files of that text as they were. Both are made to be committed.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML

from gateway.adapters.prompt_bundle import Bundle, bundles
from gateway.adapters.prompt_files import PromptProblem, read_folder
from gateway.adapters.prompt_front import NAME_PATTERN
from gateway.adapters.prompt_paths import VERSIONS
from gateway.domain.document import ConfigError, Document, Problem, did_you_mean

FILE = "labels.yaml"
PRODUCTION = "production"
WORKING = "working"
_HEAD = "# Which text each label stands for. `gateway prompts promote` and `rollback` write this.\n"

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class Move(BaseModel):
    """A label that was set to another text: when (UTC), from what (None: it was new), by whom.
    `kind` is "promote" or "rollback"."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    at: str
    kind: str
    name: str
    label: str
    sha: Sha
    version: str
    was: Sha | None = None
    author: str = ""
    approver: str = ""


class Labels(BaseModel):
    """The whole of labels.yaml: prompt → label → sha, and the moves, newest last."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: dict[Annotated[str, Field(pattern=NAME_PATTERN)], dict[Label, Sha]] = {}
    moves: list[Move] = []

    def moved(self, move: Move) -> Labels:
        """With this move made."""
        labels = {name: dict(own) for name, own in self.labels.items()}
        labels.setdefault(move.name, {})[move.label] = move.sha
        return Labels(labels=labels, moves=[*self.moves, move])

    def before(self, name: str, label: str) -> str | None:
        """What a rollback goes back to: each one undoes one promotion more."""
        stood: list[str] = []
        for move in self.moves:
            if (move.name, move.label) != (name, label):
                continue
            if move.kind == "rollback" and move.sha in stood:
                del stood[stood.index(move.sha) + 1 :]
            else:
                stood.append(move.sha)
        return stood[-2] if len(stood) > 1 else None


@dataclass(frozen=True, slots=True)
class Store:
    """What was promoted in a prompts folder: every text by (name, sha), and the labels."""

    labels: Labels
    texts: dict[tuple[str, str], Bundle]
    problems: list[Problem]


def read_labels(root: Path) -> Labels:
    """Empty where there is no file. ConfigError with the line."""
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Labels()
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(str(path), 0, f"cannot be read: {type(error).__name__}")
        raise ConfigError([problem]) from None
    document = Document(str(path), text)
    try:
        return Labels.model_validate(document.data or {})
    except ValidationError as error:
        raise ConfigError(document.problems(error, Labels.model_fields)) from None


def write_labels(root: Path, labels: Labels) -> None:
    """In one step, so that a gateway that watches never reads half a file."""
    page = io.StringIO(_HEAD)
    page.seek(0, io.SEEK_END)
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(labels.model_dump(exclude_none=True), page)
    part = root / f".{FILE}.part"
    part.write_text(page.getvalue(), encoding="utf-8")
    part.replace(root / FILE)


def keep(root: Path, bundle: Bundle) -> Path:
    """Puts the files of a text into the store, where it is found for ever. Its folder."""
    place = root / VERSIONS / bundle.name / bundle.sha
    for source in bundle.sources:
        file = place / source.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source.text, encoding="utf-8", newline="")
    return place


def read_store(root: Path, working: Iterable[Bundle], names: Collection[str] = ()) -> Store:
    """Everything that was promoted below `root` (with `names`, of those prompts), held against the
    texts there are now."""
    problems: list[Problem] = []
    try:
        labels = read_labels(root)
    except ConfigError as error:
        labels, problems = Labels(), list(error.problems)
    if names:
        own = {name: labels.labels[name] for name in labels.labels if name in names}
        labels = labels.model_copy(update={"labels": own})
    texts: dict[tuple[str, str], Bundle] = {}
    for place in sorted((root / VERSIONS).glob("**/*")):
        name = place.parent.relative_to(root / VERSIONS).as_posix() if place.is_dir() else ""
        if name and _is_sha(place.name) and (not names or name in names):
            problems += _take(place, name, texts)
    known = {bundle.name: bundle for bundle in working}
    problems += _unknown_labels(root, labels, known, texts)
    for (name, sha), kept in texts.items():
        now = known.get(name)
        if now is not None and now.version == kept.version and now.sha != sha:
            problems.append(_same_version(now, kept))
    return Store(labels, texts, problems)


def _is_sha(word: str) -> bool:
    return len(word) == 12 and set(word) <= set("0123456789abcdef")


def _take(place: Path, name: str, texts: dict[tuple[str, str], Bundle]) -> list[Problem]:
    found, problems = bundles(read_folder(place))
    bundle = found.get(name)
    if bundle is None or problems:
        return problems or [_broken(place, f"it holds no prompt {name!r}")]
    if bundle.sha != place.name:
        return [_broken(place, f"its files make {bundle.sha}: somebody has changed them")]
    texts[name, bundle.sha] = bundle
    return []


def _broken(path: Path, message: str, fix: str = "bring it back: git checkout -- PATH") -> Problem:
    return PromptProblem(str(path), 0, message, fix.replace("PATH", str(path)), "E151")


def _unknown_labels(
    root: Path, labels: Labels, known: dict[str, Bundle], texts: dict[tuple[str, str], Bundle]
) -> list[Problem]:
    problems: list[Problem] = []
    for name, own in labels.labels.items():
        for label, sha in own.items():
            if (name, sha) not in texts:
                message = f"{name}: {label} stands for {sha}, which is not in {VERSIONS}/"
                problems.append(_broken(root / FILE, message))
        if name not in known:
            hint = did_you_mean(name, known)
            problems.append(_broken(root / FILE, f"there is no prompt {name!r}", hint))
    return problems


def _same_version(now: Bundle, kept: Bundle) -> Problem:
    source = now.sources[0]
    line = next(
        (n for n, text in enumerate(source.text.split("\n"), 1) if text.startswith("version")), 1
    )
    message = f"version {now.version} was promoted with another text ({kept.sha}, now {now.sha})"
    first, second, third = now.version.split(".")
    fix = f'raise it: version: "{first}.{second}.{int(third) + 1}"'
    return source.problem("E150", line, 1, message, fix, width=len("version"))
