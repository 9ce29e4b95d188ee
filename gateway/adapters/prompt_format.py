"""The layout of prompt files, as `gateway prompts fmt` writes it: their meaning never changes."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import TemplateSyntaxError

from gateway.adapters.prompt_front import FrontMatter
from gateway.adapters.prompt_paths import LOCALE, SUFFIX
from gateway.adapters.prompt_tags import PromptEnvironment
from gateway.domain.document import ConfigError, Document

_FRONT = re.compile(r"\A---[ \t]*\n(?P<front>.*?\n)?---[ \t]*(?:\n|\Z)", re.DOTALL)
_SCHEMA = re.compile(r"^# yaml-language-server:.*\n", re.MULTILINE)
_KEY = re.compile(r"^(?P<key>[A-Za-z_]\w*)[ \t]*:")
_TAG = re.compile(r"(?P<open>\{[{%][-+]?)(?P<body>.*?)(?P<close>[-+]?[%}]\})", re.DOTALL)
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|\{#.*?#\}", re.DOTALL)
_KEYS = tuple(FrontMatter.model_fields)


def formatted(path: str, text: str) -> str:
    """`text` of the file at `path` (in the prompts folder, with slashes), laid out. A file that
    cannot be read as a prompt, or that would come to mean something else, stays as it is."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT.match(plain) if path.endswith(SUFFIX) else None
    if path.endswith(SUFFIX) and front is None:
        return text
    whole = _template(plain)
    if front is not None:
        # Around a prompt's messages there is only layout; a partial's blank lines are its text.
        body = _template(plain[front.end() :]).strip("\n")
        whole = f"{_head(path, front['front'] or '')}{body}\n"
    meant = _means(path, plain)
    return whole if meant is not None and meant == _means(path, whole) else text


def _head(path: str, front: str) -> str:
    depth = len(PurePosixPath(path).parts) - 1
    file = "locale" if LOCALE.match(path) else "prompt"
    schema = f"# yaml-language-server: $schema={'../' * depth}schema/{file}.schema.json\n"
    blocks, lines = [], _SCHEMA.sub("", front).split("\n")
    block: list[str] = []
    for line in lines:
        # A comment belongs to the key that follows it.
        if _KEY.match(line) and any(_KEY.match(one) for one in block):
            cut = len(block)
            while cut and block[cut - 1].startswith("#"):
                cut -= 1
            blocks.append(block[:cut])
            block = block[cut:]
        block.append(line)
    blocks.append(block)
    blocks.sort(key=_place)
    body = "\n".join("\n".join(one).rstrip() for one in blocks if any(map(str.strip, one)))
    return f"---\n{schema}{body.strip()}\n---\n"


def _place(block: list[str]) -> int:
    key = next((found["key"] for line in block if (found := _KEY.match(line))), "")
    return _KEYS.index(key) if key in _KEYS else len(_KEYS)


def _template(text: str) -> str:
    pieces, last = [], 0
    for kept in _RAW.finditer(text):
        pieces += [_TAG.sub(_spaced, text[last : kept.start()]), kept[0]]
        last = kept.end()
    pieces.append(_TAG.sub(_spaced, text[last:]))
    return "".join(pieces)


def _spaced(found: re.Match[str]) -> str:
    body = found["body"].strip()
    return f"{found['open']} {body} {found['close']}" if body else found[0]


def _means(path: str, text: str) -> tuple[Any, Any] | None:
    """Front matter and syntax tree; None for what is no prompt or partial."""
    front = _FRONT.match(text) if path.endswith(SUFFIX) else None
    try:
        fields = Document(path, front["front"] or "").data if front else None
        tree = PromptEnvironment().parse(text[front.end() :].strip("\n") if front else text)
    except (ConfigError, TemplateSyntaxError):
        return None
    return fields, tree


def format_folder(root: Path, *, write: bool) -> list[Path]:
    """The files below `root` that are laid out otherwise, which `write` mends."""
    changed = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_versions")))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.endswith(".j2") or path.is_symlink():
                continue
            text = path.read_bytes().decode("utf-8", "strict")
            better = formatted(path.relative_to(root).as_posix(), text)
            if better != text:
                changed.append(path)
                if write:
                    path.write_text(better, encoding="utf-8", newline="")
    return changed
