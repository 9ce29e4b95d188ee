"""What an expression in a prompt template may be: names, fields, filters, and not much more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from jinja2 import nodes

from gateway.adapters.prompt_files import PromptProblem, Source
from gateway.adapters.prompt_lexemes import Lexemes
from gateway.adapters.prompt_tags import FILTERS, MAX_RANGE, TESTS
from gateway.domain.document import did_you_mean

TAGS = "system, user, assistant, message, if, for, set, with, macro, include, raw"
_COMPUTE = "let the caller compute it and give it as an input; only + and - with a whole number"
_PLAIN_NODES = (
    nodes.And,
    nodes.Compare,
    nodes.CondExpr,
    nodes.If,
    nodes.Keyword,
    nodes.List,
    nodes.Neg,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Pair,
    nodes.Slice,
    nodes.Tuple,
)
_ARITHMETIC: Mapping[type[nodes.Node], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
    nodes.Concat: "~",
}
_STATEMENTS: Mapping[type[nodes.Node], str] = {
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.FilterBlock: "filter",
    nodes.CallBlock: "call",
    nodes.ScopedEvalContextModifier: "autoescape",
}


class Place(Enum):
    """Where the text of a node goes: nowhere, into a message, into a macro or a set block."""

    OUTSIDE = 1
    MESSAGE = 2
    CAPTURE = 3


@dataclass(slots=True)
class Scope:
    """What surrounds a node: its file, where its text goes, the names it may use, the files that
    include it."""

    source: Source
    place: Place
    names: set[str]
    macros: set[str]
    files: tuple[str, ...]
    recursive: bool = False

    def inner(self, names: Iterable[str] = (), place: Place | None = None) -> Scope:
        """A scope of its own, so that a name set there ends there."""
        return replace(
            self,
            place=place or self.place,
            names={*self.names, *names},
            macros=self.macros - set(names),
        )


class ExpressionCheck:
    """Walks the nodes of templates: one method for each kind of node that is allowed, and a problem
    for all others. `problems` holds each problem once."""

    def __init__(self) -> None:
        self.problems: list[PromptProblem] = []
        self._lexemes: dict[str, Lexemes] = {}
        self._told: set[tuple[int, str]] = set()
        self._used: set[tuple[str, str, int, int]] = set()

    def _add(self, problem: PromptProblem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _report(
        self, scope: Scope, node: nodes.Node, code: str, words: tuple[str, ...], text: str, fix: str
    ) -> None:
        """A problem at the next place, from the node's line on, where `words` follow each other.
        A node is told once: a partial may be walked again for another include."""
        if (id(node), code) in self._told:
            return
        self._told.add((id(node), code))
        lexemes = self._lexemes[scope.source.path]
        for line, column, width in lexemes.find(node.lineno, words, bare=code == "E110"):
            mark = (scope.source.path, code, line, column)
            if mark not in self._used:
                self._used.add(mark)
                self._add(scope.source.problem(code, line, column, text, fix, width=width))
                return
        self._add(scope.source.problem(code, node.lineno, 1, text, fix))

    def _walk_all(self, found: Iterable[nodes.Node], scope: Scope) -> None:
        for node in found:
            self._walk(node, scope)

    def _walk(self, node: nodes.Node, scope: Scope) -> None:
        handler = getattr(self, f"_on_{type(node).__name__.lower()}", None)
        if handler is not None:
            handler(node, scope)
        elif isinstance(node, _PLAIN_NODES):
            self._walk_all(node.iter_child_nodes(), scope)
        elif type(node) in _ARITHMETIC:
            self._arithmetic(node, scope)
        else:
            word = _STATEMENTS.get(type(node), type(node).__name__.lower())
            message = f"{word!r} is not allowed in a prompt"
            self._report(scope, node, "E123", (word,), message, f"use {TAGS}")

    def _on_templatedata(self, node: nodes.TemplateData, scope: Scope) -> None:
        """Plain text."""

    def _on_const(self, node: nodes.Const, scope: Scope) -> None:
        """A literal; control tokens in it were looked for in the source."""

    def _on_name(self, node: nodes.Name, scope: Scope) -> None:
        if node.name.startswith("_"):
            self._underscore(node, node.name, scope)
        elif node.ctx == "load" and node.name not in scope.names:
            message = f"{node.name!r} is not declared"
            fix = f"{did_you_mean(node.name, scope.names)} Or declare it under 'inputs:'."
            self._report(scope, node, "E110", (node.name,), message, fix)

    def _underscore(self, node: nodes.Node, name: str, scope: Scope) -> None:
        message = f"{name!r} begins with an underscore"
        self._report(scope, node, "E121", (name,), message, "use the fields that an input declares")

    def _on_getattr(self, node: nodes.Getattr, scope: Scope) -> None:
        if node.attr.startswith("_"):
            self._underscore(node, node.attr, scope)
        self._walk(node.node, scope)

    def _on_getitem(self, node: nodes.Getitem, scope: Scope) -> None:
        item = node.arg.node if isinstance(node.arg, nodes.Neg) else node.arg
        if isinstance(item, nodes.Const):
            if isinstance(item.value, str) and item.value.startswith("_"):
                self._underscore(node, item.value, scope)
        elif isinstance(item, nodes.Slice):
            self._walk(item, scope)
        else:
            message, fix = "an item by a computed name", "write the name: x.name or x[0]"
            self._report(scope, node, "E121", ("[",), message, fix)
        self._walk(node.node, scope)

    def _on_filter(self, node: nodes.Filter, scope: Scope) -> None:
        if node.name not in FILTERS:
            message = f"the filter {node.name!r} is not allowed"
            fix = did_you_mean(node.name, FILTERS)
            self._report(scope, node, "E123", ("|", node.name), message, fix)
        self._arguments(node, scope)
        if node.node is not None:
            self._walk(node.node, scope)

    def _on_test(self, node: nodes.Test, scope: Scope) -> None:
        if node.name not in TESTS:
            message = f"the test {node.name!r} is not allowed"
            self._report(scope, node, "E123", (node.name,), message, did_you_mean(node.name, TESTS))
        self._arguments(node, scope)
        self._walk(node.node, scope)

    def _arguments(self, node: nodes.Filter | nodes.Test | nodes.Call, scope: Scope) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            message, fix = "arguments by * or **", "write each argument"
            self._report(scope, node, "E120", ("*",), message, fix)
        self._walk_all([*node.args, *node.kwargs], scope)

    def _on_call(self, node: nodes.Call, scope: Scope) -> None:
        name = node.node.name if isinstance(node.node, nodes.Name) else ""
        allowed = name in scope.macros or (name == "loop" and scope.recursive)
        if not allowed:
            called = node.node.attr if isinstance(node.node, nodes.Getattr) else name
            fix = f"use a filter instead: {', '.join(FILTERS)}"
            message = f"a call of {called!r}" if called else "a call"
            self._report(scope, node, "E120", (called, "(") if called else ("(",), message, fix)
        for arg in node.args if name == "range" and allowed else ():
            number = arg.value if isinstance(arg, nodes.Const) else 0
            if isinstance(number, int) and number > MAX_RANGE:
                message, fix = f"range() above {MAX_RANGE}", "loop over an input instead"
                self._report(scope, node, "E120", ("range", "("), message, fix)
        self._arguments(node, scope)
        if not isinstance(node.node, nodes.Name):
            self._walk(node.node, scope)
        elif allowed or name.startswith("_"):
            self._on_name(node.node, scope)

    def _arithmetic(self, node: nodes.Node, scope: Scope) -> None:
        sides = list(node.iter_child_nodes())
        whole = any(isinstance(s, nodes.Const) and isinstance(s.value, int) for s in sides)
        if not (isinstance(node, nodes.Add | nodes.Sub) and whole):
            sign = _ARITHMETIC[type(node)]
            self._report(scope, node, "E122", (sign,), f"arithmetic with {sign!r}", _COMPUTE)
        self._walk_all(sides, scope)
