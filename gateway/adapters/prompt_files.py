"""Prompt files in a folder: read, split at the front matter, and checked field by field."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from gateway.adapters.prompt_front import FrontMatter, known_keys, part_at
from gateway.domain.bounds import Bounds
from gateway.domain.document import ConfigError, Document, Problem, did_you_mean
from gateway.domain.errors import InvalidRequest
from gateway.domain.schema_bounds import check_schemas

KeyPath = tuple[str | int, ...]

SUFFIX = ".prompt.j2"
VERSIONS = "_versions"
"""The folder of texts that labels stand for, beside the working ones."""
LOCALE = re.compile(r"^(?P<name>[^.]+)\.(?P<locale>[a-z]{2,3})\.prompt\.j2$")
_FENCE = re.compile(r"\A---[ \t]*\n(?P<front>.*?\n)?---[ \t]*(?:\n|\Z)", re.DOTALL)
_QUOTED_VERSION = re.compile(r"version[ \t]*:[ \t]*[\"']")
_START = (
    'begin with a line "---", then api: prompt/v1, name, version and description, then a line "---"'
)


@dataclass(frozen=True, slots=True)
class PromptProblem(Problem):
    """A Problem with a lint `code`, its `column` (from 1) and the `source` line, for the caret."""

    code: str = ""
    column: int = 0
    source: str = ""
    width: int = 1

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}:{self.column}"
        shown = f"{place}: {self.code} {self.message}"
        if self.line:
            gutter = f"    {self.line} | "
            # Tabs stay tabs, so that the caret stands below what it points at.
            lead = re.sub(r"[^\t]", " ", self.source[: self.column - 1])
            blank = " " * (len(gutter) - 2) + "| "
            shown += f"\n{gutter}{self.source}\n{blank}{lead}{'^' * self.width}"
        return shown + (f"\n    fix: {self.fix}" if self.fix else "")


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the folder. `path` is relative to the folder, with slashes; `file` is what
    messages call it; `text` has LF line ends; `template` is the text with its front matter blanked,
    so that its lines are the file's lines."""

    path: str
    file: str
    text: str
    template: str

    def problem(
        self, code: str, line: int, column: int, message: str, fix: str, *, width: int = 1
    ) -> PromptProblem:
        """A problem here; line 0 means the whole file."""
        lines = self.text.split("\n")
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        column = min(max(column, 1), len(shown) + 1)
        width = max(1, min(width, len(shown) - column + 1))
        return PromptProblem(self.file, line, message, fix, code, column, shown, width)


@dataclass(frozen=True, slots=True)
class PromptSource:
    """A prompt file whose front matter is sound; its template is not checked yet. `document` is
    the front matter as it was written."""

    source: Source
    front: FrontMatter
    document: Document


@dataclass(slots=True)
class Folder:
    """What was read from a folder: prompts by name, partials by path, and what is wrong so far.
    `languages` are the texts of prompts in other languages, not looked at yet."""

    prompts: dict[str, PromptSource] = field(default_factory=dict)
    partials: dict[str, Source] = field(default_factory=dict)
    languages: list[Source] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def partial_path(name: str) -> str:
    """The path of the partial that an include names; the ending may be left out."""
    return name if name.endswith(".j2") else f"{name}.j2"


def read_folder(root: Path) -> Folder:
    """Every prompt and partial below `root`. ConfigError only when there is no such folder."""
    if not root.is_dir():
        raise ConfigError(
            [Problem(str(root), 0, "there is no such folder", "name it with --prompts DIR")]
        )
    folder = Folder()
    for path in _template_paths(root):
        source = _read(root, path, folder.problems)
        if source is None:
            continue
        if not path.name.endswith(SUFFIX):
            folder.partials[source.path] = source
            continue
        if LOCALE.match(source.path):
            folder.languages.append(source)
            continue
        try:
            prompt = read_prompt(source)
        except ConfigError as error:
            folder.problems.extend(error.problems)
        else:
            folder.prompts[prompt.front.name] = prompt
    if not folder.prompts and not folder.problems:
        message = f"no file *{SUFFIX} in this folder"
        folder.problems.append(Problem(str(root), 0, message, "name another with --prompts DIR"))
    return folder


def _template_paths(root: Path) -> list[Path]:
    found = []
    # Linked folders are not walked. A mounted Kubernetes ConfigMap keeps copies in "..<date>".
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".") and name != VERSIONS]
        found += [Path(folder, name) for name in names if name.endswith(".j2")]
    return sorted(found)


def _read(root: Path, path: Path, problems: list[Problem]) -> Source | None:
    if not path.resolve().is_relative_to(root.resolve()):
        message = "a link that leads out of the prompts folder"
        problems.append(Problem(str(path), 0, message, "put the file itself here"))
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        problems.append(Problem(str(path), 0, f"cannot be read: {reason}", "save it as UTF-8"))
        return None
    front = _FENCE.match(text) if path.name.endswith(SUFFIX) else None
    template = text
    if front is not None:
        template = "\n" * front[0].count("\n") + text[front.end() :]
    return Source(path.relative_to(root).as_posix(), str(path), text, template)


def read_prompt(source: Source) -> PromptSource:
    """ConfigError with every problem of the front matter."""
    document = front_of(source)
    try:
        front = FrontMatter.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError(found_by_pydantic(source, document, error)) from None
    problems = _beyond_types(source, document, front)
    if problems:
        raise ConfigError(problems)
    return PromptSource(source, front, document)


# YAML takes most of the time of a load, and an edit changes one file of many.
_document = lru_cache(maxsize=256)(Document)


def front_of(source: Source) -> Document:
    """The front matter as YAML with keys. ConfigError."""
    found = _FENCE.match(source.text)
    if found is None:
        raise ConfigError([source.problem("E100", 1, 1, "no front matter", _START)])
    try:
        # The first fence becomes an empty line: lines count from the top of the file.
        document = _document(source.file, "\n" + (found["front"] or ""))
    except ConfigError as error:
        raise ConfigError(
            [source.problem("E100", p.line, 1, p.message, p.fix) for p in error.problems]
        ) from None
    if not isinstance(document.data, dict):
        raise ConfigError([source.problem("E100", 1, 1, "the front matter has no keys", _START)])
    return document


def found_by_pydantic(
    source: Source, document: Document, error: ValidationError
) -> list[PromptProblem]:
    """Each with its code, at its place, and what may stand there."""
    problems: dict[KeyPath, PromptProblem] = {}
    for item in error.errors(include_url=False, include_input=False):
        path, kind = item["loc"], item["type"]
        if kind not in ("missing", "extra_forbidden"):
            path = _present(document.data, path)
        where = ".".join(map(str, path)) or "the front matter"
        code, message, fix = "E102", f"{where}: {item['msg']}", _meaning(path)
        if kind == "extra_forbidden":
            code, message = "E101", f"unknown key {where!r}"
            fix = did_you_mean(str(path[-1]), known_keys(path[:-1]))
        elif kind == "missing":
            message, fix = f"{where} is missing", f"add '{path[-1]}: …'"
        elif path == ("version",):
            message, fix = "the version is not three numbers in quotes", 'version: "1.0.0"'
        elif path[-1:] == ("type",):
            message = f"{where} is not a type"
        # One wrong value of a union gives an error for each member: the first will do.
        problems.setdefault(path, problem_at(source, document, path, code, message, fix))
    return list(problems.values())


def _present(content: object, path: KeyPath) -> KeyPath:
    """The part of `path` that the file has: pydantic adds steps of its own for unions."""
    found: KeyPath = ()
    for step in path:
        try:
            content = content[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
        found = (*found, step)
    return found


def _meaning(path: KeyPath) -> str:
    part = part_at(path[:-1]) if path else None
    about = part.model_fields.get(str(path[-1])) if part else None
    if about is not None and about.description:
        return f"{path[-1]} is: {about.description}"
    return "prompts/schema/prompt.schema.json says what may stand here"


def problem_at(
    source: Source,
    document: Document,
    path: KeyPath,
    code: str,
    message: str,
    fix: str,
) -> PromptProblem:
    """A problem at what the front matter has at `path`, or at the nearest part that it has."""
    line = document.line(path) or 1
    shown = source.text.split("\n")[line - 1]
    names = [step for step in path if isinstance(step, str) and step in shown]
    key = names[-1] if names else shown.strip()
    return source.problem(code, line, shown.find(key) + 1, message, fix, width=len(key))


def _beyond_types(source: Source, document: Document, front: FrontMatter) -> list[PromptProblem]:
    problems = []

    def wrong(path: KeyPath, code: str, message: str, fix: str) -> None:
        problems.append(problem_at(source, document, path, code, message, fix))

    expected = source.path.removesuffix(SUFFIX)
    if front.name != expected:
        fix = f"write name: {expected}, or move the file to {front.name}{SUFFIX}"
        wrong(("name",), "E102", f"the name {front.name!r} is not the file's path", fix)
    line = source.text.split("\n")[document.line(("version",)) - 1]
    if not _QUOTED_VERSION.search(line):
        message = "the version is not in quotes; YAML would read 1.10 as the number 1.1"
        wrong(("version",), "E102", message, f'version: "{front.version}"')
    order = front.cache.order if front.cache else []
    for number, name in enumerate(order):
        if name not in front.inputs or name in order[:number]:
            again = name in order[:number]
            message = f"{name!r} stands twice" if again else f"there is no input {name!r}"
            fix = "keep one" if again else did_you_mean(name, front.inputs)
            wrong(("cache", "order", number), "E101", message, fix)
    for name in front.inputs:
        if order and name not in order:
            fix = f"add {name} where it belongs, from stable to volatile"
            wrong(("cache", "order"), "E102", f"the input {name!r} is missing from the order", fix)
    problems += broken_trials(source, document, front)
    if front.output.answer_schema is not None:
        try:
            check_schemas([("output.schema", front.output.answer_schema)], Bounds())
        except InvalidRequest as error:
            at = tuple((error.param or "").split("."))
            wrong(at, "E102", error.public, "a replica would refuse it: mend it")
    return problems


def broken_trials(source: Source, document: Document, front: FrontMatter) -> list[PromptProblem]:
    """Inputs of tests that the prompt does not declare."""
    problems = []
    for number, trial in enumerate(front.tests):
        for name in trial.inputs:
            if name not in front.inputs:
                path = ("tests", number, "inputs", name)
                message = f"there is no input {name!r}"
                fix = did_you_mean(name, front.inputs)
                problems.append(problem_at(source, document, path, "E101", message, fix))
    return problems
