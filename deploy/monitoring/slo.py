"""The service level: what is promised, and the recording rules that measure it."""

from __future__ import annotations

from deploy.monitoring.alert import Recording
from deploy.monitoring.pace import Pace

# Of the calls that were the service's to answer, over 30 days.
OBJECTIVE = 0.995
# Share of streams whose first token comes within so many seconds. A bound of the histogram.
TTFT_OBJECTIVE = 0.95
TTFT_SECONDS = 2.5

_FAILED = 'gw_requests_total{outcome=~"failed|timeout|truncated"}'
# A refused call was the client's mistake, a cancelled one its wish: neither is counted.
_COUNTED = 'gw_requests_total{outcome!~"cancelled|refused"}'
# But one that found the queue full is refused too, and that is ours.
_SHED = "gw_shed_total"
_STREAMS = "gen_ai_server_time_to_first_token_seconds"

SHORT = ("5m", "30m", "1h")
LONG = ("6h", "3d", "30d")


def recordings(pace: Pace) -> tuple[Recording, ...]:
    """Short windows from the counters, long ones from what was recorded: 30 days of raw counters
    would be read anew at each evaluation."""
    return (*_rates(pace), *_short(pace), *_long(pace))


def _sum(series: str, window: str) -> str:
    """Over all instances and workers; 0 where nothing was ever counted."""
    return f"(sum(rate({series}[{window}])) or vector(0))"


def _bad(window: str) -> str:
    return f"{_sum(_FAILED, window)} + {_sum(_SHED, window)}"


def _whole(window: str) -> str:
    return f"{_sum(_COUNTED, window)} + {_sum(_SHED, window)}"


def _quick(window: str) -> str:
    return _sum(f'{_STREAMS}_bucket{{le="{TTFT_SECONDS:g}"}}', window)


def _begun(window: str) -> str:
    return _sum(f"{_STREAMS}_count", window)


def _rates(pace: Pace) -> tuple[Recording, ...]:
    window = pace("5m")
    return (
        Recording("gw:errors:rate5m", _bad(window)),
        Recording("gw:counted:rate5m", _whole(window)),
        Recording("gw:slow_first_tokens:rate5m", f"{_begun(window)} - {_quick(window)}"),
        Recording("gw:first_tokens:rate5m", _begun(window)),
    )


def _short(pace: Pace) -> tuple[Recording, ...]:
    every: list[Recording] = []
    for name in SHORT:
        window = pace(name)
        errors = f"({_bad(window)}) / (({_whole(window)}) > 0)"
        slow = f"({_begun(window)} - {_quick(window)}) / ({_begun(window)} > 0)"
        every.append(Recording(f"gw:errors_per_request:ratio_rate{name}", errors))
        every.append(Recording(f"gw:slow_first_tokens:ratio_rate{name}", slow))
    return tuple(every)


def _long(pace: Pace) -> tuple[Recording, ...]:
    every: list[Recording] = []
    for name in LONG:
        for ratio, part, whole in (
            ("gw:errors_per_request", "gw:errors", "gw:counted"),
            ("gw:slow_first_tokens", "gw:slow_first_tokens", "gw:first_tokens"),
        ):
            over = f"[{pace(name)}]"
            part_mean = f"avg_over_time({part}:rate5m{over})"
            whole_mean = f"avg_over_time({whole}:rate5m{over})"
            every.append(
                Recording(f"{ratio}:ratio_rate{name}", f"{part_mean} / ({whole_mean} > 0)")
            )
    return tuple(every)
