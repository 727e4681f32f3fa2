"""Every store of the project passes the suite that others have for theirs."""

from __future__ import annotations

import pytest

from athena_tuning.testing.store_configs import OpenStore
from athena_tuning.testing.stores import StoreSuite


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def open_it(self, memory: OpenStore) -> OpenStore:
        return memory


class TestSqliteStore(StoreSuite):
    @pytest.fixture
    def open_it(self, sqlite: OpenStore) -> OpenStore:
        return sqlite


class TestPostgresStore(StoreSuite):
    @pytest.fixture
    def open_it(self, postgres: OpenStore) -> OpenStore:
        return postgres


class TestPostgresStoreBehindPgbouncer(StoreSuite):
    @pytest.fixture
    def open_it(self, pgbouncer: OpenStore) -> OpenStore:
        return pgbouncer
