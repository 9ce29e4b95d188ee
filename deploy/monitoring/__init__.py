"""Dashboards, alerts and recording rules as code: `python -m deploy.monitoring` writes files."""
