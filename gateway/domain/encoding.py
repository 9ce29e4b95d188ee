"""Text encodings of files: which ones lines can be cut out of and put back into, byte for byte."""

from __future__ import annotations

import codecs

from gateway.domain.errors import InvalidRequest

BOM = codecs.BOM_UTF8

# In these the bytes of `\n` and `\r` are never part of another character, and no state is carried
# from line to line: only then can lines be cut out and put back.
_NAMES = """ascii big5 cp1250 cp1251 cp1252 cp1253 cp1254 cp1257 cp437 cp850 cp866 cp874 cp932
    cp949 cp950 euc_jp euc_kr gb18030 gb2312 gbk iso8859-1 iso8859-2 iso8859-5 iso8859-7 iso8859-9
    iso8859-15 koi8-r koi8-u shift_jis utf-8"""
ENCODINGS = frozenset(codecs.lookup(name).name for name in _NAMES.split())


class BadEncoding(InvalidRequest):
    """Content that is no text in the encoding it is said to have, or that no diff can carry."""

    status = 422
    code = "bad_encoding"


def codec(name: str | None) -> str:
    """Python's name of an encoding, UTF-8 for None; raises `BadEncoding` with those there are."""
    try:
        found = codecs.lookup((name or "").strip() or "utf-8").name
    except (LookupError, ValueError):  # a NUL in the name is a ValueError
        found = ""
    found = "utf-8" if found == "utf-8-sig" else found
    if found not in ENCODINGS:
        raise BadEncoding(
            f"The encoding {name!r} is not supported. Send the text in UTF-8, or one of: "
            f"{', '.join(sorted(ENCODINGS))}.",
            param="file.encoding",
        )
    return found


def encode(text: str, encoding: str, *, path: str) -> bytes:
    """`text` in `encoding`; raises `BadEncoding` with the line that it cannot hold."""
    at = lost(text, encoding)
    if at is None:
        return text.encode(encoding)
    line = text.count("\n", 0, at) + 1
    raise BadEncoding(
        f"Line {line} of the text for {path} has a character (U+{ord(text[at]):04X}) that "
        f"{encoding} cannot hold.",
        param="file.content",
    )


def lost(text: str, encoding: str) -> int | None:
    """Where `text` has its first character that `encoding` cannot hold; None if it can hold all.

    One that comes back as another is not held: in Shift JIS a yen sign would become a backslash.
    """
    try:
        back = text.encode(encoding).decode(encoding, "replace")
    except UnicodeEncodeError as error:
        earlier = lost(text[: error.start], encoding)
        return error.start if earlier is None else earlier
    if back == text:
        return None
    differ = (at for at, pair in enumerate(zip(text, back, strict=False)) if len({*pair}) > 1)
    return next(differ, min(len(back), len(text) - 1))


def check(raw: bytes, encoding: str, *, path: str) -> None:
    """Raise `BadEncoding` unless `raw` is text in `encoding` that comes back byte for byte."""
    if b"\0" in raw:
        raise BadEncoding(
            f"{path} holds a NUL byte at offset {raw.index(0)}: it is binary, or text in UTF-16 or "
            "UTF-32. Send source code in UTF-8 or name its encoding.",
            param="file.content",
        )
    try:
        same = raw.decode(encoding).encode(encoding) == raw
    except UnicodeError as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise BadEncoding(
            f"{path} is not {encoding}{where}. Name the encoding of the file in file.encoding, "
            "for example cp949 or shift_jis, or send its text in UTF-8.",
            param="file.encoding",
        ) from None
    if not same:
        raise BadEncoding(
            f"{path} does not survive a round through {encoding} byte for byte; name its true "
            "encoding in file.encoding, or send its text in UTF-8.",
            param="file.encoding",
        )
