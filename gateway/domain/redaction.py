"""Keeps secrets out of what is written down: by the name of a field, and by the look of a value.

A net for accidents, not a licence: nobody passes a key to a log on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

REDACTED = "[redacted]"

_DEPTH = 6
_SECRET_WORDS = frozenset(
    {"authorization", "cookie", "secret", "secrets", "password", "passwd", "token", "apikey"}
    | {"credential", "credentials"}
)
_SECRET_KEYS = ("api_key", "private_key", "access_key", "master_key", "signing_key")

# Values that give themselves away, then values that follow a name that does.
_VALUES = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|\Z)"
    # Not a word boundary: one secret may follow another without a gap. But "task-1" is none.
    r"|(?<![A-Za-z])(?:"
    r"sk-[\w-]{8,}"
    r"|gh[pousr]_\w{8,}"
    r"|github_pat_\w{8,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{12,}"
    r"|xox[a-z]-[\w-]{8,}"
    r"|glpat-[\w-]{8,}"
    r"|hf_\w{8,}"
    r"|eyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*)?"
    r")",
    re.DOTALL,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_NAMED = re.compile(
    r"(authorization|api[-_]?key|secret|password|passwd|token)"
    r"""(["']?\s{0,3}[:=]\s{0,3}b?["']?|["'],\s{0,3}b?["'])"""
    r"""[^\s"',;&}\])\[]{6,}""",
    re.IGNORECASE,
)
_COOKIES = re.compile(
    r"""(cookie)(["']?\s{0,3}[:=]\s{0,3}|["'],\s{0,3}b?["'])[^\r\n]+""", re.IGNORECASE
)
_URL_LOGIN = re.compile(r"(://)[^/\s:@]*:[^/\s@]+@")

# Something of this is in every text that a pattern above can match; looking for it is 50 times
# cheaper than the patterns. Lower case, and few: every log line is searched for each.
_MARKERS = (
    *("sk-", "gh", "github", "akia", "asia", "xox", "glpat", "hf_", "eyj", "private key"),
    *("bearer", "basic", "authorization", "cookie", "api_k", "api-k", "apik", "secret", "passw"),
    *("token", "@"),
)


@lru_cache(maxsize=1024)
def secret_name(name: str) -> bool:
    """Does a field of this name hold a secret? `x-api-key` yes; `prompt_tokens`, `key_id` no."""
    plain = name.lower().replace("-", "_")
    return any(key in plain for key in _SECRET_KEYS) or not _SECRET_WORDS.isdisjoint(
        re.split(r"[^a-z0-9]+", plain)
    )


def suspicious(text: str) -> bool:
    """Cheap: False means that `redact_text` would not change `text`."""
    lowered = text.lower()
    return any(marker in lowered for marker in _MARKERS)


def redact_text(text: str) -> str:
    """`text` with every value that looks like a secret, or follows the name of one, blotted out."""
    if not suspicious(text):
        return text
    text = _VALUES.sub(REDACTED, text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    text = _COOKIES.sub(rf"\1\2{REDACTED}", text)
    text = _NAMED.sub(rf"\1\2{REDACTED}", text)
    return _URL_LOGIN.sub(rf"\1{REDACTED}@", text)


def redact(value: object, name: str = "", depth: int = _DEPTH) -> object:
    """The value of a field called `name`, fit to be written down: strings, numbers, lists and
    mappings of them. Anything else becomes its text."""
    if value is None or isinstance(value, bool):
        return value
    if name and secret_name(name) and not _is_count(value, name):
        return REDACTED
    if isinstance(value, int | float):
        return value
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if isinstance(value, str):
        return redact_text(value)
    if depth == 0:
        return redact_text(str(value))
    if isinstance(value, Mapping):
        return {str(key): redact(item, str(key), depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return _redact_items(list(value), depth - 1)
    return redact_text(str(value))


def _redact_items(items: list[object], depth: int) -> list[object]:
    # Headers travel as pairs: (b"authorization", b"...").
    if len(items) == 2 and isinstance(items[0], str | bytes):
        first = items[0].decode("latin-1") if isinstance(items[0], bytes) else items[0]
        return [redact(first), redact(items[1], first, depth)]
    return [redact(item, depth=depth) for item in items]


def _is_count(value: object, name: str) -> bool:
    return isinstance(value, int | float) and "token" in name.lower()
