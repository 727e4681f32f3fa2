"""A manager and its service over HTTP: ``athena-tuning serve``."""

from __future__ import annotations

from athena_tuning.extras import needs_extra

with needs_extra("http", "The HTTP server"):
    import fastapi as fastapi
