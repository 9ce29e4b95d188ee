"""Messages: how many, how many parts and media, and the hosts that are named in them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest
from gateway.domain.messages import check_messages

BOUNDS = Bounds(messages=3, parts=4, media_parts=2, media_hosts=("a.test", "b.test"))
TEXT = {"type": "text", "text": "x"}


def image(url: str = "data:,x") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def say(*contents: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for content in contents]


@pytest.mark.parametrize(
    "messages", [None, "x", [], say("a", None, [TEXT, image()]), [{"role": "assistant"}], ["x"]]
)
def test_ordinary_messages_pass(messages: Any) -> None:
    assert check_messages(messages, BOUNDS) == {}


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (say(*"abcd"), "messages"),
        (say([TEXT] * 3, [TEXT] * 2), "messages[1].content"),
        (say([image()] * 2, [image()]), "messages"),
        (say("a", [TEXT, image("http://c.test/")]), "messages[1].content[1].image_url.url"),
        (say([image("file:///a")], role="tool"), "messages[0].content[0].image_url.url"),
        (say([image("http://c.test/")], role="assistant"), "messages[0].content[0].image_url.url"),
        (say(image("http://c.test/")), "messages[0].content[0].image_url.url"),
        (say(3), "messages[0].content"),
    ],
)
def test_too_many_or_unwanted_ones_are_refused_with_the_place(messages: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_messages(messages, BOUNDS)
    assert caught.value.param == param


def test_each_host_is_told_once_with_the_place_that_names_it_first() -> None:
    urls = ("https://a.test/1", "https://b.test/", "https://a.test/2")
    bounds = Bounds(media_hosts=("a.test", "b.test"))
    found = check_messages(say(*([image(url)] for url in urls)), bounds)
    assert found == {"a.test": "messages[0].content", "b.test": "messages[1].content"}
