"""The conformance suite for stores: what managers, the app and commands rely on, wherever it is kept."""

from __future__ import annotations

import pytest

from athena_tuning.store import Store
from athena_tuning.testing.store_configs import ConfigsOfStore, OpenStore
from athena_tuning.testing.store_metrics import MetricsOfStore
from athena_tuning.testing.store_rollups import RollupsOfStore
from athena_tuning.testing.store_sources import SourcesOfStore
from athena_tuning.testing.store_tables import TablesOfStore


class StoreSuite(ConfigsOfStore, TablesOfStore, MetricsOfStore, RollupsOfStore, SourcesOfStore):
    """What every store has to do. Subclass it and give the fixture ``open_it``.

    Examples:
        In a test module::

            class TestMyStore(StoreSuite):
                @pytest.fixture
                def open_it(self, tmp_path):
                    opened = []

                    def open_it(**settings):  # clock, monotonic, text, retention
                        opened.append(MyStore(tmp_path / "store", **settings))
                        return opened[-1]

                    yield open_it
                    for store in opened:
                        store.close()
    """

    @pytest.fixture
    def open_it(self) -> OpenStore:
        """Opens handles to one new store, as several processes would have them."""
        raise NotImplementedError("give the suite a fixture `open_it`")

    @pytest.fixture
    def store(self, open_it: OpenStore) -> Store:
        """A new store."""
        return open_it()
