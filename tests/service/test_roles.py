"""Who may write through the service: an operator, never a viewer, and only where a manager lives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from athena_tuning.interchange import Import
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import Mode, Objective, TuningConfig, TuningStrategy
from athena_tuning.samples.sample_workloads import list_samples
from athena_tuning.service.config_service import ConfigService
from athena_tuning.service.roles import Actor, NotAllowed, Role, actor_from
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import open_store
from tests.support.dashboard import OPERATOR, VIEWER

WRITES: dict[str, Callable[[TuningService, Actor], object]] = {
    "apply": lambda s, a: s.apply(a, TuningConfig(), expected_version=0, reason="x"),
    "switch_strategy": lambda s, a: s.switch_strategy(a, TuningStrategy.COST, expected_version=0, reason="x"),
    "set_mode": lambda s, a: s.set_mode(a, Mode.AUTO, expected_version=0, reason="x"),
    "roll_back": lambda s, a: s.roll_back(a, 1, expected_version=0, reason="x"),
    "undo": lambda s, a: s.undo(a, expected_version=0),
    "start_experiment": lambda s, a: s.start_experiment(a, TuningConfig(9), expected_version=0, reason="x"),
    "end_experiment": lambda s, a: s.end_experiment(a),
    "annotate": lambda s, a: s.annotate(a, "x"),
    "put_welcome_away": lambda s, a: s.put_welcome_away(a),
    "end_tour": lambda s, a: s.end_tour(a),
    "promise": lambda s, a: s.promise(a, Objective(p99_ms=250)),
    "start_load": lambda s, a: s.start_load(a, LoadSpec(duration_s=1)),
    "stop_load": lambda s, a: s.stop_load(a),
    "pause_load": lambda s, a: s.pause_load(a),
    "resume_load": lambda s, a: s.resume_load(a),
    "end_exception": lambda s, a: s.end_exception(a, "meta", expected_version=0, reason="x"),
    "set_demo": lambda s, a: s.set_demo(a, True),
    "take_sample": lambda s, a: s.take_sample(a, "fast"),
    "fast_forward": lambda s, a: s.fast_forward(a, LoadSpec()),
    "import_file": lambda s, a: s.import_file(a, Import(list_samples()[0].path)),
    "remove_source": lambda s, a: s.remove_source(a, "sample:x"),
    "recall": lambda s, a: s.recall(a, "what failed?"),
    "give_feedback": lambda s, a: s.give_feedback(a, "q1", 1.0),
}


def test_no_write_of_the_service_is_missing_here_and_each_asks_who_writes() -> None:
    both = {**vars(ConfigService), **vars(TuningService)}
    own = {name: method for name, method in both.items() if not name.startswith("_")}
    writes = {name for name in own if name not in {"open", "close"}}
    assert writes == set(WRITES)
    for name in writes:
        assert list(inspect.signature(own[name]).parameters)[1] == "actor", name


@pytest.mark.parametrize("write", WRITES)
def test_a_viewer_writes_nothing(service: TuningService, write: str) -> None:
    if write in {"roll_back", "undo"}:
        for limit in (3, 4):
            at = service.configs().default.version
            service.apply(OPERATOR, TuningConfig(limit), expected_version=at, reason="before")
    before = (service.configs(), len(service.history()), service.store.annotations())
    with pytest.raises(NotAllowed):
        WRITES[write](service, VIEWER)
    assert (service.configs(), len(service.history()), service.store.annotations()) == before
    assert service.embedded is not None
    assert service.loads.newest is None
    assert not service.embedded.demo_is_on
    assert service.embedded.manager.status().recalls == 0


def test_without_a_living_manager_nothing_can_be_written(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    watching = TuningService(store, Tail(store))
    assert watching.standing().blocked is not None
    with pytest.raises(NotAllowed, match="no manager is running"):
        watching.apply(OPERATOR, TuningConfig(), expected_version=0, reason="x")
    with pytest.raises(NotAllowed, match="no manager is running"):
        watching.start_load(OPERATOR, LoadSpec())
    watching.close()


@pytest.mark.parametrize(
    ("claims", "sign_in", "local", "environ", "role"),
    [
        (None, False, True, {}, Role.OPERATOR),
        (None, False, False, {}, Role.VIEWER),
        (None, False, True, {"ATHENA_TUNING_ROLE": "viewer"}, Role.VIEWER),
        ({"email": "a@b.c"}, True, True, {}, Role.VIEWER),
        ({"email": "A@b.c"}, True, False, {"ATHENA_TUNING_OPERATORS": "x@y.z, a@B.c"}, Role.OPERATOR),
        (
            {"email": "a@b.c", "email_verified": False},
            True,
            False,
            {"ATHENA_TUNING_OPERATORS": "a@b.c"},
            Role.VIEWER,
        ),
        ({"email": ""}, True, True, {"ATHENA_TUNING_OPERATORS": ""}, Role.VIEWER),
        ({}, True, True, {"ATHENA_TUNING_OPERATORS": ","}, Role.VIEWER),
    ],
)
def test_who_is_an_operator(
    claims: dict[str, object] | None, sign_in: bool, local: bool, environ: dict[str, str], role: Role
) -> None:
    assert actor_from(claims, sign_in=sign_in, local=local, environ=environ).role is role
