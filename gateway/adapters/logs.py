"""Sets up stdlib logging: one JSON line an event, or a readable one on a terminal; no secrets.

`gateway.request` gets one line for each call, when it is settled: `event` is `request.end`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TextIO

import orjson

from gateway.adapters.spans import Origin
from gateway.domain.call import Call, Outcome, OutcomeKind, Usage
from gateway.domain.redaction import redact, redact_text, secret_name, suspicious

FORMATS = ("auto", "json", "pretty")

_request_log = logging.getLogger("gateway.request")

# Libraries that bring handlers of their own; their words go through ours.
_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.access", "LiteLLM", "LiteLLM Router")
# uvicorn's line for each request says less than ours; these say a lot at "info".
_QUIET = ("uvicorn.access", "httpx", "LiteLLM", "LiteLLM Router")
# A dead collector would fill the log with one line a second.
_REPEATING = (
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
_SELDOM_SECONDS = 60.0
_MAX_DETAIL = 2000
# What logging itself, uvicorn and LiteLLM (in a record factory of its own) put on each record.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    *("message", "asctime", "taskName", "color_message", "litellm_redacted")
}
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_PLAIN = frozenset({int, float, bool, type(None)})
_FIELDS = frozenset({"fields"})
# Made here, of digits and names of our own.
_OURS = frozenset({"ts", "level", "logger", "trace_id", "span_id", "outcome"})


def configure(
    format: str = "auto",
    level: str = "info",
    stream: TextIO | None = None,
    lost: Callable[[], None] = lambda: None,
) -> None:
    """Send every logger's words to `stream` (stderr), as `json`, `pretty`, or `auto`: pretty on a
    terminal. Call it once LiteLLM is imported; calling it again replaces the set-up. `lost` hears
    of each line that could not be written."""
    out = stream if stream is not None else sys.stderr
    pretty = format == "pretty" or (format == "auto" and out.isatty())
    handler = Sink(out, lost)
    handler.setFormatter(PrettyLine(colour=out.isatty()) if pretty else JsonLine())
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, Sink)] + [handler]
    root.setLevel(level.upper())
    for name in _FOREIGN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _REPEATING:
        logger = logging.getLogger(name)
        logger.filters = [one for one in logger.filters if not isinstance(one, Seldom)]
        logger.addFilter(Seldom(_SELDOM_SECONDS))


def log_request(call: Call, outcome: Outcome, span: Origin | None) -> None:
    """The one line of a settled call; a warning where the gateway or a replica failed."""
    level = logging.WARNING if outcome.status >= 500 else logging.INFO
    if _request_log.isEnabledFor(level):
        # Made by hand: `log` would look for the line of this file, and go through `extra` twice.
        record = logging.LogRecord(_request_log.name, level, __file__, 0, "request.end", (), None)
        record.fields = request_fields(call, outcome, span)
        _request_log.handle(record)


def request_fields(call: Call, outcome: Outcome, span: Origin | None) -> dict[str, Any]:
    """The fields of that line. What nobody knows is left out, never zero."""
    fields: dict[str, Any] = {"request_id": call.id}
    if span is not None:
        fields["trace_id"], fields["span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    fields |= {
        "route": call.route,
        "model": call.model[:256],
        "stream": call.stream,
        "attempts": len(outcome.attempts),
        "outcome": outcome.kind.value,
        "status": outcome.status,
        "queue_ms": _ms(outcome.queue_seconds),
        "dur_ms": _ms(outcome.seconds),
        "team": call.caller.team,
        "key_id": call.caller.key_id,
    }
    if outcome.replica:
        fields["replica"] = outcome.replica
    if outcome.finish_reason:
        fields["finish_reason"] = outcome.finish_reason
    if call.stream and outcome.first_token_seconds is not None:
        fields["ttft_ms"] = _ms(outcome.first_token_seconds)
    if outcome.own_seconds is not None:
        fields["overhead_ms"] = _ms(outcome.own_seconds)
    if outcome.pace is not None:
        fields["max_gap_ms"] = _ms(outcome.pace.longest)
    if outcome.usage is not None:
        fields |= _usage_fields(outcome.usage)
    if call.prompt is not None:
        fields["prompt"] = str(call.prompt)
        fields["prompt_name"], fields["prompt_version"] = call.prompt.name, call.prompt.version
    if outcome.kind is not OutcomeKind.COMPLETED or len(outcome.attempts) > 1:
        fields |= _trouble_fields(outcome)
    return fields


def _usage_fields(usage: Usage) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "cached_tokens": usage.cached,
    }
    if usage.reasoning:
        fields["reasoning_tokens"] = usage.reasoning
    if usage.estimated:
        fields["estimated"] = True
    return fields


def _trouble_fields(outcome: Outcome) -> dict[str, Any]:
    faults = [str(one.result) for one in outcome.attempts if one.result != "ok"]
    told = {"faults": faults, "code": outcome.code, "detail": outcome.detail[:_MAX_DETAIL]}
    return {name: value for name, value in told.items() if value}


class Sink(logging.StreamHandler[TextIO]):
    """Our one handler."""

    def __init__(self, stream: TextIO, lost: Callable[[], None] = lambda: None) -> None:
        super().__init__(stream)
        self._lost = lost

    def handleError(self, record: logging.LogRecord) -> None:
        """Count it: stdlib's would print the record's arguments, secrets and all."""
        self._lost()


class Seldom(logging.Filter):
    """Lets the same message (before its arguments) through once in `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        last = self._last.get(record.msg)
        if last is not None and now - last < self._seconds:
            return False
        if len(self._last) > 100:
            self._last.clear()
        self._last[record.msg] = now
        return True


class JsonLine(logging.Formatter):
    """ts (UTC), level, logger, event, then whatever `extra` holds; secrets blotted out.
    `extra={"fields": {...}}` is the cheap way to hand over many: they are laid out flat."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
        }
        for key, value in _extras(record).items():
            line.setdefault(key, value)
        if trouble := _trouble(self, record):
            line["exception"] = trouble
        line = _clean(line)
        try:
            return orjson.dumps(line).decode()
        except TypeError:  # lone surrogates, integers past 64 bits
            return json.dumps(line)


class PrettyLine(logging.Formatter):
    """For eyes: time, level, event, key=value. Control characters of values are escaped."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        line = _clean({**_extras(record), "event": _message(record)})
        when = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname:<7}"
        if self._colour and record.levelname in _COLOURS:
            level = f"{_COLOURS[record.levelname]}{level}\x1b[0m"
        event = _visible(str(line.pop("event")))
        words = [when, level, event, *(f"{key}={_short(value)}" for key, value in line.items())]
        trouble = _trouble(self, record)
        return " ".join(words) + (f"\n{redact_text(trouble)}" if trouble else "")


def _clean(line: dict[str, Any]) -> dict[str, Any]:
    """Redacted. The common case, flat and harmless, is found out cheaply."""
    for key, value in line.items():
        kind = type(value)
        if kind is str:
            if key not in _OURS and (_seems(value) if len(value) <= 64 else suspicious(value)):
                break
        elif kind not in _PLAIN:
            break
    else:
        if not _names_secrets(tuple(line)):
            return line
    return {key: redact(value, key) for key, value in line.items()}


# Names of routes, models and teams come again and again.
@lru_cache(maxsize=4096)
def _seems(text: str) -> bool:
    return suspicious(text)


@lru_cache(maxsize=256)
def _names_secrets(names: tuple[str, ...]) -> bool:
    return any(map(secret_name, names))


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    found = record.__dict__.keys() - _STANDARD
    if found == _FIELDS and isinstance(record.__dict__["fields"], dict):
        return record.__dict__["fields"]
    return {key: value for key, value in record.__dict__.items() if key in found}


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # an edge: anybody's arguments, which may not fit the message
        return str(record.msg)


def _trouble(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _utc(seconds: float) -> str:
    whole = int(seconds)
    return f"{_utc_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _utc_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _short(value: object) -> str:
    if isinstance(value, str) and value and value.isprintable() and " " not in value:
        return value
    if isinstance(value, Mapping | list | str):
        return _visible(json.dumps(value, ensure_ascii=False, default=str))
    return str(value)


def _visible(text: str) -> str:
    """No character that could move a terminal's cursor or forge a line."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
