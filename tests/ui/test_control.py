"""The dashboard shows and steers a system of one's own as it does a manager."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from athena_tuning.control import Control
from athena_tuning.model import Mode, TuningConfig, TuningStrategy
from athena_tuning.service.roles import Actor, Role
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import open_store

ANA = Actor("ana", Role.OPERATOR)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shared.db'}"


def test_control_of_a_system_of_ones_own_is_seen_advised_and_obeys(url: str) -> None:
    obeyed = threading.Event()

    def obey(config: TuningConfig) -> None:
        if config.max_concurrent == 3:
            obeyed.set()

    with Control(url, worker_id="shop") as control, open_store(url) as store:
        control.on_change(obey)
        for n in range(50):
            with control.measure(f"q{n % 5}", "factual") as query:
                for layer in ("keywords", "vectors"):
                    with query.layer(layer):
                        pass
        service = TuningService(store, Tail(store))
        assert service.tail.wait_for(50, 30)
        assert service.window.layers() == ["keywords", "vectors"]
        assert service.standing().workers_alive == 1
        assert service.blocked() is None
        assert service.preview(TuningStrategy.LATENCY).samples == 50
        written = service.apply(
            ANA, TuningConfig(max_concurrent=3), expected_version=0, reason="fewer cores", mode=Mode.PINNED
        )
        assert obeyed.wait(30)
        pause = threading.Event()
        for _ in range(600):
            if service.workers()[0].config_version == written.version:
                break
            pause.wait(0.05)
        assert [(w.worker_id, w.config_version) for w in service.workers()] == [("shop", written.version)]
        service.close()
