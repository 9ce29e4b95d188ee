"""Control tokens of chat templates in data: harmless on the way in, restored on the way out."""

from __future__ import annotations

import re

MARK = "\u2060"
"""WORD JOINER: it is not seen, but with it a tokenizer no longer finds the token."""

# A server parses these anywhere in a message (vLLM 0.32 and llama.cpp both do), so that code which
# contains them could open a turn of its own. Regular expressions, by their first character.
_AFTER_LESS = (
    # <|im_start|> <|eot_id|> <|endoftext|> <|channel|> ..., DeepSeek with U+FF5C bars
    r"[|\uff5c][\w.:/\u2581-]{1,64}[|\uff5c]>",
    r"/?(?:s|unk|pad|bos|eos|mask|cls|sep)>",
    r"(?:BOS|EOS|PAD|UNK)_TOKEN>",
    r"/?(?:think|seed:think|tool_call|tool_response|tools|function_call)>",
    r"seed:\w{1,32}>",
    r"(?:start|end)_of_(?:turn|image|text)>",
    r"(?:unused|extra_id_|SPECIAL_)\d{1,4}>",
    r"fim[_-](?:prefix|suffix|middle|pad)>",
    r"(?:PRE|SUF|MID|EOT|EOD|FILL_ME)>",
    r"(?:repo_name|reponame|file_sep|filename|gh_stars|empty_output)>",
    r"(?:issue|jupyter|commit|pr)_\w{1,32}>",
    r"</?SYS>>",
)
_AFTER_OPEN = (
    r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID"
    r"|THINK|MODEL_SETTINGS|IMG|IMG_BREAK|IMG_END|PREFIX|SUFFIX|MIDDLE"
    r"|gMASK|sMASK|MASK|CLS|SEP|UNK|PAD)\]",
    r"e~\[",
)
_AFTER_CLOSE = (r"~!?b\[", r"~b\]")

_LESS, _OPEN, _CLOSE = ("|".join(rest) for rest in (_AFTER_LESS, _AFTER_OPEN, _AFTER_CLOSE))
_PLAIN = re.compile(rf"<(?:{_LESS})|\[(?:{_OPEN})|\](?:{_CLOSE})")
# What makes the first character a token is only looked at, not consumed: a token that begins
# inside another one is then found as well.
_FIRST = re.compile(
    rf"(<(?={MARK}*(?:{_LESS}))|\[(?={MARK}*(?:{_OPEN}))|\](?={MARK}*(?:{_CLOSE})))({MARK}*)"
)


def find(text: str) -> re.Match[str] | None:
    """The first control token in `text` that bears no MARK; None when there is none."""
    return _PLAIN.search(text)


def neutralise(text: str) -> str:
    """`text` with one more MARK after the first character of each control token, marked or not:
    so `restore(neutralise(text)) == text` for every text, also for one that has marks already."""
    return _FIRST.sub(rf"\1\2{MARK}", text)


def restore(text: str) -> str:
    """Undo `neutralise`: one MARK less in each control token that has any."""
    if MARK not in text:
        return text
    return _FIRST.sub(lambda found: found[1] + found[2][1:], text)
