"""The messages of a chat: their shape, how many they are, and the media in them."""

from __future__ import annotations

from typing import Any

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest
from gateway.domain.media import check_parts, media_in
from gateway.domain.structured import too_many


def check_messages(messages: Any, bounds: Bounds) -> dict[str, str]:
    """Each host that a replica would fetch media from, with the place that names it first: only
    hosts that are allowed. InvalidRequest for too many messages or parts, and for media not taken.
    Of every role alike: a tool's answer may have images too."""
    hosts: dict[str, str] = {}
    if not isinstance(messages, list):
        return hosts
    if len(messages) > bounds.messages:
        raise too_many("messages", len(messages), bounds.messages, "messages")
    parts = media = 0
    for number, message in enumerate(messages):
        content = message.get("content") if type(message) is dict else None
        if content is None or type(content) is str:
            continue
        place = f"messages[{number}].content"
        parts += len(content) if isinstance(content, list) else 1
        if parts > bounds.parts:
            raise too_many(place, parts, bounds.parts, "parts")
        for host in check_parts(place, content, bounds):
            hosts.setdefault(host, place)
        media += media_in(content)
    if media > bounds.media_parts:
        raise InvalidRequest(
            f"'messages' have {media} images or other media; at most {bounds.media_parts} are "
            "taken (the operator sets limits.media_parts).",
            param="messages",
            code="array_above_max_length",
        )
    return hosts
