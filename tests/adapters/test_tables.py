"""The tables hold what the domain speaks of, field by field."""

from __future__ import annotations

from dataclasses import fields

from gateway.adapters.tables import audit, metadata, usage
from gateway.domain.audit import Event
from gateway.domain.ledger import Entry


def test_the_ledger_has_a_column_for_each_field_of_an_entry() -> None:
    assert [column.name for column in usage.columns] == [field.name for field in fields(Entry)]
    assert [column.name for column in usage.primary_key] == ["uid"]


def test_the_audit_log_has_a_column_for_each_field_of_an_event_and_its_place() -> None:
    names = [column.name for column in audit.columns]
    assert names == ["seq", *(field.name for field in fields(Event)), "prev", "hash"]
    assert audit.c.uid.unique


def test_no_column_is_empty_by_accident() -> None:
    """A row says all, or names in the table's own words what it may leave out."""
    optional = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.nullable
    }
    assert optional == {"keys.not_before", "keys.expires_at", "keys.revoked_at", "keys.replaces"}
