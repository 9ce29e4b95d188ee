"""Media in messages: what is sent along passes, what is fetched only from where it may be."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest
from gateway.domain.media import allowed, check_parts, is_public, media_in

PIXEL = "data:image/png;base64,iVBORw0KGgo="
BOUNDS = Bounds(media_hosts=("img.example.com", "*.cdn.example.com"), media_bytes=100)


def image(url: object) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def hosts(part: object, bounds: Bounds = BOUNDS) -> list[str]:
    return check_parts("c", [part], bounds)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "see http://169.254.169.254/ and file:///etc/passwd"},
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        {"type": "refusal", "refusal": "no: http://a"},
        image(PIXEL),
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": PIXEL},
        {"image_url": PIXEL},
        {"type": "input_image", "image_url": PIXEL},
        {"type": "image_url", "image_url": "DATA:image/png;base64,AAAA"},
        {"type": "image_url", "image_url": None, "uuid": None},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,UklGRg=="}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a"}},
        {"type": "file", "file": {"file_id": "file-1", "filename": r"C:\letters\a: b.pdf"}},
        "a plain string",
    ],
)
def test_what_is_sent_along_needs_no_host(part: object) -> None:
    assert hosts(part, Bounds()) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "https://example.com/a.png",
        "HTTP://EXAMPLE.COM",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "/etc/passwd",
        "ftp://img.example.com/a",
        "gopher://img.example.com/",
        "//img.example.com/a.png",
        "http:img.example.com",
        "https://user:secret@img.example.com/a.png",
        "https://img.example.com:80@evil.test/",
        "https://img.example.com@evil.test/",
        "https://evil.test\\@img.example.com/",
        "https://img.example.com\\.evil.test/",
        "https://img.example.com.evil.test/",
        "https://evilcdn.example.com/",
        "https://img.example.com\n.evil.test/",
        " https://img.example.com/ evil",
        "https://[::1]/",
        "https:///a",
        "https://",
        "",
        "javascript:alert(1)",
        "dat\u0430:image/png;base64,AAAA",
    ],
)
@pytest.mark.parametrize(
    "shape",
    [
        image,
        lambda url: {"type": "image_url", "image_url": url},
        lambda url: {"image_url": {"url": url}},
        lambda url: {"type": "input_image", "image_url": url},
        lambda url: {"type": "audio_url", "audio_url": {"url": url}},
        lambda url: {"type": "video_url", "video_url": {"url": url}},
        lambda url: {"type": "video_url", "video_url": [PIXEL, url]},
        lambda url: {"type": "file", "file": {"file_url": url}},
        lambda url: {"type": "image", "image": url},
        lambda url: {"type": "tool_result", "content": [image(url)]},
    ],
    ids=str.split("object text untyped input audio video several file image nested"),
)
def test_every_other_address_is_refused_in_every_shape(shape: Any, url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        hosts(shape(url))
    assert caught.value.code == "media_not_allowed"
    assert "limits.media_hosts" in caught.value.public
    assert "secret" not in caught.value.public


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ({"type": "later", "later": {"src": "http://127.0.0.1/"}}, "media_not_allowed"),
        ({"type": "input_audio", "input_audio": {"data": "http://a/", "format": "wav"}}, None),
        ({"type": "file", "file": {"file_data": "file:///etc/passwd"}}, None),
        (image(3), "invalid_type"),
        (image(PIXEL + "A" * 200), "string_above_max_length"),
        ({"input_audio": {"data": "A" * 200}}, "string_above_max_length"),
        ({"type": "image_embeds", "image_embeds": "AAAA"}, "unsupported_parameter"),
        ({"type": "image_embeds", "image_embeds": {"a": "b"}}, "unsupported_parameter"),
        ({**image(PIXEL), "uuid": "somebody-elses"}, "unsupported_parameter"),
        ({"a": {"a": {"a": {"a": {"a": "b"}}}}}, "invalid_type"),
        (3, "invalid_type"),
    ],
)
def test_what_no_replica_should_open_is_refused(part: object, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        hosts(part)
    assert caught.value.code == (code or "media_not_allowed")


def test_a_host_that_is_allowed_is_named_so_that_it_can_be_looked_up() -> None:
    assert hosts(image("https://IMG.example.com./a.png?x=1#y")) == ["img.example.com"]
    assert hosts(image("https://a.cdn.example.com:8443/")) == ["a.cdn.example.com"]
    assert check_parts("c", image("http://img.example.com"), BOUNDS) == ["img.example.com"]


def test_a_star_stands_for_names_below_and_not_for_the_name_itself() -> None:
    assert allowed("a.b.example.com", ["*.example.com"])
    assert not allowed("example.com", ["*.example.com"])
    assert not allowed("notexample.com", ["*.example.com"])


def test_what_reaches_into_the_engine_can_be_allowed_by_name() -> None:
    part = {**image(PIXEL), "uuid": "a"}
    assert hosts(part, Bounds(allow=frozenset({"uuid"}))) == []


def test_media_are_counted_and_texts_are_not() -> None:
    assert media_in([image(PIXEL), {"type": "text", "text": "a"}, {"image_url": PIXEL}]) == 2


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("ff02::1", False),
        ("not an address", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public
