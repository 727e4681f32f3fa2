"""Serves what a manager measures to Prometheus, and looks at it as Prometheus does (extra ``prometheus``)."""

from contextlib import closing
from urllib.request import urlopen

from athena_tuning import MemoryManager
from athena_tuning.integrations.prometheus import MetricsServer

if __name__ == "__main__":
    with MemoryManager(":memory:") as manager:
        manager.remember({"id": "ana", "layer": "semantic", "text": "Ana owns billing."})
        with closing(MetricsServer(manager, 0)) as served:
            for _ in range(3):
                manager.recall("who owns billing?", use_cache=False)
            seen = urlopen(f"http://127.0.0.1:{served.port}/metrics").read().decode()
    for line in seen.splitlines():
        if line.startswith("athena_tuning_recalls_total"):
            print(line)
