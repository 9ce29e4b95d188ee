"""Each event is one line, of JSON or for eyes, and no secret gets through."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.adapters.logs import Seldom, Sink, configure, log_request, request_fields
from gateway.adapters.spans import parse_traceparent
from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.redaction import REDACTED
from gateway.domain.retry import Fault

CANARY = "sk-" + "Canary0123456789"
OWN_KEY = "ourOwnCanary"
SPAN = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Logging is the process's own: each test gives it back as it found it."""
    root = logging.getLogger()
    named = root.manager.loggerDict.values()
    loggers = [root, *(one for one in named if isinstance(one, logging.Logger))]
    kept = [(one, one.level, list(one.handlers), list(one.filters)) for one in loggers]
    yield
    for logger, level, handlers, filters in kept:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.filters[:] = filters


def lines_of(write: Callable[[], None], format: str = "json") -> list[str]:
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # pytest's own raise what ours must bear
    configure(format, "info", stream)
    write()
    return stream.getvalue().splitlines()


def line_of(write: Callable[[], None]) -> dict[str, Any]:
    [line] = lines_of(write)
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def a_call() -> Call:
    call = Call("r1", CHAT, "smol", {"messages": CANARY}, 0.0, 60.0, stream=True)
    call.credential = CANARY
    call.caller = Caller("red", "key-7")
    return call


def test_a_settled_call_is_one_line_that_tells_all() -> None:
    call = a_call()
    call.prompt = PromptRef("code/explain", "3", "abc")
    outcome = Outcome(
        OutcomeKind.COMPLETED,
        200,
        usage=Usage(31, 8, 16),
        replica="b",
        finish_reason="stop",
        attempts=(Attempt("a", Fault.CONNECT, 0.1), Attempt("b", "ok", 0.5)),
        seconds=0.75,
        first_token_seconds=0.2504,
        queue_seconds=0.01,
    )
    line = line_of(lambda: log_request(call, outcome, SPAN))
    when = datetime.fromisoformat(line.pop("ts"))
    assert abs((datetime.now(UTC) - when).total_seconds()) < 10
    assert line == {
        "level": "info",
        "logger": "gateway.request",
        "event": "request.end",
        "request_id": "r1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "route": "/v1/chat/completions",
        "model": "smol",
        "stream": True,
        "replica": "b",
        "attempts": 2,
        "faults": ["connect_error"],
        "outcome": "completed",
        "status": 200,
        "finish_reason": "stop",
        "queue_ms": 10.0,
        "ttft_ms": 250.4,
        "dur_ms": 750.0,
        "prompt_tokens": 31,
        "completion_tokens": 8,
        "cached_tokens": 16,
        "team": "red",
        "key_id": "key-7",
        "prompt": "code/explain@3+abc",
        "prompt_name": "code/explain",
        "prompt_version": "3",
    }


def test_what_nobody_knows_is_left_out() -> None:
    fields = request_fields(a_call(), Outcome(OutcomeKind.CANCELLED, 499), None)
    assert not {"prompt_tokens", "ttft_ms", "trace_id", "replica", "prompt"} & set(fields)


def test_tokens_that_no_replica_told_are_marked() -> None:
    guess = Outcome(OutcomeKind.COMPLETED, 200, usage=Usage(31, 8, estimated=True))
    assert request_fields(a_call(), guess, None)["estimated"] is True


def test_a_failure_is_a_warning_with_its_detail() -> None:
    outcome = Outcome(OutcomeKind.FAILED, 503, "replica_unavailable", "a: refused " + "x" * 9999)
    line = line_of(lambda: log_request(a_call(), outcome, None))
    assert line["level"] == "warning"
    assert line["code"] == "replica_unavailable"
    assert line["detail"].startswith("a: refused")
    assert len(line["detail"]) == 2000


def raise_with_secret() -> None:
    raise ValueError(f"cannot use {CANARY} for {{'x-api-key': '{OWN_KEY}'}}")


def log_canaries() -> None:
    log = logging.getLogger("some.library")
    log.warning("key %s, Authorization: Bearer %s", CANARY, OWN_KEY)
    log.warning({"api_key": OWN_KEY})
    log.warning("extra", extra={"headers": {"Authorization": OWN_KEY}, "note": CANARY})
    log.warning("pair", extra={"sent": [(b"x-api-key", OWN_KEY.encode())], "password": OWN_KEY})
    log.warning("no place for it", CANARY)
    try:
        raise_with_secret()
    except ValueError:
        log.exception("it broke", stack_info=True)
    outcome = Outcome(OutcomeKind.FAILED, 503, detail=f"http://user:{OWN_KEY}@host said {CANARY}")
    log_request(a_call(), outcome, None)


@pytest.mark.parametrize("format", ["json", "pretty"])
def test_no_secret_gets_through(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    written = "\n".join(lines_of(log_canaries, format))
    printed = capsys.readouterr()
    for canary in ("Canary", OWN_KEY):
        assert canary not in written
        assert canary not in printed.err + printed.out
    assert written.count(REDACTED) >= 9
    assert "ValueError: cannot use" in written
    assert "raise_with_secret" in written


def test_a_broken_stream_prints_no_secret_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    stream.close()
    logging.getLogger("gateway").warning("key %s", CANARY)
    assert capsys.readouterr().err == ""


def test_an_exception_stays_within_its_line_of_json() -> None:
    def write() -> None:
        try:
            raise_with_secret()
        except ValueError:
            logging.getLogger("gateway").exception("it broke")

    line = line_of(write)
    assert line["event"] == "it broke"
    assert line["exception"].startswith("Traceback")


def test_what_json_cannot_hold_is_written_all_the_same() -> None:
    extra = {"lone": "a\ud800", "big": 2**70, "odd": object(), "some": {1: b"x"}}
    line = line_of(lambda: logging.getLogger("gateway").warning("x", extra=extra))
    assert line["big"] == 2**70
    assert line["odd"].startswith("<object object")
    assert line["some"] == {"1": "x"}


def test_an_extra_field_cannot_pass_itself_off_as_one_of_ours() -> None:
    extra = {"event": "request.end", "level": "info", "ts": "never"}
    line = line_of(lambda: logging.getLogger("gateway").warning("x", extra=extra))
    assert (line["event"], line["level"]) == ("x", "warning")
    assert line["ts"] != "never"


def test_a_pretty_line_is_read_by_people() -> None:
    outcome = Outcome(OutcomeKind.COMPLETED, 200, seconds=0.75)
    [line] = lines_of(lambda: log_request(a_call(), outcome, None), "pretty")
    assert line[2] == line[5] == ":"
    assert " INFO    request.end request_id=r1 route=/v1/chat/completions model=smol" in line
    assert "dur_ms=750.0" in line


def test_a_pretty_line_cannot_be_forged_nor_steer_the_terminal() -> None:
    evil = "a\n12:00:00 INFO forged\x1b[2J"

    def write() -> None:
        logging.getLogger("gateway").warning("said %s", evil, extra={"model": evil})

    [line] = lines_of(write, "pretty")
    assert "\x1b" not in line
    assert "forged" in line


@pytest.mark.parametrize(
    ("format", "stream", "pretty"),
    [
        ("auto", Terminal(), True),
        ("auto", io.StringIO(), False),
        ("json", Terminal(), False),
        ("pretty", io.StringIO(), True),
    ],
)
def test_auto_is_pretty_on_a_terminal_only(format: str, stream: io.StringIO, pretty: bool) -> None:
    configure(format, "info", stream)
    logging.getLogger("gateway").warning("hello")
    assert stream.getvalue().startswith("{") is not pretty


def test_only_a_terminal_gets_colours() -> None:
    stream, terminal = io.StringIO(), Terminal()
    for one in (stream, terminal):
        configure("pretty", "info", one)
        logging.getLogger("gateway").warning("hello")
    assert "\x1b[33m" in terminal.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_the_servers_words_come_in_our_format_and_once() -> None:
    server = logging.getLogger("uvicorn.error")
    server.addHandler(logging.StreamHandler(sys.stderr))
    logging.getLogger("uvicorn").propagate = False

    def write() -> None:
        server.info("Started", extra={"color_message": "\x1b[1mStarted\x1b[0m"})
        logging.getLogger("uvicorn.access").info("GET / 200")

    line = line_of(write)
    assert (line["logger"], line["event"]) == ("uvicorn.error", "Started")
    assert "color_message" not in line


def test_setting_up_again_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("json", "info", first)
    configure("json", "error", second)
    logging.getLogger("gateway").warning("quiet")
    logging.getLogger("gateway").error("loud")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
    assert sum(isinstance(one, Sink) for one in logging.getLogger().handlers) == 1


def test_a_complaint_that_repeats_is_heard_once_a_minute() -> None:
    now = 0.0
    seldom = Seldom(60.0, lambda: now)
    record = logging.makeLogRecord({"msg": "Failed to export %s batch"})
    other = logging.makeLogRecord({"msg": "Something else"})
    heard = [seldom.filter(one) for one in (record, record, other)]
    assert heard == [True, False, True]
    now = 61.0
    assert seldom.filter(record)


def test_a_dead_collectors_complaints_are_made_seldom() -> None:
    exporter = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")

    def write() -> None:
        for _ in range(5):
            exporter.error("Failed to export %s batch code: %s", "spans", 503)

    assert len(lines_of(write)) == 1
