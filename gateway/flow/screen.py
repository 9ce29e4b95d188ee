"""An answer on its way through `during`: a Strand for each policy, the Screen for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.call import Call
from gateway.domain.errors import Refusal
from gateway.domain.policy import Delta, Link, PolicyFailed
from gateway.domain.sse import data_of, encode, events
from gateway.domain.texts import (
    Path,
    Place,
    Text,
    Unreadable,
    choices,
    conceal,
    field_name,
    index_of,
    read,
    speaking,
    texts,
    write,
)
from gateway.flow.contain import contained

Settle = Callable[[Link, Call, Refusal | PolicyFailed | None, float], None]

_LOOK_BACK = 64  # as Delta.before promises


@dataclass(slots=True)
class _Piece:
    """What one policy has of one text: `before` has left its hands, `held` has not."""

    before: str = ""
    held: str = ""


class Strand:
    """One policy's view of one answer."""

    __slots__ = ("_call", "_clock", "_link", "_pieces", "_seconds", "_settle", "_settled")

    def __init__(self, link: Link, call: Call, settle: Settle, clock: Callable[[], float]) -> None:
        self._link = link
        self._call = call
        self._settle = settle
        self._clock = clock
        self._pieces: dict[Place, _Piece] = {}
        self._seconds = 0.0
        self._settled = False

    async def feed(self, place: Place, text: str, final: bool) -> str:
        """What may leave now that `text` has come. Raises what the policy's verdict enforces."""
        piece = self._pieces.get(place)
        if piece is None:
            piece = self._pieces[place] = _Piece()
        if self._settled:
            cleared = piece.held + text
            piece.held = ""
        else:
            cleared = await self._ask(place, piece, text, final)
        # A shadow holds nothing back and changes nothing: it only looks.
        return text if self._link.shadow else cleared

    async def _ask(self, place: Place, piece: _Piece, text: str, final: bool) -> str:
        choice, path = place
        unsent = piece.held + text
        delta = Delta(unsent, choice, final, field_name(path), piece.before)
        began = self._clock()
        try:
            result = await contained(self._link, self._link.policy.during, self._call, delta)
            cut = self._cut(result, unsent, final)
        except (Refusal, PolicyFailed) as fault:
            self._seconds += self._clock() - began
            self.end(fault)
            piece.held = ""
            return unsent
        self._seconds += self._clock() - began
        cleared, piece.held = result.text[:cut], result.text[cut:]
        piece.before = (piece.before + cleared)[-_LOOK_BACK:]
        return cleared

    def _cut(self, result: object, text: str, final: bool) -> int:
        """How many characters of what the policy returned may leave."""
        if not isinstance(result, Delta) or not isinstance(result.text, str):
            detail = f"policy {self._link.name}: `during` must return a Delta with a text"
            raise PolicyFailed(detail=detail)
        if result.text != text and not _sayable(result.text):
            detail = f"policy {self._link.name}: `during` returned text that is no Unicode"
            raise PolicyFailed(detail=detail)
        hold = self._link.policy.window if result.hold is None else result.hold
        if type(hold) is not int:
            detail = f"policy {self._link.name}: `hold` must be a whole number"
            raise PolicyFailed(detail=detail)
        return len(result.text) if final else max(0, len(result.text) - max(0, hold))

    def end(self, fault: Refusal | PolicyFailed | None = None) -> None:
        """Tell the verdict, once."""
        if not self._settled:
            self._settled = True
            self._settle(self._link, self._call, fault, self._seconds)


class Screen:
    """All policies' view of one answer, in the order of the chain. Text leaves only when each of
    them has let it go."""

    __slots__ = ("_alters", "_ended", "_halves", "_last", "_open", "_strands", "_strict")

    def __init__(self, links: Sequence[Link], strand: Callable[[Link], Strand]) -> None:
        self._strands = [strand(link) for link in links]
        self._alters = any(not link.shadow for link in links)
        self._strict = any(not link.tolerant for link in links)
        self._open: dict[int, dict[Place, None]] = {}
        self._ended: set[int] = set()
        self._halves: dict[Place, str] = {}
        self._last: dict[str, Any] = {}

    async def events(self, chunk: bytes) -> bytes:
        """What may leave of these whole events, as whole events; those that no policy changed
        are the same bytes."""
        return b"".join([await self._event(event) for event in events(chunk)])

    async def rest(self) -> bytes:
        """What is still held where a stream is over: it leaves as events of its own."""
        return b"".join([await self._finish(index) for index in list(self._open)])

    async def body(self, raw: bytes) -> bytes:
        """What may leave of a plain answer: the same bytes where no policy changed a text."""
        try:
            answer = read(raw)
            changed = False
            for position, choice in enumerate(choices(answer)):
                for text in list(texts(choice, index_of(choice, position))):
                    changed |= await self._pass(text, True)
        except Unreadable as error:
            return self._unread(raw, error)
        if not changed:
            return raw
        conceal(answer)
        return write(answer)

    def end(self) -> None:
        """The answer is complete: tell the verdicts that are still open."""
        for strand in self._strands:
            strand.end()

    async def _event(self, event: bytes) -> bytes:
        payload = data_of(event)
        if payload is None:
            return event
        if payload.strip() == b"[DONE]":
            return await self.rest() + event
        try:
            return await self._read(event, payload)
        except Unreadable as error:
            return self._unread(event, error)

    def _unread(self, raw: bytes, error: Unreadable) -> bytes:
        if self._strict:
            raise PolicyFailed(detail=f"policies cannot read the answer: {error}") from None
        return raw

    async def _read(self, event: bytes, payload: bytes) -> bytes:
        answer, ahead = read(payload), b""
        spoken = choices(answer)
        # Log probabilities tell the very tokens that are being held back.
        changed = self._alters and conceal(answer)
        if spoken:
            self._last = answer
        for position, choice in enumerate(spoken):
            index = index_of(choice, position)
            finished = bool(choice.get("finish_reason"))
            for text in list(texts(choice, index)):
                changed |= await self._pass(text, finished or text.whole)
            if finished:
                ahead += await self._finish(index)
        return ahead + (encode(write(answer)) if changed else event)

    async def _pass(self, text: Text, final: bool) -> bool:
        """Send one piece of text through all policies; True when it is not what it was."""
        said = text.value
        if not said:
            return False
        if text.choice in self._ended:
            raise Unreadable("text after the end of its choice")
        cleared = await self._through(text.place, self._joined(text.place, said, final), final)
        still_open = self._open.setdefault(text.choice, {})
        if final:
            still_open.pop(text.place, None)
        else:
            still_open[text.place] = None
        if cleared == said:
            return False
        text.value = cleared
        return True

    def _joined(self, place: Place, said: str, final: bool) -> str:
        """`said` without half a character at its end, which waits for its other half: no policy
        would know either of them. Deltas may end between the two surrogates of one."""
        if place in self._halves:
            said = self._halves.pop(place) + said
            said = said.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if not final and said and "\ud800" <= said[-1] <= "\udbff":
            self._halves[place] = said[-1]
            said = said[:-1]
        return said

    async def _through(self, place: Place, text: str, final: bool) -> str:
        for strand in self._strands:
            if not text and not final:
                break
            text = await strand.feed(place, text, final)
        return text

    async def _finish(self, index: int) -> bytes:
        """One event with all that is still held of a choice; nothing follows in it."""
        self._ended.add(index)
        said: list[tuple[Path, str]] = []
        for place in self._open.pop(index, {}):
            rest = self._joined(place, "", True)
            if cleared := await self._through(place, rest, True):
                said.append((place[1], cleared))
        return encode(write(speaking(self._last, index, said))) if said else b""


def _sayable(text: str) -> bool:
    """Whether it can be sent: half of a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
