"""Looking again and again: rates over the last seconds, and what to do when nobody answers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.live_watch import Watch
from gateway.client.errors import ConnectionFailed, InvalidAnswer, StatusError, Trouble
from gateway.domain.live import no_count
from gateway.testing.fakes import FakeClock
from tests.domain.test_live import live, worker


class Source:
    """Answers as scripted; an exception is raised."""

    url = "http://gateway.test"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def get(self, path: str) -> object:
        assert path == "/admin/live"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def after(uptime: float, requests: int) -> Any:
    return live(worker(1, uptime, ide={**no_count(), "requests": requests}))


def watching(*answers: Any) -> tuple[Watch, FakeClock]:
    clock = FakeClock()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    return Watch(Source(*answers), 1.0, clock, sleep), clock


def test_the_first_look_has_no_rates_and_later_ones_those_of_some_seconds() -> None:
    watch, _ = watching(*(after(10.0 + n, 10 * n if n < 5 else 40) for n in range(20)))
    assert watch.look().rates is None
    seen = []
    for _ in range(12):
        watch.pause()
        rates = watch.look().rates
        assert rates is not None
        seen.append(rates[0]["requests"])
    assert seen[:4] == [10.0] * 4
    assert seen[-1] == 0.0


def test_a_pause_can_be_made_longer_than_the_interval() -> None:
    watch, clock = watching()
    watch.pause(2.0)
    watch.pause(0.5)
    assert clock.now == 3.0


def test_what_is_not_a_gateways_answer_is_told() -> None:
    watch, _ = watching({"object": "list"})
    with pytest.raises(InvalidAnswer, match="not as a gateway does"):
        watch.look()


@pytest.mark.parametrize(
    "gone", [ConnectionFailed("cannot connect"), StatusError(503, Trouble("ending"))]
)
def test_one_that_goes_away_is_shown_as_it_was_and_comes_back(gone: Exception) -> None:
    watch, _ = watching(after(1.0, 0), gone, gone, after(4.0, 30))
    watch.look()
    watch.pause()
    watch.look_again()
    watch.pause()
    shown = watch.look_again()
    assert shown.trouble.startswith("No answer for 2 s, this is the last one. ")
    assert str(gone) in shown.trouble
    assert (shown.rates, shown.live) == (None, after(1.0, 0))
    watch.pause()
    back = watch.look_again()
    assert back.trouble == ""
    assert back.rates is not None
    assert back.rates[0]["requests"] == 10.0


def test_a_no_that_will_stay_one_ends_it_and_so_does_a_bad_start() -> None:
    watch, _ = watching(after(1.0, 0), StatusError(403, Trouble("no")))
    watch.look()
    with pytest.raises(StatusError):
        watch.look_again()
    watch, _ = watching(ConnectionFailed("cannot connect"))
    with pytest.raises(ConnectionFailed):
        watch.look_again()
