"""LiteLLM's request tags: which replicas a request may go to, as its sender says."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.domain.call import Call

# A client may not make us keep more than this.
MOST_TAGS = 16
MOST_CHARS = 128


def header_tags(value: str | None) -> tuple[str, ...]:
    """Of the header x-litellm-tags: names with commas between them."""
    return _bounded(value.split(",")) if value else ()


def call_tags(call: Call) -> tuple[str, ...]:
    """All of a call, sorted: those of the header, and `metadata.tags` of its body."""
    metadata = call.body.get("metadata")
    named = metadata.get("tags") if isinstance(metadata, dict) else None
    texts = (tag for tag in named if isinstance(tag, str)) if isinstance(named, list) else ()
    return tuple(sorted({*call.tags, *_bounded(texts)}))


def _bounded(tags: Iterable[str]) -> tuple[str, ...]:
    found = (tag.strip()[:MOST_CHARS] for tag in tags)
    return tuple(dict.fromkeys(filter(None, found)))[:MOST_TAGS]
