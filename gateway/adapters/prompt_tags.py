"""The Jinja environment of prompts: roles as tags, a sandbox, and bounds on output and time."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.adapters.prompt_front import Role
from gateway.adapters.prompt_paths import partial_path
from gateway.domain.document import did_you_mean

MAX_CHARS = 400_000
MAX_RANGE = 1_000
ROLES: tuple[str, ...] = get_args(Role)
SHEET = "_sheet"
"""The name of the Sheet among a render's variables; no template can say it (E121)."""


class RenderLimit(Exception):
    """A rendering passed its bound of characters or time."""


@dataclass(slots=True)
class Sheet:
    """What one rendering writes: its messages, and what is left of its bounds. `deadline` is on
    `clock`; `mark` stands in the name of every tag of the template until the end, so that the
    template's own tags can be told from tags in data: digits, which no filter changes, and not to
    be guessed."""

    clock: Callable[[], float]
    deadline: float
    left: int = MAX_CHARS
    messages: list[tuple[str, str]] = field(default_factory=list)
    mark: str = field(default_factory=lambda: f"-{secrets.randbits(64):020d}")

    def spend(self, characters: int) -> None:
        """RenderLimit when the output is too long or the time is over. Every loop passes here."""
        self.left -= characters
        if self.left < 0:
            raise RenderLimit(f"more than {MAX_CHARS} characters")
        if self.clock() > self.deadline:
            raise RenderLimit("took too long")


def _sheet(context: Context) -> Sheet:
    sheet = context.resolve(SHEET)
    if not isinstance(sheet, Sheet):
        raise TypeError("templates render through PromptFiles.render only")
    return sheet


class RoleTags(Extension):
    """`{% system %}`, `{% user %}`, `{% assistant %}` and `{% message "tool" %}`: what is inside
    becomes one message. The text is taken as it is and never read again."""

    tags = {"system", "user", "assistant", "message"}  # noqa: RUF012 - Jinja wants a plain set

    def parse(self, parser: Parser) -> nodes.Node:
        tag = next(parser.stream)
        role = tag.value
        if tag.value == "message":
            word = parser.stream.expect("string")
            role = word.value
            if role not in ROLES:
                parser.fail(f"unknown role {role!r}; {did_you_mean(role, ROLES)}", word.lineno)
        body = parser.parse_statements((f"name:end{tag.value}",), drop_needle=True)
        taken = self.call_method("take", [nodes.Const(role), nodes.ContextReference()])
        return nodes.CallBlock(taken, [], [], body).set_lineno(tag.lineno)

    def take(
        self, role: str, context: Context, *, caller: Callable[[], str], layout: bool = False
    ) -> str:
        """`layout`: the message ends with a loop, a condition or an include, and line ends there
        are not part of it."""
        text = str(caller())
        _sheet(context).messages.append((role, text.rstrip("\n") if layout else text))
        return ""


@pass_context
def _finalize(context: Context, value: Any) -> str:
    if isinstance(value, Undefined):
        return str(value)  # raises, with the name
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise TypeError(f"a {type(value).__name__} is not text; say which field, or use | json")
    text = str(value)
    _sheet(context).spend(len(text))
    return text


@pass_context
def _spend(context: Context, characters: int) -> str:
    _sheet(context).spend(characters)
    return ""


@pass_context
def _mark(context: Context, _: str) -> str:
    return _sheet(context).mark


def _default(value: Any, otherwise: Any = "", falsy: bool = False) -> Any:
    return otherwise if isinstance(value, Undefined) or (falsy and not value) else value


def _indent(text: str, width: int = 4, first: bool = False) -> str:
    if not 0 <= width <= 40:
        raise ValueError("indent takes 0 to 40")
    pad = " " * width
    indented = str(text).replace("\n", "\n" + pad)
    return pad + indented if first else indented


@pass_context
def _join(context: Context, parts: Sequence[Any], between: str = "") -> str:
    # Before the text exists: many short parts and a long separator make a huge one.
    _sheet(context).spend(len(between) * len(parts))
    return str(between).join(str(part) for part in parts)


@pass_context
def _json(context: Context, value: Any) -> str:
    quoted = json.dumps(value, ensure_ascii=False)
    # Quoting a quoted text over and over doubles its backslashes each time.
    _sheet(context).spend(len(quoted))
    return quoted


FILTERS: Mapping[str, Callable[..., Any]] = {
    "default": _default,
    "first": lambda parts: parts[0] if parts else "",
    "indent": _indent,
    "join": _join,
    "json": _json,
    "last": lambda parts: parts[-1] if parts else "",
    "length": len,
    "lower": lambda text: str(text).lower(),
    "trim": lambda text: str(text).strip(),
    "upper": lambda text: str(text).upper(),
}
TESTS: Mapping[str, Callable[..., bool]] = {
    "defined": lambda value: not isinstance(value, Undefined),
    "undefined": lambda value: isinstance(value, Undefined),
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float),
    "even": lambda value: value % 2 == 0,
    "odd": lambda value: value % 2 == 1,
}


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise ValueError(f"range() gives at most {MAX_RANGE} numbers")
    return numbers


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox in which prompts render. Values are plain dicts, lists and scalars, so an
    attribute is a key or nothing: no method of any object can be reached."""

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            undefined=StrictUndefined,
            finalize=_finalize,
            autoescape=False,
            extensions=[RoleTags],
            auto_reload=False,
            cache_size=-1,
        )
        self.globals = {"range": _range}
        self.filters = {**FILTERS, "_spend": _spend, "_mark": _mark}
        # `is` with no arguments, and `in`, which the compiler writes itself.
        self.tests = dict(TESTS)

    def join_path(self, template: str, parent: str) -> str:
        """An include names a partial with or without its ending."""
        return partial_path(template)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict):
            return self.getitem(obj, attribute)
        if isinstance(obj, LoopContext) and not attribute.startswith("_"):
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(obj=obj, name=argument)
