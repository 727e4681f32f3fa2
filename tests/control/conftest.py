"""A real PostgreSQL for what has to hold on every shared store."""

from tests.store.conftest import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]
