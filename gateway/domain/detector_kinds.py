"""What secrets and personal numbers look like: KINDS, each a pattern and, where there is one, a
check of its digits. Patterns of detect-secrets where it has precise ones, and our own.

Each can be looked for on a stream: it looks at most one character ahead, and only at its end.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector
from stdnum import iban, luhn
from stdnum.kr import rrn
from stdnum.us import ssn

Check = Callable[[str], int]
"""How many characters of a candidate, from its first, are what the kind says; 0 for none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`patterns` find it; a group `v` in one is the secret itself, where not all of the match is.
    `check` judges what was found."""

    group: str
    patterns: tuple[str, ...]
    check: Check | None = None


def _iban(text: str) -> int:
    # Words in capitals may follow: the number is the longest beginning that checks.
    while text and not (_checks(text) and iban.is_valid(text)):
        text = text.rpartition(" ")[0]
    return len(text)


def _checks(text: str) -> bool:
    """The check digits of an IBAN alone: far cheaper than all that its country asks for."""
    plain = text.replace(" ", "")
    turned = "".join(str(int(character, 36)) for character in plain[4:] + plain[:4])
    return bool(turned) and int(turned) % 97 == 1


def _card(text: str) -> int:
    return len(text) if luhn.is_valid(re.sub(r"\D", "", text)) else 0


def _rrn(text: str) -> int:
    """Numbers given since October 2020 have no check digit: with the hyphen, a date is enough."""
    if rrn.is_valid(text):
        return len(text)
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:6])
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900}.get(text[7], 2000)
    try:
        date(century + year, month, day)
    except ValueError:
        return 0
    return len(text) if text[6] == "-" else 0


def _ssn(text: str) -> int:
    return len(text) if ssn.is_valid(text) else 0


def _email(text: str) -> int:
    # What git calls a repository by is nobody's address.
    return 0 if text.startswith("git@") else len(text)


def _address(text: str) -> int:
    """Only addresses of the public Internet."""
    try:
        return len(text) if ipaddress.ip_address(text).is_global else 0
    except ValueError:
        return 0


def _mixed(text: str) -> int:
    """A password of words alone is more often an example, or the name of a variable."""
    return len(text) if re.search("[0-9]", text) and re.search("[A-Za-z]", text) else 0


_TOKEN = r"(?<![A-Za-z0-9_-])"
_APART = r"""[\s\\"'+,;>|#*]{1,40}"""
# With something of a key after its first line, and to the end where it is cut off: whoever only
# speaks of such a line is not made to lose all that follows it.
_KEY_BLOCK = (
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_APART}(?:Proc-Type|DEK-Info|Comment|Version): ?[^\r\n]{{0,100}})*{_APART}"
    rf"[A-Za-z0-9+/=]{{20,}}(?:{_APART}[A-Za-z0-9+/=]+)*"
    rf"(?:{_APART}-----END [A-Z0-9 ]{{0,30}}PRIVATE KEY(?: BLOCK)?-----)?"
)
_NAMED = (
    r"(?i:api[_-]?key|secret(?:[_-]?(?:key|access[_-]?key))?|access[_-]?token|auth[_-]?token"
    r"|private[_-]?key|password|passwd)"
)
# Looked for by what is rarer than the names: the quote after the sign.
_ASSIGNED = (
    rf"(?<={_NAMED}[\"']?\s{{0,4}})(?::=|=>|[:=])\s{{0,4}}"
    r"[\"'](?P<v>[A-Za-z0-9+/=_.~-]{20,200})[\"']"
)
_PHONES = (
    r"(?<![A-Za-z0-9_-])01[016789][ .-]?[0-9]{3,4}[ .-]?[0-9]{4}(?![0-9])",
    r"(?<![A-Za-z0-9_-])0(?:2|[3-6][0-9])-[0-9]{3,4}-[0-9]{4}(?![0-9])",
    r"(?<![A-Za-z0-9_-])\+[0-9]{1,3}[ .-]?\(?[0-9]{1,4}\)?(?:[ .-]?[0-9]{2,4}){2,4}(?![0-9])",
    r"(?<![A-Za-z0-9_-])\([0-9]{3}\) ?[0-9]{3}-[0-9]{4}(?![0-9])",
    r"(?<![A-Za-z0-9_-])[0-9]{3}-[0-9]{3}-[0-9]{4}(?![0-9])",
)
_EMAIL = (
    r"(?<![A-Za-z0-9._+%-])[A-Za-z0-9][A-Za-z0-9._+%-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_IBAN = r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])"
_RRN = (
    r"(?<![0-9A-Za-z-])[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"-?[1-8][0-9]{6}(?![0-9A-Za-z])"
)
_CARDS = (
    r"(?<![A-Za-z0-9_.])[2-6][0-9]{3}(?:[ -]?[0-9]{4}){3}(?![A-Za-z0-9_])",
    r"(?<![A-Za-z0-9_.])3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}(?![A-Za-z0-9_])",
)
_IPS = (
    r"(?<![A-Za-z0-9_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![A-Za-z0-9_.])",
    r"(?<![A-Za-z0-9_:.])[0-9A-Fa-f]{1,4}(?:::?[0-9A-Fa-f]{1,4}){3,7}(?![A-Za-z0-9_:.])",
)


def _of(plugin: Any, *own: str, secret: bool = False) -> Kind:
    """A kind by the patterns of a detect-secrets plugin, which is only read, and `own` ones. Its
    groups are dropped, but for one that is the `secret`."""
    found: list[str] = []
    for pattern in plugin.denylist:
        group = "(?P<v>" if secret or pattern.pattern.startswith("aws.") else "(?:"
        text = re.sub(r"(?<!\\)\((?!\?)", group, pattern.pattern)
        flags = "".join(
            letter for letter, flag in (("i", re.I), ("x", re.X)) if pattern.flags & flag
        )
        found.append(f"(?{flags}:{text})")
    return Kind("secrets", (*found, *own))


def _secret(*patterns: str) -> Kind:
    return Kind("secrets", patterns)


KINDS: Mapping[str, Kind] = {
    "private_key": _secret(_KEY_BLOCK),
    "aws": _of(AWSKeyDetector),
    "azure": _of(AzureStorageKeyDetector),
    "discord": _of(DiscordBotTokenDetector),
    "github": _of(GitHubTokenDetector, r"github_pat_[A-Za-z0-9_]{22,}"),
    "gitlab": _of(GitLabTokenDetector),
    "google": _secret(_TOKEN + r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    "huggingface": _secret(r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}"),
    "jwt": _secret(_TOKEN + r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    "npm": _secret(r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}"),
    "openai": _of(OpenAIDetector, _TOKEN + r"sk-(?:proj-|ant-|gw-|svcacct-)?[A-Za-z0-9_-]{24,}"),
    "pypi": _of(PypiTokenDetector),
    "sendgrid": _of(SendGridDetector),
    "slack": _of(SlackDetector),
    "square": _of(SquareOAuthDetector),
    "stripe": _of(StripeDetector, r"(?<![A-Za-z0-9])[sr]k_live_[A-Za-z0-9]{20,}"),
    "telegram": _of(TelegramBotTokenDetector),
    "twilio": _of(TwilioKeyDetector),
    "url_password": _of(BasicAuthDetector, secret=True),
    "assigned": Kind("secrets", (_ASSIGNED,), _mixed),
    "card": Kind("pii", _CARDS, _card),
    "email": Kind("pii", (_EMAIL,), _email),
    "iban": Kind("pii", (_IBAN,), _iban),
    "phone": Kind("pii", _PHONES),
    "rrn": Kind("pii", (_RRN,), _rrn),
    "ssn": Kind("pii", (r"(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])",), _ssn),
    "ip": Kind("network", _IPS, _address),
}
GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS.values()))
