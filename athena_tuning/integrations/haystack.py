"""Haystack: its retrievals as records, its retrievers as layers, a manager as a component."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from athena_tuning.extras import needs_extra

with needs_extra("haystack", "The bridge to Haystack"):
    from haystack import Document, component, tracing
    from haystack.tracing import Span, Tracer

from athena_tuning.integrations.found_items import best_items, item_of
from athena_tuning.integrations.framework_runs import FrameworkRuns
from athena_tuning.interchange.spans import question_in
from athena_tuning.profiling import PerformanceProfiler

_INPUT, _OUTPUT = "haystack.component.input", "haystack.component.output"
_NAME, _TYPE = "haystack.component.name", "haystack.component.type"


class RecallSpan(Span):
    """A span of a pipeline or of a component, which remembers what was asked and how much was found.

    Args:
        beside: the span of the tracer that was there before.
    """

    def __init__(self, beside: Span | None) -> None:
        self.id = uuid.uuid4().hex
        self.text: str | None = None
        self.found: int | None = None
        self._beside = beside

    def set_tag(self, key: str, value: Any) -> None:
        """Pass a tag on."""
        if self._beside is not None:
            self._beside.set_tag(key, value)

    def set_content_tag(self, key: str, value: Any) -> None:
        """Look at what goes into a component and what comes out of it, and pass it on."""
        if key == _INPUT:
            self.text = question_in(value)
        elif key == _OUTPUT and isinstance(value, Mapping) and isinstance(value.get("documents"), list):
            self.found = len(value["documents"])
        if self._beside is not None:
            self._beside.set_content_tag(key, value)

    def raw_span(self) -> Any:
        """Return the span of the tracer that was there before."""
        return self if self._beside is None else self._beside.raw_span()

    def get_correlation_data_for_logs(self) -> dict[str, Any]:
        """Return what that has for logs."""
        return {} if self._beside is None else self._beside.get_correlation_data_for_logs()


class RecallTracer(Tracer):
    """Records the retrievals of Haystack: those of one pipeline run that are asked the same are one recall.

    A component whose class is called a retriever is a layer, by its name in the pipeline. What was asked and
    found is looked at, whatever ``HAYSTACK_CONTENT_TRACING_ENABLED`` says: it goes to the profiler alone.
    ``record_retrievals`` makes it known to Haystack. May serve any number of threads and tasks.

    Args:
        profiler: takes the records.
        before: the tracer that was there before, which goes on as it did.
        is_retriever: says by the class of a component whether it is one; None: by "Retriever" in its name.

    Attributes:
        runs: what is under way, and what was let go.
    """

    def __init__(
        self,
        profiler: PerformanceProfiler,
        before: Tracer | None = None,
        *,
        is_retriever: Callable[[str], bool] | None = None,
    ) -> None:
        self.runs = FrameworkRuns(profiler)
        self._before = before
        self._is_retriever = is_retriever or (lambda kind: "Retriever" in kind)
        self._current: ContextVar[RecallSpan | None] = ContextVar("athena_haystack_span", default=None)

    @contextmanager
    def trace(
        self, operation_name: str, tags: dict[str, Any] | None = None, parent_span: Span | None = None
    ) -> Iterator[Span]:
        """Record a pipeline or a component that runs in the block."""
        tags = tags or {}
        above = parent_span if isinstance(parent_span, RecallSpan) else self._current.get()
        with ExitStack() as open_spans:
            beside = None
            if self._before is not None:
                over = above._beside if above is not None else parent_span
                beside = open_spans.enter_context(
                    self._before.trace(operation_name, tags=tags, parent_span=over)
                )
            span = RecallSpan(beside)
            name = tags.get(_NAME) or "Pipeline"
            self.runs.begin(span.id, None if above is None else above.id, name, self._kind(tags))
            token = self._current.set(span)
            try:
                yield span
            except BaseException as error:
                self.runs.end(span.id, text=span.text, error=error)
                raise
            else:
                self.runs.end(span.id, text=span.text, found=span.found)
            finally:
                self._current.reset(token)

    def current_span(self) -> Span | None:
        """Return the span that is under way in this thread or task."""
        return self._current.get()

    def _kind(self, tags: Mapping[str, Any]) -> str:
        kind = str(tags.get(_TYPE, ""))
        if self._is_retriever(kind):
            return "RETRIEVER"
        return "LLM" if kind.endswith("Generator") else "CHAIN"


def record_retrievals(profiler: PerformanceProfiler) -> RecallTracer:
    """Let Haystack tell a profiler of all its retrievals, in this process, from now on.

    A tracer that is there goes on.

    Args:
        profiler: takes the records.
    """
    before = tracing.tracer.actual_tracer if tracing.is_tracing_enabled() else None
    tracer = RecallTracer(profiler, before)
    tracing.enable_tracing(tracer)
    return tracer


class RetrieverLayer:
    """Any retriever component of Haystack as a layer of a manager.

    Args:
        name: of the layer.
        retriever: is asked with ``run``, under the manager's limit and timeout; warmed up before.
        inputs: gives what it is run with, by the query and how many are wanted; None: ``query`` and
            ``top_k``; for one by embeddings ``lambda text, k: {"query_embedding": embed(text), "top_k": k}``.
        cache_seconds: how long an answer may be repeated; 0: never.
    """

    def __init__(
        self,
        name: str,
        retriever: Any,
        *,
        inputs: Callable[[str, int], Mapping[str, Any]] | None = None,
        cache_seconds: float = 300.0,
    ) -> None:
        self.name = name
        self.cache_seconds = cache_seconds
        self._retriever = retriever
        self._inputs = inputs or (lambda query, k: {"query": query, "top_k": k})

    def open(self) -> None:
        """Warm the retriever up, where it wants that."""
        warm_up = getattr(self._retriever, "warm_up", None)
        if warm_up is not None:
            warm_up()

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Return the documents that it finds, the best first, as items with their metadata."""
        documents = self._retriever.run(**self._inputs(str(query), k))["documents"]
        return [item_of(each.id, each.content, each.meta.items()) for each in documents[:k] if each.content]


@component
class ManagerRetriever:
    """A manager as a component of a pipeline: documents are what all layers found, the best first.

    ``meta`` has the item's ``layer`` and what else it holds, and the recall's ``query_id``, which feedback
    names.

    Args:
        manager: a ``MemoryManager``, or what has its ``recall`` and ``arecall``.
        top_k: documents at most.
        scope: whose memory; None: all.
    """

    def __init__(self, manager: Any, top_k: int = 5, scope: str | None = None) -> None:
        self._manager, self._top_k, self._scope = manager, top_k, scope

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None) -> dict[str, list[Document]]:
        """Recall; ``top_k`` takes the place of the component's own."""
        k = top_k or self._top_k
        return _documents(self._manager.recall(query, k=k, scope=self._scope), k)

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, top_k: int | None = None) -> dict[str, list[Document]]:
        """Recall without blocking the running loop."""
        k = top_k or self._top_k
        return _documents(await self._manager.arecall(query, k=k, scope=self._scope), k)


def _documents(answer: dict[str, Any], k: int) -> dict[str, list[Document]]:
    return {
        "documents": [
            Document(id=own, content=text, score=score, meta=metadata)
            for own, text, score, metadata in best_items(answer, k)
        ]
    }
