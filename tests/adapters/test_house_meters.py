"""What is true of the house is told as it is, and bounded."""

from __future__ import annotations

from gateway.domain.metrics import HANDOVERS, LEDGER_BACKLOG, LEDGER_LOST, MALFORMED_EVENTS
from gateway.domain.prompt_metrics import REWRITE_DIFF
from gateway.domain.standing import State
from tests.adapters.metered_calls import Told


def test_a_budget_stands_where_it_was_told_last_and_teams_are_bounded() -> None:
    told = Told()
    told.house.budget_used("red", "budget", 0.5)
    told.house.budget_used("red", "budget", 0.25)
    for number in range(60):
        told.house.budget_used(f"team-{number}", "budget", 0.1)
    shown = told.samples("gw_budget_used_ratio")
    assert shown["gw_budget_used_ratio{policy=budget,team=red}"] == 0.25
    assert len(shown) == 51


def test_a_replicas_state_is_one_series_at_1_and_whether_it_is_up() -> None:
    told = Told()
    told.house.replica("r0", None, State.HEALTHY)
    told.house.replica("r0", State.HEALTHY, State.DRAINED)
    page = told.meters.render()[0].decode()
    assert 'gw_replica_state{replica="r0",state="drained"} 1.0' in page
    assert 'gw_replica_state{replica="r0",state="healthy"} 0.0' in page
    assert 'gw_upstream_up{replica="r0"} 0.0' in page
    told.house.replica("r0", State.DRAINED, State.HALF_OPEN)
    told.house.replica("r0", State.HALF_OPEN, None)
    page = told.meters.render()[0].decode()
    assert 'gw_upstream_up{replica="r0"} 0.0' in page
    assert 'gw_replica_state{replica="r0",state="half_open"} 0.0' in page


def test_a_counter_is_counted_and_its_replicas_are_bounded() -> None:
    told = Told()
    for number in range(300):
        told.house.count(MALFORMED_EVENTS, f"r{number}")
    told.house.count(HANDOVERS, "continued")
    page = told.meters.render()[0].decode()
    assert 'gw_handovers_total{result="continued"} 1.0' in page
    assert 'gw_malformed_events_total{replica="r0"} 1.0' in page
    assert 'gw_malformed_events_total{replica="other"} 44.0' in page


def test_each_configuration_is_one_series_and_the_one_before_is_gone() -> None:
    told = Told()
    for sha in ("aaa", "bbb", "bbb"):
        told.house.configured(sha)
    told.house.reloaded("ok")
    found = {name: value for name, value in told.samples().items() if "config" in name}
    assert [value for name, value in found.items() if "bbb" in name] == [1]
    assert not [name for name in found if "aaa" in name]


def test_who_reaches_the_shared_records_and_what_was_lost_is_counted() -> None:
    told = Told()
    told.house.records_shared(1)
    told.house.records_dropped(3)
    told.house.records_dropped(2)
    found = told.samples()
    assert (found["gw_records_redis_up{}"], found["gw_records_dropped_total{}"]) == (1, 5)
    told.house.records_shared(-1)
    assert told.samples()["gw_records_redis_up{}"] == 0


def test_the_ledger_tells_of_its_backlog_by_changes() -> None:
    told = Told()
    for change in (5, -3):
        told.house.change(LEDGER_BACKLOG, change)
    told.house.change(LEDGER_LOST, 2)
    found = told.samples()
    assert (found["gw_ledger_backlog{}"], found["gw_ledger_lost_total{}"]) == (2, 2)


def test_what_could_not_be_told_is_counted() -> None:
    told = Told()
    told.house.dropped("spans", 3)
    told.house.dropped("logs")
    assert told.samples("gw_telemetry_dropped_total") == {
        "gw_telemetry_dropped_total{signal=spans}": 3,
        "gw_telemetry_dropped_total{signal=logs}": 1,
    }


def test_connections_are_told_by_state_and_those_of_a_replica_that_is_gone_are_not() -> None:
    told = Told()
    told.house.connections({"r0": (3, 1), "r1": (0, 0)})
    told.house.connections({"r0": (2, 2)})
    assert told.samples("gw_pool_connections") == {
        "gw_pool_connections{replica=r0,state=in_use}": 2,
        "gw_pool_connections{replica=r0,state=idle}": 2,
    }


def test_what_waits_to_be_sent_and_what_was_taken_out_is_told() -> None:
    told = Told()
    told.house.waiting("spans", 7, 2048)
    told.house.redacted("redaction", "aws_key", 2)
    assert told.samples("gw_telemetry_queue") == {
        "gw_telemetry_queue{signal=spans}": 7,
        "gw_telemetry_queue_capacity{signal=spans}": 2048,
    }
    assert told.samples("gw_redactions") == {
        "gw_redactions_total{kind=aws_key,policy=redaction}": 2
    }


def test_texts_of_prompts_are_bounded_wherever_they_are_told() -> None:
    told = Told()
    for number in range(300):
        told.house.count(REWRITE_DIFF, f"p@1+{number}", "applies")
    assert len(told.samples("gw_rewrite_diff_total")) == 201
