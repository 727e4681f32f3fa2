"""Who a call is for: context variables, trace, scope, deadline and priority are there in every layer."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from athena_tuning.recall import MemoryManager, current_recall
from tests.support.memory_layers import StubLayer, items, over
from tests.support.waiting import until

WAIT = 30.0

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


class Seen:
    """Notes what a layer sees, whatever way it runs."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.spoil = False

    def note(self, layer: str, query: Any) -> list[dict[str, str]]:
        self.calls.append((layer, str(query).split()[0], tenant.get()))
        if self.spoil:
            tenant.set("left behind by a layer")
        return []

    def layers(self) -> list[Any]:
        seen = self

        class InThread:
            name = "thread"

            def search(self, query: Any, k: int, deadline: float) -> Any:
                time.sleep(0.001)
                return seen.note("thread", query)

        class AsCoroutine:
            name = "coroutine"

            async def search(self, query: Any, k: int, deadline: float) -> Any:
                await asyncio.sleep(0.001)
                return seen.note("coroutine", query)

        class InCallersThread:
            name = "local"
            keeps_deadline = True

            def search(self, query: Any, k: int, deadline: float) -> Any:
                return seen.note("local", query)

        class ReturnsAwaitable:
            name = "awaitable"

            def search(self, query: Any, k: int, deadline: float) -> Any:
                return AsCoroutine().search(query, k, deadline)

        return [InThread(), AsCoroutine(), InCallersThread(), ReturnsAwaitable()]


def test_context_variables_of_8_clients_on_2_slots_are_in_each_layer_those_of_its_own_client() -> None:
    seen = Seen()
    seen.spoil = True
    with over(*seen.layers(), max_concurrent=2) as manager:

        def client(name: str) -> None:
            tenant.set(name)
            for turn in range(8):
                manager.recall(f"{name} asks {turn}", use_cache=False)
                assert tenant.get() == name, "what a layer sets stays in its own copy"

        threads = [threading.Thread(target=client, args=(f"tenant{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
    assert len(seen.calls) == 8 * 8 * 4
    assert all(own == got for _, own, got in seen.calls)
    assert {layer for layer, _, _ in seen.calls} == {"thread", "coroutine", "local"}


def test_context_variables_of_awaiting_clients_are_in_each_layer_those_of_its_own_client() -> None:
    seen = Seen()
    seen.spoil = True

    async def client(manager: MemoryManager, name: str) -> None:
        tenant.set(name)
        for turn in range(5):
            await manager.arecall(f"{name} asks {turn}", use_cache=False)
            assert tenant.get() == name

    async def main(manager: MemoryManager) -> None:
        await asyncio.gather(*(client(manager, f"tenant{n}") for n in range(10)))

    with over(*seen.layers(), max_concurrent=3) as manager:
        asyncio.run(main(manager))
    assert len(seen.calls) == 10 * 5 * 4
    assert all(own == got for _, own, got in seen.calls)


def test_trace_goes_on_in_every_layer() -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    provider, exporter = trace.TracerProvider(), memory.InMemorySpanExporter()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")

    class Spanning(Seen):
        def note(self, layer: str, query: Any) -> list[dict[str, str]]:
            with tracer.start_as_current_span(layer):
                return super().note(layer, query)

    with over(*Spanning().layers()) as manager:
        for turn in range(20):
            with tracer.start_as_current_span("request"):
                manager.recall(f"q {turn}", use_cache=False)
    spans = exporter.get_finished_spans()
    requests = {span.context.span_id: span for span in spans if span.name == "request"}
    inner = [span for span in spans if span.name != "request"]
    assert (len(requests), len(inner)) == (20, 80)
    for span in inner:
        assert span.parent is not None
        assert span.context.trace_id == requests[span.parent.span_id].context.trace_id


def test_current_recall_says_for_whom_a_layer_runs() -> None:
    found: dict[str, Any] = {}

    class Layer(StubLayer):
        def search(self, query: Any, k: int, deadline: float) -> Any:
            now = current_recall()
            assert now is not None
            found[self.name] = (now.query, now.scope, now.priority, now.layer, now.deadline == deadline)
            found["id"] = now.query_id
            return []

    with over(Layer("a"), Layer("b"), deadline_seconds=20.0) as manager:
        answer = manager.recall("what is it", {"priority": "background"}, scope="billing")
        assert found["a"] == ("what is it", "billing", "background", "a", True)
        assert found["b"] == ("what is it", "billing", "background", "b", True)
        assert found["id"] == answer["_query_id"]
    assert current_recall() is None


def test_deadline_of_a_recall_within_a_recall_is_not_later_than_that_of_the_layer() -> None:
    deadlines: list[tuple[float, float]] = []

    class Outer(StubLayer):
        def search(self, query: Any, k: int, deadline: float) -> Any:
            if str(query) == "outer":
                manager.recall("inner", use_cache=False)
            return []

    class Inner(StubLayer):
        def search(self, query: Any, k: int, deadline: float) -> Any:
            now = current_recall()
            assert now is not None
            deadlines.append((now.deadline, deadline))
            return []

    with over(Outer("outer"), Inner("inner"), layer_timeouts={"outer": 5.0}, timeout_seconds=60.0) as manager:
        began = time.monotonic()
        manager.recall("outer", use_cache=False)
        assert any(deadline <= began + 5.5 for deadline, _ in deadlines)
        assert all(told == given for told, given in deadlines)


# Whose event loop


class OnLoop:
    """A coroutine layer that notes on which loop it runs."""

    name = "remote"

    def __init__(self, **says: Any) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []
        vars(self).update(says)

    async def search(self, query: Any, k: int, deadline: float) -> Any:
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return [{"id": "r", "text": "remote"}]


async def _own_loop(recall: Callable[[], Any]) -> asyncio.AbstractEventLoop:
    answer = await recall()
    assert answer["remote"], answer["_errors"]
    return asyncio.get_running_loop()


def test_event_loop_of_a_coroutine_layer_is_that_of_the_caller_that_awaits() -> None:
    layer = OnLoop()
    with MemoryManager(":memory:", layers=[layer]) as manager:
        loops = [asyncio.run(_own_loop(lambda n=n: manager.arecall(f"q {n}"))) for n in range(3)]  # type: ignore[misc]
        assert layer.loops == loops, "each of three loops, one after another"
        manager.recall("blocking")
        assert layer.loops[-1] not in loops
        assert (manager.in_flight, manager.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("layer", "options"), [(OnLoop(event_loop="manager"), {}), (OnLoop(), {"event_loop": "manager"})]
)
def test_event_loop_can_be_the_managers_by_an_option_of_the_layer_or_of_the_manager(
    layer: OnLoop, options: dict[str, Any]
) -> None:
    with MemoryManager(":memory:", layers=[layer], **options) as manager:
        own = asyncio.run(_own_loop(lambda: manager.arecall("q")))
        manager.recall("blocking")
        assert own not in layer.loops
        assert layer.loops[0] is layer.loops[1], "one loop for all"


def test_event_loop_that_is_unheard_of_is_refused() -> None:
    with pytest.raises(ValueError, match="event_loop of layer 'remote' must be 'caller' or 'manager'"):
        MemoryManager(":memory:", layers=[OnLoop(event_loop="mine")])


def test_event_loop_of_a_client_that_belongs_to_another_one_is_named_in_the_error() -> None:
    class Bound:
        name = "bound"
        event_loop = "manager"
        lock: asyncio.Future[None] | None = None

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            assert self.lock is not None
            return await self.lock

    async def main(manager: MemoryManager) -> dict[str, Any]:
        layer.lock = asyncio.get_running_loop().create_future()
        return await manager.arecall("q")

    layer = Bound()
    with MemoryManager(":memory:", layers=[layer]) as manager:
        answer = asyncio.run(main(manager))
    assert "event_loop can be 'caller' or 'manager'" in answer["_errors"]["bound"]


def test_event_loop_that_ends_with_a_layers_call_on_it_gives_the_slot_back() -> None:
    class Stubborn:
        name = "stubborn"

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            await asyncio.Event().wait()

    with over(Stubborn(), layer_timeouts={"stubborn": 0.02}) as manager:
        loop = asyncio.new_event_loop()
        answer = loop.run_until_complete(manager.arecall("q"))
        assert "timed out" in answer["_errors"]["stubborn"]
        # the loop is never run again, so the cancelled call never ends
        until(lambda: manager.in_flight == 0)
        loop.close()


# Who may share an answer


def test_identity_variables_keep_answers_of_different_tenants_apart() -> None:
    class Own(StubLayer):
        def search(self, query: Any, k: int, deadline: float) -> Any:
            self.calls += 1
            return [{"id": "1", "text": f"secret of {tenant.get()}"}]

    def ask(manager: MemoryManager, name: str) -> str:
        def recall() -> str:
            tenant.set(name)
            return str(manager.recall("what is it")["own"][0]["text"])

        return contextvars.copy_context().run(recall)

    layer = Own("own")
    with MemoryManager(":memory:", layers=[layer], identity=[tenant]) as manager:
        for _ in range(2):
            assert ask(manager, "ana") == "secret of ana"
            assert ask(manager, "bo") == "secret of bo"
    assert layer.calls == 2, "and each was answered from the cache once"


def test_identity_variable_that_cannot_be_compared_is_asked_each_time() -> None:
    layer = StubLayer("a", items("1"))
    handle: contextvars.ContextVar[Any] = contextvars.ContextVar("handle", default=None)
    with MemoryManager(":memory:", layers=[layer], identity=[handle]) as manager:
        manager.recall("q")
        assert manager.recall("q")["_cache_hit"]
        handle.set(object())
        assert not manager.recall("q")["_cache_hit"]
        assert not manager.recall("q")["_cache_hit"]
