"""One file for each outside thing, each satisfying one port of gateway/domain/ports.py."""
