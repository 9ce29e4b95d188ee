"""Claims and balances as the words that the scripts of redis_scripts.py take and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from gateway.domain.counters import Balance, Claim, Window

Word = str | int

_LEAST_IDLE_MS = 60_000
# What Lua counts exactly. A number that Redis cannot add would end a script in its middle: what it
# held would never come back, and Redis would count as gone.
_MOST = (1 << 53) - 1


def claim_words(claims: Sequence[Claim], used: Mapping[str, int]) -> list[Word]:
    """What CLAIM takes of each; `used` is what seeds have told."""
    words: list[Word] = []
    for claim in claims:
        known = claim.account in used
        seed: Word = min(used[claim.account], _MOST) if known else "?" if claim.seed else ""
        words += [_name(claim.account), min(claim.amount, _MOST), _limit(claim.limit)]
        words += [claim.window.bucket, claim.window.span, _idle(claim.window), seed]
    return words


def settle_words(claims: Sequence[Claim], amounts: Mapping[str, int]) -> list[Word]:
    """What SETTLE takes of each; what `amounts` does not name used nothing."""
    words: list[Word] = []
    for claim in claims:
        window, amount = claim.window, max(0, amounts.get(claim.account, 0))
        amount = min(amount, _MOST)
        words += [_name(claim.account), amount, _limit(claim.limit), window.bucket]
        words += [window.span, _idle(window), "1" if claim.seed else ""]
    return words


def balance_words(account: str, limit: int | None, window: Window) -> list[Word]:
    """What BALANCE takes."""
    return [_name(account), _limit(limit), window.bucket, window.span]


def balances(claims: Sequence[Claim], said: Sequence[str]) -> dict[str, Balance]:
    """By account; `said` has one for each claim."""
    return {
        claim.account: balance_of(one, claim.limit, claim.window)
        for claim, one in zip(claims, said, strict=True)
    }


def balance_of(said: str, limit: int | None, window: Window) -> Balance:
    """From "USED HELD BUCKET", the bucket with which enough comes free, or "-"."""
    used, held, bucket = said.split(" ")
    frees = 0.0
    if bucket != "-":
        frees = (int(bucket) + window.span - window.bucket) * window.seconds
    return Balance(int(used), int(held), limit, frees)


def _name(account: str) -> str:
    """Names what configuration and clients choose with characters that are safe anywhere."""
    return blake2b(account.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _limit(limit: int | None) -> Word:
    return "" if limit is None else limit


def _idle(window: Window) -> int:
    """Milliseconds after which nobody needs to know of an account that holds nothing."""
    return max(_LEAST_IDLE_MS, int(window.over_s * 1000))
