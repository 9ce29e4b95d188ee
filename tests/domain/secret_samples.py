"""One made-up secret of each kind, put together here so that no scanner takes them for real."""

from __future__ import annotations

_MIXED = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"
KEY_BLOCK = "\n".join(
    ["-----BEGIN RSA PRIVATE" + " KEY-----", _MIXED + _MIXED, _MIXED, "Zz==",
     "-----END RSA PRIVATE" + " KEY-----"]
)  # fmt: skip
SAMPLES: dict[str, str] = {
    "private_key": KEY_BLOCK,
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "azure": "AccountKey=" + _MIXED * 2 + "abcdefgh",
    "discord": "M" + _MIXED[:23] + "." + _MIXED[:6] + "." + _MIXED[:27],
    "github": "ghp_" + _MIXED[:36],
    "gitlab": "glpat-" + _MIXED[:20],
    "google": "AIza" + _MIXED[:35],
    "huggingface": "hf_" + _MIXED[:34],
    "jwt": "eyJ" + _MIXED[:12] + ".eyJ" + _MIXED[:12] + "." + _MIXED[:20],
    "npm": "npm_" + _MIXED[:36],
    "openai": "sk-proj-" + _MIXED,
    "pypi": "pypi-AgEIcHlwaS5vcmc" + _MIXED * 2,
    "sendgrid": "SG." + _MIXED[:22] + "." + _MIXED + "abc",
    "slack": "xoxb-" + "1234567890-abcdefghij",
    "square": "sq0csp-" + _MIXED + "abc",
    "stripe": "sk_live_" + _MIXED[:24],
    "telegram": "1234567890:" + _MIXED[:35],
    "twilio": "AC" + "0a1b2c3d" * 4,
    "url_password": "p4ssw0rd!"[:8],
    "assigned": _MIXED[:24],
    "card": "4111 1111 1111 1111",
    "email": "jane.doe@example.co.kr",
    "iban": "DE89 3704 0044 0532 0130 00",
    "phone": "010-1234-5678",
    "rrn": "900101-1234568",
    "ssn": "536-90-4399",
    "ip": "2001:4860:4860::8888",
}
_AROUND = {
    "url_password": ("postgres://me:", "@db.test/x"),
    "assigned": ('password = "', '"'),
}


def around(kind: str) -> tuple[str, str]:
    """The text that stands before and after the secret of a kind."""
    before, after = _AROUND.get(kind, ("", ""))
    return f"값은 {before}", f"{after}\n입니다. It ends here."
