"""Who is let in: whether a key is needed, tokens of an identity provider, the delay of guessers."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gateway.domain.scope import Role
from gateway.settings.section import Seconds, Section, Wait
from gateway.settings.teams import Name

# Signatures alone: with a secret that is shared, whoever can check a token can make one.
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


def _place(value: str) -> str:
    text = value.strip()
    if "://" not in text:
        return text
    parts = urlsplit(text)
    if parts.username is not None or parts.fragment or not parts.hostname:
        raise ValueError("should be a file, or a URL with a host and no user or fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname)):
        raise ValueError("should begin with https://: who can change the keys can make tokens")
    return text


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Jwt(Section):
    """Tokens that an identity provider (OpenID Connect) signs."""

    issuer: str = Field(min_length=1, description="what `iss` must be")
    audience: str = Field(min_length=1, description="what `aud` must hold")
    jwks: Annotated[str, AfterValidator(_place)] = Field(
        min_length=1, description="its keys: a file, or an https URL"
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "ES256", "EdDSA"), min_length=1, description="of signatures"
    )
    team_claim: str = Field(default="groups", min_length=1, description="has a name, or several")
    teams: dict[str, Name] = Field(min_length=1, description="a name in that claim: its team")
    roles_claim: str = Field(default="", description="has a name, or several; empty: no claim")
    roles: dict[str, Role] = Field(
        default_factory=dict, description="a name in that claim: its role"
    )
    user_claim: str = Field(default="sub", min_length=1, description="names the person")
    leeway_s: float = Field(default=30.0, ge=0, le=300, description="how far clocks may differ")
    refresh_s: Seconds = Field(default=300.0, description="seconds between two looks at jwks")


class Identity(Section):
    """Who is let in; teams and keys are in teams.yaml and the database."""

    required: bool = Field(
        default=False, description="a key is needed even while none is known: all are refused"
    )
    jwt: Jwt | None = Field(
        default=None, description="tokens: issuer, audience, jwks, teams; see docs/how-to"
    )
    failures: int = Field(
        default=10, ge=0, description="wrong keys of an address before answers wait; 0: never"
    )
    failure_window_s: Seconds = Field(default=60.0, description="seconds in which they count")
    delay_s: Wait = Field(default=5.0, description="seconds that a wrong key waits at most")
