"""Attaches other systems: Prometheus, OpenTelemetry and git repositories."""
