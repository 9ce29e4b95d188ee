"""What `gateway top` shows: one picture of a gateway, for rich to draw, as large as the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.ai_terminal import harmless
from gateway.domain.live import Live, Rates

_STATE_STYLES = {
    "healthy": "green",
    "half_open": "yellow",
    "cooling": "yellow",
    "unhealthy": "bold red",
    "drained": "magenta",
}
_PHASE_STYLES = {"queued": "yellow", "retrying": "red", "handing_over": "red"}
# A section's own head and the empty line before it.
_SECTION_LINES = 2
_FEWEST_ROWS = 2
_FEWEST_CHARS = 4
_SLOW_SECONDS = 30.0

Cell = str | Text


@dataclass(frozen=True, slots=True)
class Shown:
    """One look at the gateway at `url`: what it says, what came a second since the look before it
    (None at the first), and what is wrong now ("" for nothing)."""

    url: str
    live: Live
    rates: tuple[Rates, dict[str, Rates]] | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Section:
    """A table. `columns` are names, with > before those of numbers and ~ before those that are cut
    first where there is little room. `gap` is between columns, in characters."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    gap: int = 2


def picture(shown: Shown, height: int | None) -> RenderableType:
    """All of it, or what fits into so many lines: of each table the worst rows come first."""
    sections = [
        one
        for one in (_replicas(shown.live), _queues(shown.live), _slowest(shown.live), _teams(shown))
        if one.rows
    ]
    parts: list[RenderableType] = [*_head(shown)]
    left = None if height is None else height - len(parts)
    most = _rows_each([len(one.rows) for one in sections], left)
    for section, rows in zip(sections, most, strict=True):
        parts += [Text(""), *_table(section, rows)]
    if not shown.live["slowest"]:
        parts += [Text(""), Text("No request runs.", style="dim")]
    return Group(*parts)


def _rows_each(wanted: Sequence[int], height: int | None) -> list[int]:
    """How many rows each table gets: none more than it has, and all in turn until all are taken."""
    if height is None:
        return list(wanted)
    given = [min(count, _FEWEST_ROWS) for count in wanted]
    left = height - _SECTION_LINES * len(wanted) - sum(given)
    while left > 0 and given != list(wanted):
        for at, count in enumerate(wanted):
            if left > 0 and given[at] < count:
                given[at] += 1
                left -= 1
    return given


def _table(section: _Section, rows: int) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False, padding=(0, section.gap, 0, 0), header_style="bold")
    for name in section.columns:
        side: Literal["right", "left"] = "right" if name.startswith(">") else "left"
        # rich narrows those first that may be wrapped; that they are not is for their cells to say.
        first = name.startswith("~")
        fewest = _FEWEST_CHARS if first else None
        head = Text(name.lstrip(">~"), no_wrap=True, overflow="ellipsis")
        table.add_column(head, justify=side, no_wrap=not first, min_width=fewest)
    cut = len(section.rows) > rows
    for row in section.rows[: rows - 1 if cut else rows]:
        table.add_row(*map(_cell, row))
    yield table
    if cut:
        yield Text(f"… {len(section.rows) - rows + 1} more", style="dim")


def _cell(one: Cell) -> Text:
    text = one if isinstance(one, Text) else Text(harmless(one))
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _head(shown: Shown) -> list[Text]:
    live, workers = shown.live, shown.live["workers"]
    count = len(workers) + live["silent"]
    uptime = _age(max((one["uptime"] for one in workers), default=0.0))
    title = Text(no_wrap=True, overflow="ellipsis")
    title.append(f"vllm-gateway {live['version']}", style="bold")
    title.append(f" at {harmless(shown.url)}, up {uptime}")
    if live["silent"]:
        title.append(f", {len(workers)} of {count} workers answer", style="bold red")
    elif count > 1:
        title.append(f", {count} workers")
    lines = [title, _rates_line(shown), _phases_line(live)]
    if shown.trouble:
        lines.append(Text(harmless(shown.trouble), style="bold red", no_wrap=True))
    return lines


def _rates_line(shown: Shown) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    rates = shown.rates[0] if shown.rates is not None else None
    line.append(f"{_rate(rates, 'requests')} requests/s", style="bold")
    line.append(
        f"   tokens/s: {_rate(rates, 'completion_tokens')} out, {_rate(rates, 'prompt_tokens')} in"
    )
    failed = rates is not None and rates["failed"] > 0
    line.append(f"   {_rate(rates, 'failed')} failed/s", style="bold red" if failed else "")
    line.append(f"   {_rate(rates, 'refused')} refused/s")
    line.append(f"   {_rate(rates, 'cancelled')} cancelled/s")
    return line


def _phases_line(live: Live) -> Text:
    phases = live["phases"]
    line = Text(f"{sum(phases.values())} running", no_wrap=True, overflow="ellipsis")
    for number, (phase, count) in enumerate(sorted(phases.items(), key=lambda one: -one[1])):
        line.append(": " if number == 0 else ", ")
        line.append(f"{count} {_words(phase)}", style=_PHASE_STYLES.get(phase, ""))
    return line


def _replicas(live: Live) -> _Section:
    columns = ("~REPLICA", "~MODEL", "STATE", ">FOR", ">IN FLIGHT", ">WAITING", ">KV", "~WHY")
    ordered = sorted(
        live["replicas"], key=lambda row: (row["state"] == "healthy", -row["in_flight"], row["id"])
    )
    return _Section(columns, [_replica(row) for row in ordered])


def _replica(row: Mapping[str, Any]) -> list[Cell]:
    state, states = row["state"], row.get("states") or {}
    count = sum(states.values())
    told = f"{_words(state)} ({states[state]} of {count})" if len(states) > 1 else _words(state)
    kv, waiting = row["kv"], row["waiting"]
    full = "bold red" if kv is not None and kv >= 0.95 else ""
    return [
        row["id"],
        row["model"],
        Text(told, style=_STATE_STYLES.get(state, "")),
        _age(row["seconds"]),
        str(row["in_flight"]),
        "-" if waiting is None else f"{waiting:g}",
        Text("-" if kv is None else f"{kv:.0%}", style=full),
        _why(row),
    ]


def _why(row: Mapping[str, Any]) -> str:
    """Why it is in that state, and its last fault."""
    fault = row["last_fault"]
    last = f"{_words(fault)} {_age(row['last_fault_seconds'])} ago" if fault else ""
    return ", ".join(part for part in (row["why"], last) if part)


def _queues(live: Live) -> _Section:
    columns = ("~MODEL", ">RUNNING", ">SLOTS", ">QUEUED")
    ordered = sorted(live["queues"], key=lambda one: (-one["waiting"], -one["running"]))
    rows: list[list[Cell]] = [
        [
            one["model"],
            str(one["running"]),
            "-" if one["slots"] is None else str(one["slots"]),
            Text(str(one["waiting"]), style="bold yellow" if one["waiting"] else ""),
        ]
        for one in ordered
    ]
    return _Section(columns, rows)


def _slowest(live: Live) -> _Section:
    columns = (">AGE", "~PHASE", "~MODEL", "~TEAM", "~REPLICA", ">TOKENS", ">TRY", "REQUEST ID")
    rows: list[list[Cell]] = [
        [
            Text(_age(one["seconds"]), style="bold" if one["seconds"] >= _SLOW_SECONDS else ""),
            Text(_words(one["phase"]), style=_PHASE_STYLES.get(one["phase"], "")),
            one["model"] or "-",
            one["team"],
            one["replica"] or "-",
            "-" if one["tokens"] is None else str(one["tokens"]),
            str(one["attempts"]),
            one["id"],
        ]
        for one in live["slowest"]
    ]
    # An id is to be copied: it must be whole on a screen of 80 columns.
    return _Section(columns, rows, gap=1)


def _teams(shown: Shown) -> _Section:
    names = (">RUNNING", ">QUEUED", ">REQUESTS/S", ">TOKENS/S", ">FAILED/S", ">REFUSED/S")
    rates = shown.rates[1] if shown.rates is not None else {}
    ordered = sorted(shown.live["teams"], key=lambda one: (-one["running"], one["team"]))
    rows: list[list[Cell]] = []
    for one in ordered:
        own = rates.get(one["team"])
        told = (_rate(own, name) for name in ("requests", "completion_tokens", "failed", "refused"))
        rows.append([one["team"], str(one["running"]), str(one["queued"]), *told])
    return _Section(("~TEAM", *names), rows)


def _rate(rates: Rates | None, name: str) -> str:
    if rates is None:
        return "-"
    value = float(rates[name])  # type: ignore[literal-required]
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.1f}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _age(seconds: float | None) -> str:
    """Short, with one digit that matters: 0.4 s, 12 s, 3 min, 5 h, 2 d."""
    if seconds is None:
        return "?"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
