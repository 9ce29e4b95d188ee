"""A YAML file that remembers its lines, and what can be wrong with one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

Path = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: where (`file`, `line` from 1; 0 = the whole file), what, and how."""

    file: str
    line: int
    message: str
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" + (f"\n    fix: {self.fix}" if self.fix else "")


class ConfigError(Exception):
    """Configuration that cannot be used; `problems` is never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("a ConfigError names at least one problem")
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Ends a message: "did you mean …?" when something close is known, else up to 12 that are."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"known here: {shown}" if names else "nothing is known here"


class _Constructor(RoundTripConstructor):
    """What looks like a date or a number and is none (2027-02-30) is refused with its line."""

    def construct_non_recursive_object(self, node: Any, tag: str | None = None) -> Any:
        try:
            return super().construct_non_recursive_object(node, tag)
        except ValueError as error:
            raise ConstructorError(problem=str(error), problem_mark=node.start_mark) from None


class Document:
    """The parsed content of one YAML 1.2 file. `data` is plain dicts, lists and scalars."""

    def __init__(self, file: str, text: str) -> None:
        """ConfigError with the line when the text is not YAML, or has a key twice."""
        self.file = file
        try:
            yaml = YAML(typ="rt")
            yaml.Constructor = _Constructor
            self._tree = yaml.load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 0
            # A key given twice: ruamel adds both values, and one may be a secret.
            what, twice, _ = str(error.problem or error.context).partition(" with value ")
            fix = "keep one of the two" if twice else "look at the indentation and quotes there"
            raise ConfigError([Problem(file, line, f"not valid YAML: {what}", fix)]) from None
        except YAMLError as error:
            raise ConfigError([Problem(file, 0, f"not valid YAML: {error}")]) from None
        self.data: Any = _plain(self._tree)

    def line(self, path: Path) -> int:
        """The line (from 1) of the key or item at `path`, or of its nearest parent; 0 if none."""
        node, line = self._tree, 0
        for step in path:
            line = _line_of(node, step) or line
            try:
                node = node[step]
            except (KeyError, IndexError, TypeError):
                break
        return line

    def problem(self, path: Path, message: str, fix: str = "") -> Problem:
        """A Problem at the line of `path`."""
        return Problem(self.file, self.line(path), message, fix)

    def problems(
        self, error: ValidationError, known: Iterable[str] = (), prefix: Path = ()
    ) -> list[Problem]:
        """What pydantic found, each at its line; unknown keys with what may have been meant."""
        found = []
        for item in error.errors(include_url=False, include_input=False):
            path = [*prefix, *item["loc"]]
            where = ".".join(str(step) for step in path) or "the file"
            if item["type"] == "extra_forbidden":
                message = f"unknown key {where!r}"
                found.append(self.problem(path, message, did_you_mean(str(path[-1]), known)))
            else:
                found.append(self.problem(path, f"{where}: {item['msg']}"))
        return found


def _line_of(node: object, step: str | int) -> int:
    if isinstance(node, CommentedMap) and step in node:
        return int(node.lc.key(step)[0]) + 1
    if isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
        return int(node.lc.item(step)[0]) + 1
    return 0


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)


Part = TypeVar("Part")


@dataclass(slots=True)
class CheckReport:
    """What `gateway check` found: problems, and a line for each thing that is fine."""

    problems: list[Problem] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def take(self, read: Callable[[], Part], says: Callable[[Part], list[str]]) -> Part | None:
        """What `read` gives and the lines that it is worth; None, and its problems, if broken."""
        try:
            part = read()
        except ConfigError as error:
            self.problems += error.problems
            return None
        self.lines += says(part)
        return part
