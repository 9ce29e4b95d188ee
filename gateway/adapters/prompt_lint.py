"""Lint of prompt files: everything that keeps one from loading, its tests, and warnings (W…)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import nodes

from gateway.adapters.prompt_bundle import Bundle
from gateway.adapters.prompt_check import TemplateCheck
from gateway.adapters.prompt_expressions import Scope
from gateway.adapters.prompt_files import PromptProblem, Source, front_of, problem_at
from gateway.adapters.prompt_front import FrontMatter
from gateway.adapters.prompt_preview import estimate
from gateway.adapters.prompt_render import Loaded, render
from gateway.adapters.prompt_tags import PromptEnvironment
from gateway.adapters.prompt_trials import verdicts
from gateway.adapters.prompts import Family, survey
from gateway.domain.document import ConfigError, Problem
from gateway.domain.errors import GatewayError

Count = Callable[[str], int]

_LONG_TEXT = 400
"""Characters of plain text after the most volatile input that are worth moving up."""
_MOMENTARY = re.compile(
    r"(?:^|_)(?:now|today|date|time|timestamp|clock|uuid|nonce|id|session)(?:_|$)"
)
_RANKS = {"project": 0, "untrusted": 1, "user": 2}


def is_warning(problem: Problem) -> bool:
    """A prompt with only such problems can be used."""
    return isinstance(problem, PromptProblem) and problem.code.startswith("W")


@dataclass(frozen=True, slots=True)
class Findings:
    """What lint found: every problem by file and line, failed tests among them; how many tests
    passed; the prompts that are sound."""

    problems: Sequence[Problem]
    passed: int
    families: Mapping[str, Family]

    @property
    def errors(self) -> int:
        """How many problems keep a prompt from being used."""
        return sum(not is_warning(problem) for problem in self.problems)

    def __str__(self) -> str:
        errors = self.errors
        return f"{errors} errors, {len(self.problems) - errors} warnings, {self.passed} passed"


def lint(folder: Path, names: Sequence[str] = (), count: Count = estimate) -> list[Problem]:
    """Every problem of the prompts below `folder`, by file and line; with `names`, of those prompts
    only. ConfigError when there is no such folder, UnknownPrompt where a name is of no prompt."""
    return list(examined(folder, names, count).problems)


def examined(folder: Path, names: Sequence[str] = (), count: Count = estimate) -> Findings:
    """`lint` with all that it found. ConfigError, UnknownPrompt."""
    families, problems = survey(folder, names)
    passed = 0
    for family in families.values():
        problems += warnings(family.working, count)
        for verdict in verdicts(family.working):
            passed += verdict.problem is None
            problems += [verdict.problem] if verdict.problem else []
    problems.sort(key=lambda one: (one.file, one.line, getattr(one, "column", 0)))
    return Findings(problems, passed, families)


def warnings(bundle: Bundle, count: Count) -> list[PromptProblem]:
    """What may be wrong with a prompt that loads."""
    partials = {source.path: source for source in bundle.sources}
    found: list[PromptProblem] = []
    own = set()
    for (locale, variant), loaded in sorted(bundle.faces.items()):
        if loaded.source.path in own:
            continue
        own.add(loaded.source.path)
        found += _Reading(loaded.front, partials).warnings(loaded.source)
        if not variant:
            found += _of_tests(loaded, count)
        if not locale and not variant:
            found += _of_order(loaded)
    return list(dict.fromkeys(found))


def _at(
    loaded: Loaded, path: tuple[str | int, ...], code: str, text: str, fix: str
) -> PromptProblem:
    return problem_at(loaded.source, front_of(loaded.source), path, code, text, fix)


def _of_tests(loaded: Loaded, count: Count) -> Iterator[PromptProblem]:
    front = loaded.front
    if not front.tests:
        fix = "add one under 'tests:': a name, inputs, and what the messages contain"
        yield _at(loaded, ("name",), "W250", "the prompt has no test", fix)
    for number, trial in enumerate(front.tests):
        most = trial.render.max_tokens
        if most is None:
            continue
        try:
            rendered = render(loaded, trial.inputs)
        except GatewayError:
            continue  # its verdict says so
        tokens = sum(count(message["content"]) for message in rendered.messages)
        if tokens > most:
            about = "about " if count is estimate else ""
            text = f"test {trial.name!r} has {about}{tokens} tokens, more than {most}"
            path = ("tests", number, "render", "max_tokens")
            yield _at(loaded, path, "W240", text, "shorten the text, or raise max_tokens")


def _of_order(loaded: Loaded) -> Iterator[PromptProblem]:
    order = loaded.front.cache.order if loaded.front.cache else []
    for number, name in enumerate(order[:-1]):
        later = [one for one in order[number + 1 :] if not _MOMENTARY.search(one)]
        if _MOMENTARY.search(name) and later:
            text = f"{name!r} is another each time, but stands before {later[0]!r}"
            yield _at(loaded, ("cache", "order", number), "W230", text, "move it to the end")


@dataclass(frozen=True, slots=True)
class _Use:
    """The first place that shows, or looks at, an input."""

    name: str
    scope: Scope
    node: nodes.Node


class _Reading(TemplateCheck):
    """Reads a sound template from top to bottom and remembers what it shows where."""

    def __init__(self, front: FrontMatter, partials: Mapping[str, Source]) -> None:
        super().__init__(PromptEnvironment(), partials)
        self._inputs = front.inputs
        self._order = (
            front.cache.order
            if front.cache
            else sorted(
                front.inputs,
                key=lambda name: (_MOMENTARY.search(name) is not None, self._rank(name)),
            )
        )
        self._explicit = front.cache is not None
        # a name in the template → the inputs that it holds a part of
        self._roots: dict[str, set[str]] = {name: {name} for name in front.inputs}
        self._uses: list[_Use] = []
        self._role = ""
        self._text_behind = 0
        # inputs of which an `if` around this place asks whether they are there
        self._asked: set[str] = {name for name, spec in front.inputs.items() if not spec.nullable}

    def _rank(self, name: str) -> int:
        return _RANKS[self._inputs[name].trust]

    def warnings(self, source: Source) -> list[PromptProblem]:
        """Those of a prompt's own file, and of what it includes."""
        self.prompt(source, self._inputs)
        used = {use.name for use in self._uses}
        for name in self._inputs:
            if name not in used:
                self._add(self._unused(source, name))
        self._out_of_order()
        return [problem for problem in self.problems if is_warning(problem)]

    def _unused(self, source: Source, name: str) -> PromptProblem:
        text, fix = f"the input {name!r} is not used", "use it in the template, or take it out"
        try:
            return problem_at(source, front_of(source), ("inputs", name), "W210", text, fix)
        except ConfigError:  # a variant's text has no front matter: the whole file, then
            return source.problem("W210", 0, 1, text, fix)

    def _out_of_order(self) -> None:
        ranks = {name: number for number, name in enumerate(self._order)}
        if not self._explicit:
            ranks = {name: self._rank(name) + 9 * bool(_MOMENTARY.search(name)) for name in ranks}
        for number, use in enumerate(self._uses):
            later = [
                one.name for one in self._uses[number + 1 :] if ranks[one.name] < ranks[use.name]
            ]
            if later:
                text = f"{use.name!r} changes more often than {later[0]!r}, but stands before it"
                fix = "show what changes least first, so that the server's cache keeps it"
                self._report(use.scope, use.node, "W230", (use.name,), text, fix)
        if self._uses and self._text_behind > _LONG_TEXT:
            use = max(self._uses, key=lambda one: ranks[one.name])
            text = f"{self._text_behind} characters that never change stand behind {use.name!r}"
            self._report(use.scope, use.node, "W230", (use.name,), text, "move them before it")

    def _on_name(self, node: nodes.Name, scope: Scope) -> None:
        super()._on_name(node, scope)
        if node.ctx != "load":
            return
        for name in sorted(self._roots.get(node.name, ())):
            if name not in {use.name for use in self._uses}:
                self._uses.append(_Use(name, scope, node))
                self._text_behind = 0
            if self._role == "system" and self._inputs[name].trust == "untrusted":
                text = f"{name!r} is untrusted, but stands in the system message"
                fix = "show it in {% user %}, between tags of its own"
                self._report(scope, node, "W220", (node.name,), text, fix)

    def _on_getattr(self, node: nodes.Getattr, scope: Scope) -> None:
        self._unasked(node, scope)
        super()._on_getattr(node, scope)

    def _on_getitem(self, node: nodes.Getitem, scope: Scope) -> None:
        self._unasked(node, scope)
        super()._on_getitem(node, scope)

    def _unasked(self, node: nodes.Getattr | nodes.Getitem, scope: Scope) -> None:
        if not isinstance(node.node, nodes.Name):
            return
        for name in sorted(self._roots_of(node.node) - self._asked):
            text = f"{name!r} may be missing, and then it has no fields"
            fix = f"show it inside {{% if {node.node.name} %}} … {{% endif %}}"
            self._report(scope, node, "W260", (node.node.name,), text, fix)

    def _on_if(self, node: nodes.If | nodes.CondExpr, scope: Scope) -> None:
        asked = self._asked
        self._asked = asked | set().union(*map(self._roots_of, _bare(node.test)))
        self._walk_all(node.iter_child_nodes(), scope)
        self._asked = asked

    _on_condexpr = _on_if

    def _on_templatedata(self, node: nodes.TemplateData, scope: Scope) -> None:
        self._text_behind += len(node.data.strip())

    def _on_callblock(self, node: nodes.CallBlock, scope: Scope) -> None:
        role = node.call.args[0] if node.call.args else None
        self._role = str(role.value) if isinstance(role, nodes.Const) else ""
        super()._on_callblock(node, scope)
        self._role = ""

    def _on_for(self, node: nodes.For, scope: Scope) -> None:
        self._alias(node.target, node.iter)
        super()._on_for(node, scope)

    def _on_assign(self, node: nodes.Assign, scope: Scope) -> None:
        self._alias(node.target, node.node)
        super()._on_assign(node, scope)

    def _alias(self, target: nodes.Node, value: nodes.Node) -> None:
        found = [*value.find_all(nodes.Name), *([value] if isinstance(value, nodes.Name) else [])]
        roots = set().union(*map(self._roots_of, found))
        names = [
            *target.find_all(nodes.Name),
            *([target] if isinstance(target, nodes.Name) else []),
        ]
        for name in names:
            self._roots[name.name] = roots

    def _roots_of(self, name: nodes.Name) -> set[str]:
        return self._roots.get(name.name, set())


def _bare(test: nodes.Node) -> Iterator[nodes.Name]:
    """The names that a test looks at themselves, and not at a field of."""
    if isinstance(test, nodes.Name):
        yield test
    elif not isinstance(test, nodes.Getattr | nodes.Getitem):
        for child in test.iter_child_nodes():
            yield from _bare(child)
