"""The allow-list of prompt templates: each node is known, or refused with its place and a fix."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from jinja2 import TemplateSyntaxError, nodes

from gateway.adapters.prompt_expressions import TAGS, ExpressionCheck, Place, Scope
from gateway.adapters.prompt_files import Source
from gateway.adapters.prompt_lexemes import Lexemes
from gateway.adapters.prompt_paths import partial_path
from gateway.adapters.prompt_tags import PromptEnvironment
from gateway.domain.document import did_you_mean

MAX_DEPTH = 5
"""How many includes may stand inside each other."""


class TemplateCheck(ExpressionCheck):
    """Checks one prompt and what it includes. `reached` are the paths of the partials that it
    includes, `messages` how many message tags there are."""

    def __init__(self, environment: PromptEnvironment, partials: Mapping[str, Source]) -> None:
        super().__init__()
        self._environment = environment
        self._partials = partials
        self._trees: dict[str, nodes.Template] = {}
        self.reached: set[str] = set()
        self.messages = 0

    def prompt(self, source: Source, inputs: Collection[str]) -> None:
        """Check a prompt file whose declared inputs are `inputs`."""
        before = len(self.problems)
        self._file(Scope(source, Place.OUTSIDE, {*inputs, "range"}, {"range"}, (source.path,)))
        if not self.messages and len(self.problems) == before:
            line = source.text.count("\n", 0, len(source.text.rstrip())) + 1
            fix = "wrap the text: {% user %} … {% enduser %}"
            self._add(source.problem("E130", line, 1, "the template has no message", fix))

    def _file(self, scope: Scope) -> None:
        tree = self._tree(scope.source)
        if tree is not None:
            self._walk_all(tree.body, scope)

    def _tree(self, source: Source) -> nodes.Template | None:
        if source.path in self._trees:
            return self._trees[source.path]
        try:
            tree = self._environment.parse(source.template, source.path)
            self._lexemes[source.path] = Lexemes(self._environment, source.template)
        except TemplateSyntaxError as error:
            shown = source.text.split("\n")[error.lineno - 1 : error.lineno]
            column = len(shown[0]) - len(shown[0].lstrip()) + 1 if shown else 1
            fix = f"mend the syntax; the tags here are {TAGS}"
            message = error.message or "not a template"
            self._add(source.problem("E103", error.lineno, column, message, fix))
            return None
        self._trees[source.path] = tree
        self._control_tokens(source)
        return tree

    def _control_tokens(self, source: Source) -> None:
        for line, column, token in self._lexemes[source.path].control_tokens():
            message = f"the control token {token!r} of a chat template"
            fix = "leave it out: the model's server writes these itself around each message"
            self._add(source.problem("E131", line, column, message, fix, width=len(token)))

    def _on_output(self, node: nodes.Output, scope: Scope) -> None:
        for part in node.nodes:
            if scope.place is Place.OUTSIDE:
                self._outside(part, scope)
            self._walk(part, scope)

    def _outside(self, part: nodes.Node, scope: Scope) -> None:
        fix = "move it into {% system %}, {% user %} or {% assistant %}"
        if not isinstance(part, nodes.TemplateData):
            self._report(scope, part, "E130", ("{{",), "a value outside a message", fix)
            return
        text = part.data.lstrip()
        if text:
            line = part.lineno + part.data[: len(part.data) - len(text)].count("\n")
            first = text.split("\n", 1)[0].rstrip()
            column = scope.source.text.split("\n")[line - 1].find(first) + 1
            self._add(
                scope.source.problem(
                    "E130", line, column, "text outside a message", fix, width=len(first)
                )
            )

    def _on_callblock(self, node: nodes.CallBlock, scope: Scope) -> None:
        if not isinstance(node.call.node, nodes.ExtensionAttribute):
            fix = "include a partial, or use a macro as {{ name(…) }}"
            self._report(scope, node, "E123", ("call",), "'call' is not allowed in a prompt", fix)
            return
        self.messages += 1
        if scope.place is not Place.OUTSIDE:
            inside = "a message" if scope.place is Place.MESSAGE else "a macro or set block"
            message, fix = f"a message inside {inside}", "end that one first"
            self._report(scope, node, "E130", ("{%",), message, fix)
        self._walk_all(node.body, scope.inner(place=Place.MESSAGE))

    def _on_for(self, node: nodes.For, scope: Scope) -> None:
        self._walk(node.iter, scope)
        targets = {name.name for name in _names(node.target)}
        body = scope.inner({*targets, "loop"})
        body.recursive = node.recursive or scope.recursive
        self._walk(node.target, body)
        self._walk_all([node.test] if node.test else [], body)
        self._walk_all(node.body, body)
        self._walk_all(node.else_, scope)

    def _on_with(self, node: nodes.With, scope: Scope) -> None:
        self._walk_all(node.values, scope)
        body = scope.inner(name.name for target in node.targets for name in _names(target))
        self._walk_all([*node.targets, *node.body], body)

    def _on_assign(self, node: nodes.Assign, scope: Scope) -> None:
        self._walk(node.node, scope)
        self._set(node.target, scope)

    def _on_assignblock(self, node: nodes.AssignBlock, scope: Scope) -> None:
        self._walk_all(node.body, scope.inner(place=Place.CAPTURE))
        if node.filter is not None:
            self._walk(node.filter, scope)
        self._set(node.target, scope)

    def _set(self, target: nodes.Node, scope: Scope) -> None:
        set_now = {name.name for name in _names(target)}
        scope.names |= set_now
        scope.macros -= set_now
        self._walk(target, scope)

    def _on_macro(self, node: nodes.Macro, scope: Scope) -> None:
        if node.name.startswith("_"):
            self._underscore(node, node.name, scope)
        self._walk_all(node.defaults, scope)
        scope.names.add(node.name)
        scope.macros.add(node.name)
        body = scope.inner((name.name for name in node.args), Place.CAPTURE)
        self._walk_all([*node.args, *node.body], body)

    def _on_include(self, node: nodes.Include, scope: Scope) -> None:
        if node.ignore_missing or not node.with_context:
            message, fix = "'include' with an option", 'write only {% include "_partials/name" %}'
            self._report(scope, node, "E123", ("include",), message, fix)
        name = node.template.value if isinstance(node.template, nodes.Const) else None
        if not isinstance(name, str):
            message, fix = "an include of a computed name", "write the name in quotes"
            self._report(scope, node, "E120", ("include",), message, fix)
            return
        path = partial_path(name)
        source = self._partials.get(path)
        words = ("include", name)
        if source is None:
            known = [path.removesuffix(".j2") for path in self._partials]
            message = f"there is no partial {name!r} in the prompts folder"
            self._report(scope, node, "E111", words, message, did_you_mean(name, known))
        elif path in scope.files:
            chain = " → ".join((*scope.files[scope.files.index(path) :], path))
            message = f"includes go in a circle: {chain}"
            self._report(scope, node, "E112", words, message, "leave one of them out")
        elif len(scope.files) > MAX_DEPTH:
            message = f"more than {MAX_DEPTH} includes inside each other"
            self._report(scope, node, "E112", words, message, "include it from higher up")
        else:
            self.reached.add(path)
            inner = scope.inner()
            inner.source, inner.files = source, (*scope.files, path)
            self._file(inner)


def _names(target: nodes.Node) -> list[nodes.Name]:
    if isinstance(target, nodes.Name):
        return [target]
    return list(target.find_all(nodes.Name))
