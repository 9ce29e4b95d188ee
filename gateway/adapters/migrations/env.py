"""Alembic's entrance: runs the steps on the connection that gateway/adapters/schema.py hands it."""

from __future__ import annotations

from alembic import context

from gateway.adapters.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
