"""An exception of a signal handler reaches the caller, wherever it strikes, and costs no slot."""

from __future__ import annotations

import asyncio
import dis
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import athena_tuning
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import StubLayer, items, over

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"),
    reason="signals are handled in the main thread",
)


class Alarm(Exception):
    """Raised by a handler, as time limits of task queues are."""


def ring(number: int, frame: Any) -> None:
    raise Alarm


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise ``Alarm`` here after so long, unless it is over before."""
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Local(StubLayer):
    keeps_deadline = True


def brief_work(query: Any, k: int, deadline: float) -> Any:
    time.sleep(0.0002)
    return [{"id": "a", "text": "x"}]


class Remote:
    name = "remote"

    async def search(self, query: Any, k: int, deadline: float) -> Any:
        await asyncio.sleep(0.0002)
        return [{"id": "r", "text": "x"}]


def test_signal_exception_in_a_layer_on_the_callers_thread_reaches_the_caller() -> None:
    def wait(query: Any, k: int, deadline: float) -> Any:
        time.sleep(5)
        return []

    with over(Local("local", wait)) as manager:
        with pytest.raises(Alarm), alarm(0.05):
            manager.recall("q")
        assert manager.in_flight == 0


def test_signal_exception_while_waiting_for_layers_reaches_the_caller_and_gives_them_up() -> None:
    end = threading.Event()
    with over(StubLayer("slow", lambda q, k, d: end.wait(30) and [])) as manager:
        with pytest.raises(Alarm), alarm(0.05):
            manager.recall("q")
        end.set()
        until(lambda: manager.in_flight == 0)
        assert manager.profiler.metrics[-1].error == "given up by its caller"


def test_keyboard_interrupt_of_a_layer_on_the_callers_thread_is_the_callers() -> None:
    def stop(query: Any, k: int, deadline: float) -> Any:
        raise KeyboardInterrupt

    with over(Local("local", stop)) as manager:
        with pytest.raises(KeyboardInterrupt):
            manager.recall("q")
        assert manager.in_flight == 0


def test_signal_exception_as_a_layer_is_started_reaches_the_caller_and_its_slot_stays_taken() -> None:
    started, end = threading.Event(), threading.Event()

    def wait(query: Any, k: int, deadline: float) -> Any:
        started.set()
        end.wait(30)
        return []

    with over(StubLayer("slow", wait)) as manager:
        pool = manager._executor._carrier._pool
        submit = pool.submit

        def submit_and_ring(job: Any) -> None:
            submit(job)
            assert started.wait(30)
            signal.raise_signal(signal.SIGALRM)

        before = signal.signal(signal.SIGALRM, ring)
        pool.submit = submit_and_ring  # type: ignore[method-assign]
        try:
            with pytest.raises(Alarm):
                manager.recall("q")
        finally:
            signal.signal(signal.SIGALRM, before)
        assert manager.in_flight == 1, "the call goes on"
        end.set()
        until(lambda: manager.in_flight == 0)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # it may strike in a destructor
def test_signal_exceptions_at_any_moment_lose_no_slot_and_no_thread() -> None:
    """A thousand recalls, each with an alarm at a random moment of it or just after it."""
    rng = random.Random(7)
    layers = [
        Local("local", brief_work),
        StubLayer("thread", brief_work),
        Remote(),
        StubLayer("more", items("m")),
    ]
    rung = 0
    with over(*layers, max_concurrent=2) as manager:
        busy = threading.Event()

        def others() -> None:
            while not busy.wait(0.0005):
                manager.recall("of another thread", use_cache=False)

        beside = threading.Thread(target=others)
        beside.start()
        try:
            for turn in range(1000):
                try:
                    with alarm(rng.uniform(1e-5, 4e-3)):
                        manager.recall(f"q {turn}", use_cache=False, use_parallel=turn % 3 != 0)
                except Alarm:
                    rung += 1
        finally:
            busy.set()
            beside.join(30)
        assert rung > 200, "the alarm must strike within recalls"
        until(lambda: manager.in_flight == 0 and manager.waiting == 0, 10)
        ledger = manager._executor.ledger
        assert (ledger.held, ledger.waiting) == ({}, {})
        answer = manager.recall("at the end", use_cache=False)
        assert answer["_errors"] == {}
        assert len(answer["_layer_ms"]) == 4


USED_BY_RECALL = ("control/breaker.py", "lru_cache.py", "single_flight.py")
NOT_ON_ITS_WAY = {"ingest_file", "forget_many", "repair", "ledger", "holders"}


def functions(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from functions(constant)


def jumps_out_of_reach(function: CodeType) -> list[int | None]:
    """Return the lines of jumps back within a ``with`` block from which its end would not be reached.

    A signal's exception may be raised there. Python 3.13 compiles a loop so where it ends in a condition.
    """
    steps = list(dis.get_instructions(function))
    ends = {one.offset for one, other in pairwise(steps) if other.opname == "WITH_EXCEPT_START"}
    parts = [part for part in dis._parse_exception_table(function) if part.target in ends]  # type: ignore[attr-defined]
    holes = [(one.end, other.start) for one, other in pairwise(parts) if one.target == other.target]
    return [
        step.positions and step.positions.lineno
        for step in steps
        if step.opname == "JUMP_BACKWARD" and any(start <= step.offset < end for start, end in holes)
    ]


def test_no_lock_on_the_way_of_a_recall_stays_held_after_a_signals_exception() -> None:
    root = Path(athena_tuning.__file__).parent
    files = [root / name for name in USED_BY_RECALL]
    found = {
        f"{file.relative_to(root)}: {function.co_name}"
        for file in (*files, *(root / "recall").rglob("*.py"))
        for function in functions(compile(file.read_text(), str(file), "exec"))
        if function.co_name not in NOT_ON_ITS_WAY and jumps_out_of_reach(function)
    }
    assert found == set()
