"""An older path to ``athena_tuning.integrations.prometheus``, kept importable."""

from athena_tuning.integrations.prometheus import ManagerCollector, MetricsServer

__all__ = ["ManagerCollector", "MetricsServer"]
