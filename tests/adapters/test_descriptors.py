"""What is left of the descriptors, and how much of it is kept for whom."""

from __future__ import annotations

import os
import resource
import sys

import pytest

from gateway.adapters.descriptors import kept_for_clients, kept_for_refusals, left_above


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may have 80 descriptors open."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (80, 100))


@pytest.mark.usefixtures("limit")
def test_the_number_of_a_descriptor_tells_how_many_are_left() -> None:
    assert [left_above(number) for number in (0, 50, 78, 79, 200)] == [79, 29, 1, 0, 0]


@pytest.mark.usefixtures("limit")
def test_an_eighth_is_kept_for_clients_and_half_of_it_to_refuse_them() -> None:
    assert (kept_for_clients(), kept_for_refusals()) == (10, 5)


def test_no_limit_leaves_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)

    assert left_above(1_000_000) == sys.maxsize
    assert kept_for_clients() == 256


def test_this_process_gets_the_lowest_that_is_free() -> None:
    first = os.dup(0)
    second = os.dup(0)
    os.close(first)
    again = os.dup(0)
    os.close(second)
    os.close(again)

    assert again == first
