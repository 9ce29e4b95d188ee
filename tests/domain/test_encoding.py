"""Encodings: lines can be cut out and put back in each, and no character turns into another."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import encoding
from gateway.domain.encoding import BOM, ENCODINGS, BadEncoding

UNIQUE = [chr(code) for code in range(0x10000) if code not in (10, 13) and code >> 11 != 0x1B]
"""Every character of the basic plane but the two line ends and the surrogates."""

names = st.sampled_from(sorted(ENCODINGS))


def complaint(raw: bytes, name: str) -> BadEncoding:
    with pytest.raises(BadEncoding) as caught:
        encoding.check(raw, name, path="src/a.py")
    return caught.value


# ── which there are ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_no_character_has_a_line_end_among_its_bytes(name: str) -> None:
    raw = "\n".join(UNIQUE).encode(name, "ignore")
    assert raw.count(b"\n") == len(UNIQUE) - 1
    assert b"\r" not in raw


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_the_bytes_of_a_line_do_not_depend_on_the_lines_above(name: str) -> None:
    rows = "\n".join(UNIQUE).encode(name, "ignore").split(b"\n")
    alone = [character.encode(name, "ignore") for character in UNIQUE]
    assert rows == alone
    assert sum(map(bool, rows)) >= 128 - 2, "ASCII is in all of them"


@pytest.mark.parametrize("name", ["utf-16", "utf-32", "utf-7", "iso2022_jp", "iso2022_kr", "hz"])
def test_an_encoding_with_state_or_wide_line_ends_is_not_offered(name: str) -> None:
    assert codecs.lookup(name).name not in ENCODINGS


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (None, "utf-8"),
        ("", "utf-8"),
        ("  ", "utf-8"),
        ("UTF8", "utf-8"),
        (" utf-8 ", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("ms949", "cp949"),
        ("UHC", "cp949"),
        ("latin1", "iso8859-1"),
        ("SJIS", "shift_jis"),
        ("US-ASCII", "ascii"),
    ],
)
def test_an_encoding_goes_by_any_of_its_names(said: str | None, name: str) -> None:
    assert encoding.codec(said) == name


@pytest.mark.parametrize(
    "said",
    ["klingon", "utf-16", "utf_7", "base64", "rot13", "undefined", "idna", "mbcs", "__init__",
     "../utf-8", "encodings.utf_8", "a\0b", "\ud800", "유니코드", "x" * 9_000],
)  # fmt: skip
def test_a_name_that_is_none_of_ours_is_refused_with_those_there_are(said: str) -> None:
    with pytest.raises(BadEncoding) as caught:
        encoding.codec(said)
    assert caught.value.public.startswith(f"The encoding {said!r} is not supported. Send the text")
    assert caught.value.public.endswith(f"{', '.join(sorted(ENCODINGS))}.")
    assert (caught.value.status, caught.value.code) == (422, "bad_encoding")
    assert caught.value.param == "file.encoding"


# ── text to bytes ────────────────────────────────────────────────────────────────────────────────


@given(st.text(), names)
def test_what_was_encoded_decodes_to_the_very_same_text(text: str, name: str) -> None:
    at = encoding.lost(text, name)
    if at is None:
        assert encoding.encode(text, name, path="a").decode(name) == text
    else:
        assert encoding.lost(text[:at], name) is None
        assert encoding.lost(text[: at + 1], name) == at
        with pytest.raises(BadEncoding, match=f"U\\+{ord(text[at]):04X}"):
            encoding.encode(text, name, path="a")


def test_a_text_of_nothing_is_no_bytes() -> None:
    assert encoding.encode("", "cp949", path="a") == b""


def test_a_byte_order_mark_and_odd_line_ends_are_characters_like_others() -> None:
    text = "\ufeffa\r\nb\rc\u2028d\x0c\x85\n"
    assert encoding.encode(text, "utf-8", path="a") == BOM + text[1:].encode()


@pytest.mark.parametrize(
    ("text", "name", "line", "code"),
    [
        ("a = 1\r\nb = '😀'\r\n", "cp949", 2, "1F600"),
        ("가\n", "ascii", 1, "AC00"),
        ("\n\n가", "ascii", 3, "AC00"),
        ("a\rb\n\n\ud800", "utf-8", 3, "D800"),
        ("값\n둘", "iso8859-1", 1, "AC12"),
    ],
)
def test_a_character_that_the_encoding_lacks_is_named_with_its_line(
    text: str, name: str, line: int, code: str
) -> None:
    with pytest.raises(BadEncoding) as caught:
        encoding.encode(text, name, path="src/a.py")
    assert caught.value.public == (
        f"Line {line} of the text for src/a.py has a character (U+{code}) that {name} cannot hold."
    )
    assert caught.value.param == "file.content"


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("x = '¥100'\n", "shift_jis", "00A5"),  # would be a backslash: '\100' is '@'
        ("x = '¥100'\n", "euc_jp", "00A5"),
        ("~ ‾\n", "shift_jis", "203E"),  # would be a tilde
        ("1 ¢\n", "cp932", "00A2"),
        ("x\u3164\n", "euc_kr", "3164"),  # opens a syllable written in parts
    ],
)
def test_a_character_that_would_come_back_as_another_is_not_held(
    text: str, name: str, code: str
) -> None:
    with pytest.raises(BadEncoding, match=rf"\(U\+{code}\) that {name} cannot hold"):
        encoding.encode(text, name, path="a")


# ── bytes to text ────────────────────────────────────────────────────────────────────────────────


@given(st.text().filter(lambda text: "\0" not in text), names)
def test_what_we_encode_passes_the_check(text: str, name: str) -> None:
    if encoding.lost(text, name) is None:
        encoding.check(encoding.encode(text, name, path="a"), name, path="a")


@given(st.binary(), names)
def test_what_passes_the_check_comes_back_byte_for_byte(raw: bytes, name: str) -> None:
    try:
        encoding.check(raw, name, path="a")
    except BadEncoding:
        return
    assert encoding.encode(raw.decode(name), name, path="a") == raw


@pytest.mark.parametrize("raw", [b"", BOM, BOM + b"x", b"\r\n\r\n", "한글\r\n".encode()])
def test_any_utf_8_without_a_nul_is_text(raw: bytes) -> None:
    encoding.check(raw, "utf-8", path="a")


def test_a_nul_byte_is_told_with_its_place_and_what_it_may_be() -> None:
    found = complaint("a\n".encode("utf-16-le"), "utf-8")
    assert found.public == (
        "src/a.py holds a NUL byte at offset 1: it is binary, or text in UTF-16 or UTF-32. "
        "Send source code in UTF-8 or name its encoding."
    )
    assert found.param == "file.content"


def test_bytes_of_another_encoding_are_told_with_their_place() -> None:
    found = complaint(b"x = '" + "값".encode("cp949") + b"'\n", "utf-8")
    assert found.public.startswith("src/a.py is not utf-8 at byte 5. Name the encoding of the file")
    assert found.param == "file.encoding"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"\x87\x90", "cp932"),  # one of two codes of the same sign
        (b"\xa1\xfe", "big5"),
        (b"\xa4\xd4\xa4\xa1\xa4\xbf\xa4\xd4", "euc_kr"),  # a syllable written in parts
    ],
)
def test_bytes_that_would_not_come_back_are_refused(raw: bytes, name: str) -> None:
    raw.decode(name)
    assert complaint(raw, name).public == (
        f"src/a.py does not survive a round through {name} byte for byte; name its true encoding "
        "in file.encoding, or send its text in UTF-8."
    )


@given(names, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
def test_a_line_in_the_middle_is_replaced_without_touching_its_neighbours(
    name: str, above: str, old: str, below: str
) -> None:
    rows = [row.replace("\n", " ") for row in (above, old, below)]
    if any(encoding.lost(row, name) is not None for row in rows):
        return
    parts = [encoding.encode(f"{row}\n", name, path="a") for row in rows]
    whole = encoding.encode("".join(f"{row}\n" for row in rows), name, path="a")
    assert whole.split(b"\n") == [*(part.removesuffix(b"\n") for part in parts), b""]
