"""Objects of a layer of which one method raises, wherever they stand in what it gives: no recall fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from athena_tuning.control.breaker import BreakerSettings
from athena_tuning.recall import MemoryManager
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import StubLayer, items, set_config

METHODS = (
    *("__class__", "__getattribute__", "__getattr__", "__len__", "__getitem__", "__iter__", "__contains__"),
    *(
        "__hash__",
        "__eq__",
        "__lt__",
        "__bool__",
        "__repr__",
        "__str__",
        "__format__",
        "__call__",
        "__await__",
    ),
    *("__index__", "__float__", "__reduce_ex__", "__copy__", "__deepcopy__", "__length_hint__"),
    *("keys", "get", "items", "values", "encode", "isoformat"),
)
PLACES: dict[str, Callable[[Any], Any]] = {
    "answer": lambda it: it,
    "item": lambda it: [it],
    **{
        field: lambda it, field=field: [{"id": "1", "text": "x", field: it}]  # type: ignore[misc]
        for field in ("id", "text", "scope", "timestamp", "evidence", "score", "own")
    },
    "a piece of evidence": lambda it: [{"id": "1", "text": "x", "evidence": [it]}],
    "a key": lambda it: [{"id": "1", "text": "x", "own": {it: 1}}],
}
GIVEN: dict[type, tuple[Any, ...]] = {
    object: (),
    dict: ({"id": "1", "text": "x"},),
    list: ([{"id": "1", "text": "x"}],),
    str: ("x",),
    float: (5.0,),
}
NEVER = BreakerSettings(in_a_row=1_000_000, least_calls=1_000_000, window_calls=1)


def hostile(base: type, method: str) -> type:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no")

    return type(
        f"Hostile{base.__name__}", (base,), {method: property(fail) if method == "__class__" else fail}
    )


class Asked:
    """Four layers that give the same, each in another way, beside a good one."""

    def __init__(self) -> None:
        self.give: Callable[[], Any] = list
        self.count = 0

        class Local(StubLayer):
            keeps_deadline = True

        class Awaited(StubLayer):
            async def search(_, query: Any, k: int, deadline: float) -> Any:  # type: ignore[override]
                return self.give()

        plain: Any = lambda query, k, deadline: self.give()  # noqa: E731
        layers = [StubLayer("thread", plain), Local("local", plain), Awaited("awaited")]
        self.manager = MemoryManager(
            ":memory:", layers=[*layers, StubLayer("good", items("good"))], breaker=NEVER
        )
        set_config(self.manager, layer_selection_enabled=False, overload_after_seconds=None)

    def check(self, give: Callable[[], Any]) -> None:
        """Ask twice in a thread, the second time what may be cached, and once on an event loop."""
        self.give = give
        self.count += 1
        query = f"q {self.count}"
        for answer in (
            self.manager.recall(query),
            self.manager.recall(query),
            asyncio.run(self.manager.arecall(f"awaited {query}")),
        ):
            assert "good" in [item["id"] for item in answer["_fused"]]
            assert not [why for why in answer["_errors"].values() if "lost" in why]


@pytest.fixture
def asked() -> Iterator[Asked]:
    asked = Asked()
    with asked.manager as manager:
        yield asked
        until(lambda: manager.in_flight == 0)
        ledger = manager._executor.ledger
        assert ledger.given == ledger.returned > 0


@pytest.mark.parametrize("place", PLACES)
def test_object_that_a_layer_gives_with_a_broken_method_fails_no_recall(asked: Asked, place: str) -> None:
    for base, given in GIVEN.items():
        for method in METHODS:
            kind = hostile(base, method)
            try:
                kind(*given)
            except RuntimeError:  # it cannot even be made
                continue
            asked.check(lambda kind=kind, given=given: PLACES[place](kind(*given)))  # type: ignore[misc]


@pytest.mark.parametrize("base", [Exception, BaseException, TimeoutError, SystemExit])
def test_exception_that_a_layer_raises_with_a_broken_method_fails_no_recall(asked: Asked, base: type) -> None:
    for method in METHODS:

        def fail(kind: Any = hostile(base, method)) -> Any:  # noqa: B008
            raise kind

        asked.check(fail)
