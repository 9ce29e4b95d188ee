"""Reads source code with tree-sitter, in bounded time: TreeSitter tells structure and errors."""

from __future__ import annotations

import hashlib
import importlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

from gateway.adapters import depth, error_nodes
from gateway.adapters.grammars import GRAMMARS, Grammar
from gateway.adapters.python_syntax import PythonSyntax
from gateway.domain import layout, lines
from gateway.domain.structure import Definition, Run, Structure

MOST_BYTES = 1024 * 1024
"""Longer texts are read by their layout: a parser takes 0.3 s for so many."""
LONGEST_LINE = 20_000
"""Characters: a longer line is made by a machine, and its structure is of no use to anybody."""
SECONDS = 0.5
"""Of processor time: how long the parser may take for one text."""
_REMEMBERED = 512
_CHUNK = 65_536

_NAMES = ("name", "declarator", "key", "field", "method", "type")
_NAME_KINDS = frozenset(
    {"identifier", "type_identifier", "simple_identifier", "constant", "object_reference", "word"}
    | {"type_spec", "type_alias", "setext_heading", "atx_heading", "selectors"}
    | {"bare_key", "dotted_key"}
)
_QUALIFIED = re.compile(r"\w[\w.:]*[.:](\w+)")


@dataclass(frozen=True, slots=True)
class _Reader:
    language: Language
    query: Query
    grammar: Grammar


@dataclass(frozen=True, slots=True)
class _Rows:
    """A text as its lines and as its bytes, and the grammar it was parsed with."""

    rows: list[str]
    raw: bytes
    grammar: Grammar


class TreeSitter:
    """Satisfies ports.Syntax, where the same text is parsed once, and syntax_errors.SyntaxErrors.
    Safe in any thread."""

    def __init__(self, *, seconds: float = SECONDS, clock: Callable[[], float] = time.thread_time):
        self._seconds = seconds
        self._clock = clock
        self._python = PythonSyntax()
        self._known: OrderedDict[bytes, Structure] = OrderedDict()
        self._lock = Lock()

    def structure(self, language: str, text: str) -> Structure:
        """The structure of `text`, by its layout where there is no grammar or it takes too long;
        never raises."""
        raw = text.encode("utf-8", "replace")
        key = hashlib.blake2b(raw, digest_size=16, person=language.encode()[:16]).digest()
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
        found = self._read(language, text, raw)
        with self._lock:
            self._known[key] = found
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found

    def count(self, language: str, text: str) -> int | None:
        """The places of `text` that the grammar does not know, or had to make up; None without a
        grammar, for a text of more than MOST_BYTES, and where it takes too long.

        The grammar of Python takes much that Python refuses (a body that is not indented, `print
        x`), so Python's own parser has the first word. It stops at the first error: where it finds
        one, the grammar says how many there are; of a text that is too long for it (it halts all
        threads), the grammar alone says it.
        """
        if language != "python":
            return self._errors(language, text)
        refused = self._python.count(language, text)
        if refused == 0:
            return 0
        found = self._errors(language, text)
        return found if found is None else max(found, refused or 0)

    def _errors(self, language: str, text: str) -> int | None:
        raw = text.encode("utf-8", "replace")
        reader = _reader(language) if language in GRAMMARS else ""
        if isinstance(reader, str) or len(raw) > MOST_BYTES or depth.beyond(language, text):
            return None
        until = self._clock() + self._seconds
        tree = self._parse(reader, raw, until)
        return error_nodes.count(tree.root_node, lambda: self._clock() > until) if tree else None

    def _read(self, language: str, text: str, raw: bytes) -> Structure:
        rows = lines.split(text)
        if max(map(len, rows), default=0) > LONGEST_LINE:
            return Structure(remark="It has lines of a length that only machines write.")
        if language not in GRAMMARS:
            return layout.read(rows)
        reader = _reader(language)
        if isinstance(reader, str):
            return layout.read(rows, reader)
        if len(raw) > MOST_BYTES:
            return layout.read(rows, f"It is longer than {MOST_BYTES} bytes.")
        if depth.beyond(language, text):
            return layout.read(rows, "It is nested too deep to be parsed.")
        until = self._clock() + self._seconds
        tree = self._parse(reader, raw, until)
        if tree is None:
            return layout.read(rows, "Parsing it took too long.")
        return _structure(reader, tree, rows, raw)

    def _parse(self, reader: _Reader, raw: bytes, until: float) -> Tree | None:
        def piece(offset: int, point: object) -> bytes:
            return raw[offset : offset + _CHUNK]

        def late(offset: int, errors: bool) -> bool:
            return self._clock() > until

        try:
            return Parser(reader.language).parse(piece, progress_callback=late)
        except ValueError:  # how the library says that it was stopped
            return None


@lru_cache(maxsize=64)
def _reader(language: str) -> _Reader | str:
    """The grammar of a language; a text that says what to install when it is not there."""
    grammar = GRAMMARS[language]
    try:
        module = importlib.import_module(grammar.module)
    except ImportError:
        return (
            f"The grammar of {language} is not installed on the gateway: "
            "pip install 'vllm-gateway[languages]'."
        )
    found = Language(getattr(module, grammar.maker)())
    kinds = {"body": grammar.bodies, "scope": grammar.scopes, "import": grammar.imports}
    patterns = [
        f"[{' '.join(f'({kind})' for kind in named.split())}] @{capture}"
        for capture, named in kinds.items()
        if named.split()
    ]
    return _Reader(found, Query(found, "\n".join([*patterns, grammar.more])), grammar)


def _structure(reader: _Reader, tree: Tree, rows: list[str], raw: bytes) -> Structure:
    """Of a tree: its definitions with the comments above them, and its imports."""
    # Without a progress callback: in tree-sitter 0.26.1 a query with one crashes the process. A
    # query takes a tenth of the time of the parse, which was bounded.
    found = QueryCursor(reader.query).captures(tree.root_node)
    read = _Rows(rows, raw, reader.grammar)
    definitions = [
        _definition(node, kind == "scope", read)
        for kind in ("body", "scope")
        for node in found.get(kind, ())
        if kind == "body" or _opens(node)
    ]
    definitions.sort(key=lambda one: (one.first, -one.end))
    imports = tuple(_rows(node) for node in found.get("import", ()))
    remark = "It has syntax errors." if tree.root_node.has_error else ""
    return Structure(tuple(definitions), imports, "syntax", remark)


def _opens(node: Node) -> bool:
    """Whether a scope has a body over several lines; `struct foo *x` mentions one and has none."""
    return node.end_point.row > node.start_point.row


def _rows(node: Node) -> Run:
    """The lines of a node. One that ends at the start of a line does not have that line."""
    last = node.end_point
    return node.start_point.row, max(last.row + (last.column > 0), node.start_point.row + 1)


def _definition(node: Node, scope: bool, read: _Rows) -> Definition:
    rows, comment = read.rows, read.grammar.comment
    wrappers = read.grammar.wrappers.split()
    outer = node
    while outer.parent is not None and outer.parent.type in wrappers:
        outer = outer.parent
    first, end = _rows(outer)
    while end > first + 1 and not rows[end - 1].strip():
        end -= 1
    above = first
    while comment and above and rows[above - 1].strip().startswith(comment):
        above -= 1
    return Definition(_name(node, read.raw), above, end, _body(node, first, end, rows), scope)


def _body(node: Node, first: int, end: int, rows: list[str]) -> Run:
    """The lines of a body without those that open and close it."""
    holder = node.child_by_field_name("value") or node
    body = holder.child_by_field_name("body")
    start = node.start_point.row + 1
    if body is not None:
        row, column = body.start_point
        alone = not rows[row][: len(rows[row]) - len(rows[row].lstrip())].strip()
        indented = not rows[row].encode()[:column].strip()
        opener = rows[row].lstrip().startswith(("{", "(", "["))
        start = row if alone and indented and not opener and row > first else row + 1
    closes = rows[end - 1].strip().startswith(("}", "end", ")", "]", "</")) and end - 1 > start
    return start, max(end - closes, start)


def _name(node: Node, raw: bytes) -> str:
    """The name that a definition gives; `""` for none."""
    for _ in range(6):  # in C it is inside a declarator inside a declarator
        found = next(filter(None, map(node.child_by_field_name, _NAMES)), None)
        if found is None:
            inside = [child for child in node.named_children if child.type in _NAME_KINDS]
            if not inside:
                break
            found = inside[0]
        node = found
        if not node.named_child_count:
            break
    text = raw[node.start_byte : min(node.end_byte, node.start_byte + 200)].decode(
        "utf-8", "replace"
    )
    text = text.strip("\"'` #").split("\n")[0]
    qualified = _QUALIFIED.fullmatch(text)
    return qualified[1] if qualified else text
