"""Lets a system of one's own obey the configs of a store: an operator changes the limit, a pool follows."""

import threading
from concurrent.futures import ThreadPoolExecutor

from athena_tuning import ConfigChange, Control, TuningConfig

followed = threading.Event()


class Pool:
    """Threads for layers; their number is what the config allows."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(1)
        self.size = 1

    def resize(self, config: TuningConfig) -> None:
        old, self.threads = self.threads, ThreadPoolExecutor(config.max_concurrent)
        self.size = config.max_concurrent
        old.shutdown(wait=False)
        if self.size == 8:
            followed.set()


def main() -> None:
    pool = Pool()
    with Control("memory://") as control:
        control.on_change(pool.resize)
        print(f"at first {pool.size} layers at once")
        eight = TuningConfig(max_concurrent=8)
        control.apply_configs([ConfigChange(eight, expected_version=0, actor="ana", reason="more cores")])
        followed.wait(30)
        with control.measure("last deploy?", "temporal") as query, query.layer("semantic"):
            pool.threads.submit(sorted, "tea").result(control.current_config().timeout_seconds)
        print(f"now {pool.size}, under config version {control.profiler.metrics[-1].config_version}")
    pool.threads.shutdown()


if __name__ == "__main__":
    main()
