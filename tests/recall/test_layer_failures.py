"""Whatever a layer raises, returns or is: a partial answer with a reason, and every slot comes back."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from athena_tuning.model import TaskOutcome
from athena_tuning.recall import MemoryManager
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import StubLayer, items, over, records


class NoText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class NoName(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in {"__name__", "__qualname__"}:
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=NoName):
    pass


class NoClass(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Beyond(BaseException):
    """None of those that programs catch."""


class BrokenMapping(Mapping[str, Any]):
    def __init__(self, breaks: str) -> None:
        self.breaks = breaks

    def _do(self, what: str, value: Any) -> Any:
        if what == self.breaks:
            raise RuntimeError(f"broken {what}")
        return value

    def __getitem__(self, name: str) -> Any:
        return self._do("getitem", {"id": "1", "text": "x"}[name])

    def __iter__(self) -> Any:
        return self._do("iter", iter(["id", "text"]))

    def __len__(self) -> int:
        return int(self._do("len", 2))

    def __repr__(self) -> str:
        raise RuntimeError("broken repr")


class BrokenList(list[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("broken iter")


class BrokenText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("broken str")

    def __format__(self, spec: str) -> str:
        raise RuntimeError("broken format")


class BrokenGet(dict[str, Any]):
    def get(self, name: str, default: Any = None) -> Any:
        raise RuntimeError("broken get")

    def items(self) -> Any:
        raise RuntimeError("broken items")

    def values(self) -> Any:
        raise RuntimeError("broken values")


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("broken repr")


class NoClassEither:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


async def coroutine() -> None:
    """Stand for a coroutine."""


async def generator_of_items() -> Any:
    yield {"id": "1", "text": "x"}


def generator() -> Any:
    yield {"id": "1", "text": "x"}


def cyclic() -> list[Any]:
    found: dict[str, Any] = {"id": "1", "text": "x"}
    found["self"] = [found]
    return [found]


RAISES: list[Callable[[], BaseException]] = [
    lambda: ConnectionError("no route"),
    NoText,
    NoClass,
    lambda: Nameless(),  # noqa: PLW0108  (its name is asked for by whoever lists the cases)
    lambda: Beyond("beyond"),
    lambda: SystemExit(3),
    GeneratorExit,
    lambda: StopIteration(5),
    asyncio.CancelledError,
    lambda: RecursionError("deep"),
    MemoryError,
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    lambda: ValueError("half a character: \ud83d"),
    lambda: ValueError("x" * 5_000_000),
    lambda: ExceptionGroup("several", [NoText(), ValueError("x")]),
]

RETURNS: list[Callable[[], Any]] = [
    lambda: None,
    lambda: 5,
    NoRepr,
    lambda: [NoRepr()],
    lambda: [NoClassEither()],
    lambda: [BrokenMapping("getitem")],
    lambda: [BrokenMapping("iter")],
    lambda: BrokenList([1]),
    lambda: [{"id": BrokenGet(), "text": 5}],
    lambda: [{"id": NoRepr(), "text": "x"}],
    lambda: [{"id": "1", "text": "x", "evidence": NoRepr()}],
    lambda: [{"id": "1", "text": "x", "evidence": [NoRepr()]}],
    generator,
    generator_of_items,
    lambda: {"id": "1", "text": "x"},
]

READABLE: list[Callable[[], Any]] = [
    lambda: [BrokenMapping("nothing")],
    lambda: [BrokenGet({"id": "1", "text": "x"})],
    lambda: [{"id": "1", "text": BrokenText("x")}],
    lambda: [{"id": BrokenText("1"), "text": "x", "evidence": [BrokenText("e")]}],
    lambda: [{"id": "1", "text": "x", "extra": NoRepr()}],
    lambda: [{"id": "1", "text": "x", "extra": [NoClassEither()]}],
    lambda: ({"id": "1", "text": "x"},),
    cyclic,
]


def ways(do: Callable[[], Any]) -> list[Any]:
    """Layers that do the same in each way that a layer can run."""

    class Local(StubLayer):
        keeps_deadline = True

    class Awaited(StubLayer):
        async def search(self, query: Any, k: int, deadline: float) -> Any:  # type: ignore[override]
            return do()

    class Wrapped(StubLayer):
        def search(self, query: Any, k: int, deadline: float) -> Any:
            async def later() -> Any:
                await asyncio.sleep(0)
                return do()

            return later()

    plain: Any = lambda query, k, deadline: do()  # noqa: E731
    return [StubLayer("thread", plain), Local("local", plain), Awaited("awaited"), Wrapped("wrapped")]


def check_all_slots_are_back(manager: MemoryManager) -> None:
    until(lambda: manager.in_flight == 0)
    ledger = manager._executor.ledger
    assert ledger.given == ledger.returned > 0
    assert (ledger.held, ledger.waiting, manager._executor.get_stats()["slots_reclaimed"]) == ({}, {}, 0)


def check_partial(answer: dict[str, Any], reason: str = "") -> None:
    assert [item["id"] for item in answer["_fused"]] == ["good"]
    assert (answer["_success"], answer["_partial"]) == (True, True)
    assert set(answer["_errors"]) == {"thread", "local", "awaited", "wrapped"}
    for why in answer["_errors"].values():
        assert why
        assert reason in why
        assert len(why) < 1000
        why.encode("utf-8")


@pytest.mark.parametrize("raises", RAISES)
def test_layer_that_raises_anything_makes_the_answer_partial(raises: Callable[[], BaseException]) -> None:
    def fail() -> Any:
        raise raises()

    with over(*ways(fail), StubLayer("good", items("good")), max_concurrent=2) as manager:
        for turn in range(3):
            check_partial(manager.recall(f"q {turn}", use_parallel=turn != 1))
        check_partial(asyncio.run(manager.arecall("awaited q")))
        outcomes = {
            task.outcome for record in records(manager) for task in record.tasks if task.layer != "good"
        }
        assert outcomes == {TaskOutcome.ERROR}
        check_all_slots_are_back(manager)


@pytest.mark.parametrize("returns", RETURNS)
def test_layer_that_returns_anything_else_makes_the_answer_partial(returns: Callable[[], Any]) -> None:
    with over(*ways(returns), StubLayer("good", items("good")), max_concurrent=2) as manager:
        for turn in range(2):
            check_partial(manager.recall(f"q {turn}"), "its answer cannot be read")
        check_partial(asyncio.run(manager.arecall("awaited q")), "its answer cannot be read")
        check_all_slots_are_back(manager)


@pytest.mark.parametrize("returns", READABLE)
def test_layer_answer_that_is_odd_but_can_be_read_is_an_answer(returns: Callable[[], Any]) -> None:
    with over(*ways(returns)) as manager:
        for _ in range(2):
            answer = manager.recall("q")
            assert answer["_errors"] == {}
            assert [item["id"] for item in answer["local"]] == ["1"]
            assert answer["thread"][0]["text"] == "x"
        check_all_slots_are_back(manager)


def test_layer_that_hands_out_a_coroutine_for_another_thread_leaves_no_warning(recwarn: Any) -> None:
    with over(
        StubLayer("nested", lambda q, k, d: [coroutine()]), StubLayer("good", items("good"))
    ) as manager:
        assert "cannot be read" in manager.recall("q")["_errors"]["nested"]
    assert not [w for w in recwarn.list if "never awaited" in str(w.message) and "later" in str(w.message)]


def test_layer_may_be_wrapped_partial_or_an_object_with_an_async_call() -> None:
    def timed(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any) -> Any:
            return function(*args)

        return inner

    class Decorated:
        name = "decorated"

        @timed
        async def search(self, query: Any, k: int, deadline: float) -> Any:
            await asyncio.sleep(0)
            return [{"id": "1", "text": "x"}]

    class Call:
        async def __call__(self, query: Any, k: int, deadline: float) -> Any:
            return [{"id": "2", "text": "x"}]

    class Object:
        name = "object"
        search = Call()

    class Partial:
        name = "partial"
        search = functools.partial(Call().__call__)

    class Awaitable:
        name = "awaitable"

        def search(self, query: Any, k: int, deadline: float) -> Any:
            return Later()

    class Later:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return [{"id": "4", "text": "x"}]

    with over(Decorated(), Object(), Partial(), Awaitable()) as manager:
        for answer in (manager.recall("a"), asyncio.run(manager.arecall("b"))):
            assert answer["_errors"] == {}
            assert [answer[name][0]["id"] for name in answer["_layers"]] == ["1", "2", "2", "4"]
        check_all_slots_are_back(manager)


def test_layer_whose_search_goes_away_after_it_was_registered_makes_the_answer_partial() -> None:
    class Changing(StubLayer):
        there = True

        @property
        def search(self) -> Any:  # type: ignore[override]
            if self.there:
                return lambda query, k, deadline: []
            raise NoText

    layer = Changing("changing")
    with over(layer, StubLayer("good", items("good"))) as manager:
        assert manager.recall("q")["_errors"] == {}
        layer.there = False
        answer = manager.recall("r")
        assert list(answer["_errors"]) == ["changing"]
        assert answer["_success"]
        check_all_slots_are_back(manager)


def test_layer_that_cannot_even_be_looked_at_is_refused_in_words() -> None:
    class Broken:
        @property
        def name(self) -> str:
            raise NoText

    class Odd:
        name = "odd"
        cache_seconds = "long"

        def search(self, query: Any, k: int, deadline: float) -> Any:
            return []

    with over() as manager:
        with pytest.raises(ValueError, match="name of layer"):
            manager.register_layer(Broken())  # type: ignore[arg-type]
        with pytest.raises(
            ValueError, match="cache_seconds of layer 'odd' must be seconds from 0, not 'long'"
        ):
            manager.register_layer(Odd())


def test_layer_that_tries_to_end_the_event_loop_harms_no_other_one() -> None:
    class Stops:
        name = "stops"
        event_loop = "manager"

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            loop = asyncio.get_running_loop()
            loop.stop()
            loop.call_soon(_exit)
            await asyncio.sleep(0.01)
            return []

    def _exit() -> None:
        raise SystemExit(1)

    class Waits:
        name = "waits"

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            await asyncio.sleep(0.01)
            return [{"id": "w", "text": "x"}]

    with over(Stops(), Waits()) as manager:
        for turn in range(3):
            assert manager.recall(f"q {turn}")["waits"]
        check_all_slots_are_back(manager)


def test_threads_that_cannot_be_started_are_a_reason_not_an_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with over(StubLayer("a", items("a")), StubLayer("b", items("b"))) as manager:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            answer = manager.recall("q")
        assert set(answer["_errors"]) == {"a", "b"}
        assert all("can't start new thread" in why for why in answer["_errors"].values())
        assert manager.recall("r")["_errors"] == {}
        check_all_slots_are_back(manager)


def test_where_no_more_threads_can_be_had_those_there_are_take_the_layers_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    layers = [StubLayer(name, items(name)) for name in "abcd"]
    with over(*layers) as manager:
        manager.recall("q", layers=["a"])  # one thread is there from now on
        monkeypatch.setattr(threading.Thread, "start", refuse)
        answer = manager.recall("r")
        assert answer["_errors"] == {}
        assert all(answer[layer.name] for layer in layers)
        monkeypatch.undo()
        check_all_slots_are_back(manager)
