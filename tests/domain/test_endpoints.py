"""The table of endpoints."""

from __future__ import annotations

from gateway.domain.endpoints import ENDPOINTS


def test_every_row_is_an_openai_path_and_no_two_are_the_same() -> None:
    assert all(row.path == f"/v1/{row.upstream}" for row in ENDPOINTS)
    assert (
        len({row.path for row in ENDPOINTS})
        == len({row.name for row in ENDPOINTS})
        == len(ENDPOINTS)
    )
