"""From checked sources to templates that can render: bounds woven into loops, marks into tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from types import CodeType
from typing import Any

from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, nodes

from gateway.adapters.prompt_files import Source
from gateway.adapters.prompt_tags import PromptEnvironment

_OPENED = re.compile(r"<([a-z][a-z0-9_-]*)")
_CLOSED = re.compile(r"</([a-z][a-z0-9_-]*)")


def tags_in(environment: PromptEnvironment, sources: Iterable[Source]) -> frozenset[str]:
    """The tags that give these templates their structure: names opened and closed in their text.
    The sources have been checked, so they parse."""
    opened: set[str] = set()
    closed: set[str] = set()
    for source in sources:
        tree = environment.parse(source.template, source.path)
        for part in tree.find_all(nodes.TemplateData):
            opened.update(_OPENED.findall(part.data))
            closed.update(_CLOSED.findall(part.data))
    return frozenset(opened & closed)


class Templates(BaseLoader):
    """Compiles sources that were read and checked before; nothing is read from disk here. `tags`
    are those whose names get the mark of a rendering."""

    def __init__(self, sources: Iterable[Source], tags: frozenset[str]) -> None:
        self._sources: Mapping[str, Source] = {source.path: source for source in sources}
        self._tags = tags

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,
    ) -> Template:
        source = self._sources.get(name)
        if source is None:
            raise TemplateNotFound(name)
        code = _code(source, self._tags)
        return environment.template_class.from_code(environment, code, globals or {}, None)


# Partials are the same in most prompts, and an edit changes one file of many.
@lru_cache(maxsize=1024)
def _code(source: Source, tags: frozenset[str]) -> CodeType:
    environment = PromptEnvironment()
    tree = environment.parse(source.template, source.path)
    _weave(tree, environment, tags)
    return environment.compile(tree, source.path, source.file)


def _weave(tree: nodes.Template, environment: Environment, tags: frozenset[str]) -> None:
    names = "|".join(sorted(map(re.escape, tags), key=len, reverse=True))
    tag = re.compile(rf"(</?(?:{names})(?![\w-]))") if names else None
    for message in tree.find_all(nodes.CallBlock):
        if not _trimmed(message.body):
            message.call.kwargs.append(nodes.Keyword("layout", nodes.Const(True)))
    bodies = [loop.body for loop in tree.find_all(nodes.For)]
    bodies += [macro.body for macro in tree.find_all(nodes.Macro)]
    for body in bodies:
        body.insert(0, _spending(body))
    for output in tree.find_all(nodes.Output):
        output.nodes = [piece for part in output.nodes for piece in _marked(part, tag)]
    tree.set_environment(environment)


def _marked(part: nodes.Expr, tag: re.Pattern[str] | None) -> list[nodes.Expr]:
    if not isinstance(part, nodes.TemplateData) or tag is None:
        return [part]
    pieces: list[nodes.Expr] = []
    for number, text in enumerate(tag.split(part.data)):
        pieces.append(nodes.TemplateData(text, lineno=part.lineno))
        if number % 2:
            empty = nodes.Const("", lineno=part.lineno)
            pieces.append(nodes.Filter(empty, "_mark", [], [], None, None, lineno=part.lineno))
    return pieces


def _trimmed(body: list[nodes.Node]) -> bool:
    """Takes off the line end before `{% enduser %}`, which is the author's layout. False where a
    tag comes last: only the rendering shows what it leaves there. Data is not touched."""
    last = body[-1] if body else None
    if not isinstance(last, nodes.Output):
        return False
    if isinstance(last.nodes[-1], nodes.TemplateData):
        last.nodes[-1].data = last.nodes[-1].data.rstrip()
    return True


def _spending(body: list[nodes.Node]) -> nodes.Output:
    """Counts the plain text of one round of a loop, and looks at the clock."""
    written = sum(
        len(part.data)
        for output in body
        if isinstance(output, nodes.Output)
        for part in output.nodes
        if isinstance(part, nodes.TemplateData)
    )
    line = body[0].lineno if body else 1
    count = nodes.Const(written, lineno=line)
    spend = nodes.Filter(count, "_spend", [], [], None, None, lineno=line)
    return nodes.Output([spend], lineno=line)
