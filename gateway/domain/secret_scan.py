"""Secrets in source code: found by what only they look like, and taken out line for line.

Few patterns, each precise, rather than measures of entropy: a prompt is full of hashes and ids, and
what is taken out by mistake is missing from the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

REMOVED = "[secret removed]"
PLACEHOLDER = "SECRET_REMOVED_"
_PLACED = re.compile(rf"{PLACEHOLDER}X*\d{{4,}}_")

_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r".*?(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.S,
)
_PATTERNS = {
    "AWS access key": r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])",
    "GitHub token": r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})",
    "GitLab token": r"(?<![\w-])gl(?:pat|dt|rt|ptt|agent)-[\w-]{20,}",
    "Slack token": r"(?<![\w-])xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Slack webhook": r"https://hooks\.slack\.com/services/T\w+/B\w+/\w{20,}",
    "Google key": r"(?<![\w-])AIza[\w-]{35}(?![\w-])",
    "Hugging Face token": r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}",
    "OpenAI or gateway key": r"(?<![\w-])sk-(?:proj-|ant-|gw-|svcacct-)?[\w-]{24,}",
    "Stripe key": r"(?<![A-Za-z0-9])[sr]k_live_[A-Za-z0-9]{20,}",
    "npm token": r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}",
    "PyPI token": r"(?<![\w-])pypi-AgEI[\w-]{40,}",
    "signed web token": r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "password in a URL": r"(?<=://)[^\s/:@'\"<>${}%]{1,80}:(?P<v>[^\s/:@'\"<>${}%]{3,200})@",
    "assigned secret": r"""(?ix)(?:api[_-]?key|secret(?:[_-]?(?:key|access[_-]?key))?
        |access[_-]?token|auth[_-]?token|private[_-]?key|password|passwd)["']?\s{0,4}(?::=|=>|[:=])\s{0,4}
        ["'](?P<w>(?=[^"']*[0-9])(?=[^"']*[A-Za-z])[A-Za-z0-9+/=_.~-]{20,200})["']""",
}
_COMPILED = {name: re.compile(pattern) for name, pattern in _PATTERNS.items()}
# One of these is in each text that the pattern can match: looking for them is far cheaper.
_SIGNS: dict[str, tuple[str, ...]] = {
    "AWS access key": ("akia", "asia"),
    "GitHub token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    "GitLab token": ("glpat-", "gldt-", "glrt-", "glptt-", "glagent-"),
    "Slack token": ("xox",),
    "Slack webhook": ("hooks.slack",),
    "Google key": ("aiza",),
    "Hugging Face token": ("hf_",),
    "OpenAI or gateway key": ("sk-",),
    "Stripe key": ("k_live_",),
    "npm token": ("npm_",),
    "PyPI token": ("pypi-",),
    "signed web token": ("eyj",),
    "password in a URL": ("://",),
    "assigned secret": ("key", "secret", "token", "passw"),
}


@dataclass(frozen=True, slots=True)
class Clean:
    """A text without its secrets, as many lines as before. `found` counts them by kind; `kept`
    says what each placeholder stands for, where placeholders were asked for."""

    text: str
    found: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def count(self) -> int:
        """How many were found."""
        return sum(self.found.values())


def clean(text: str, *, reversible: bool = False) -> Clean:
    """`text` with each secret replaced: by REMOVED, or by a placeholder of its own."""
    spans = _apart(_spans(text))
    if not spans:
        return Clean(text)
    parts: list[str] = []
    found: dict[str, int] = {}
    kept: dict[str, str] = {}
    names: dict[str, str] = {}
    taken = PLACEHOLDER in text
    at = 0
    for start, end, kind in spans:
        secret = text[start:end]
        found[kind] = found.get(kind, 0) + 1
        mark = REMOVED
        if reversible:
            if secret not in names:
                names[secret] = _unused(text if taken else "", len(names) + 1)
            mark = names[secret]
            kept[mark] = secret
        parts += [text[at:start], mark]
        at = end
    return Clean("".join([*parts, text[at:]]), found, kept)


def restore(text: str, kept: Mapping[str, str]) -> str:
    """`text` with each placeholder replaced by what it stands for."""
    if not kept or PLACEHOLDER not in text:
        return text
    return _PLACED.sub(lambda found: kept.get(found[0], found[0]), text)


def placed(text: str) -> bool:
    """Whether `text` is a placeholder and nothing else, of whoever put it there."""
    return _PLACED.fullmatch(text) is not None


def begun(text: str, end: int, kept: Mapping[str, str]) -> int:
    """Where a placeholder of `kept` stands in `text` that is not over at `end`, or begins one of
    which the text may yet bring the rest; `end` for none."""
    # The first letter of a placeholder is nowhere else in it: an earlier one begins none.
    at = text.rfind(PLACEHOLDER[0], 0, end)
    if at < 0:
        return end
    rest = text[at:]
    for mark in kept:
        if mark.startswith(rest[: len(mark)]) and at + len(mark) > end:
            return at
    return end


def _unused(text: str, number: int) -> str:
    # Of one length each, so that none is the beginning of another; and not in the text already.
    extra = ""
    while (mark := f"{PLACEHOLDER}{extra}{number:04}_") in text:
        extra += "X"
    return mark


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    if "PRIVATE KEY" in text:
        for match in _KEY_BLOCK.finditer(text):
            yield from _lines_of(text, *match.span())
    lowered = text.lower()
    for kind, pattern in _COMPILED.items():
        if not any(sign in lowered for sign in _SIGNS[kind]):
            continue
        for match in pattern.finditer(text):
            group = match.lastgroup or 0
            yield match.start(group), match.end(group), kind


def _lines_of(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """A key over several lines is as many secrets, so that the lines stay as they were counted."""
    for match in re.finditer(r"[^\r\n]+", text[start:end]):
        yield start + match.start(), start + match.end(), "private key"


def _apart(spans: Iterator[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """In order; of those that overlap, the first."""
    found: list[tuple[int, int, str]] = []
    for start, end, kind in sorted(spans):
        if start < end and (not found or start >= found[-1][1]):
            found.append((start, end, kind))
    return found
