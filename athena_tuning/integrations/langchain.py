"""LangChain: its retrievals as records, its retrievers as layers, a manager as its retriever."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from athena_tuning.extras import needs_extra

with needs_extra("langchain", "The bridge to LangChain"):
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

from athena_tuning.integrations.live_spans import LiveSpans
from athena_tuning.interchange.spans import COUNT_ATTRIBUTE, KIND_ATTRIBUTE, Span
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store.text_policy import text_id

_MOST_RUNS = 100_000


@dataclass(frozen=True, slots=True)
class _Run:
    """A run on its way: where it belongs, what it is, and when it began by both clocks."""

    trace_id: str
    parent_id: str | None
    name: str
    kind: str
    text: str | None
    begun_ns: int
    timer_ns: int


class RecallCallback(BaseCallbackHandler):
    """Records the retrievals of LangChain: the outermost retriever is the recall, those below are its layers.

    Retrievers beside each other that are asked the same are one recall; calls of models are no part of it. It
    is given with the call (``config={"callbacks": [callback]}``) or to whatever takes callbacks, and may
    serve any number of threads and tasks.

    Args:
        profiler: takes the records.

    Attributes:
        spans: what is under way, and what was let go.
    """

    run_inline = True  # in the caller's thread or task, so that times are those of the run

    def __init__(self, profiler: PerformanceProfiler) -> None:
        self.spans = LiveSpans(profiler, first_spans=False)
        self._runs: dict[UUID, _Run] = {}
        self._lock = threading.Lock()

    def on_retriever_start(self, serialized: Any, query: str, **run: Any) -> None:
        """Note a retrieval that begins."""
        self._begin("RETRIEVER", serialized, run, query)

    def on_retriever_end(self, documents: Sequence[Any], **run: Any) -> None:
        """Note one that has ended, with how many documents it found."""
        self._end(run, found=len(documents))

    def on_retriever_error(self, error: BaseException, **run: Any) -> None:
        """Note one that has failed."""
        self._end(run, error=error)

    def on_chain_start(self, serialized: Any, inputs: Any, **run: Any) -> None:
        """Note a chain, which retrievals may be below."""
        self._begin("CHAIN", serialized, run)

    def on_chain_end(self, outputs: Any, **run: Any) -> None:
        """Note its end."""
        self._end(run)

    def on_chain_error(self, error: BaseException, **run: Any) -> None:
        """Note its failure."""
        self._end(run, error=error)

    def on_tool_start(self, serialized: Any, input_str: str, **run: Any) -> None:
        """Note a tool, which retrievals may be below."""
        self._begin("TOOL", serialized, run)

    def on_tool_end(self, output: Any, **run: Any) -> None:
        """Note its end."""
        self._end(run)

    def on_tool_error(self, error: BaseException, **run: Any) -> None:
        """Note its failure."""
        self._end(run, error=error)

    def on_llm_start(self, serialized: Any, prompts: list[str], **run: Any) -> None:
        """Note a call of a model, which divides recalls."""
        self._begin("LLM", serialized, run)

    def on_chat_model_start(self, serialized: Any, messages: Any, **run: Any) -> None:
        """Note a call of a chat model, which divides recalls."""
        self._begin("LLM", serialized, run)

    def on_llm_end(self, response: Any, **run: Any) -> None:
        """Note its end."""
        self._end(run)

    def on_llm_error(self, error: BaseException, **run: Any) -> None:
        """Note its failure."""
        self._end(run, error=error)

    def _begin(self, kind: str, serialized: Any, run: dict[str, Any], text: str | None = None) -> None:
        own, above = run["run_id"], run.get("parent_run_id")
        name = run.get("name") or (serialized or {}).get("name") or kind.lower()
        with self._lock:
            parent = self._runs.get(above) if above is not None else None
            trace_id = str(own) if parent is None else parent.trace_id
            parent_id = None if parent is None else str(above)
            self._runs[own] = _Run(
                trace_id, parent_id, name, kind, text, time.time_ns(), time.perf_counter_ns()
            )
            while len(self._runs) > _MOST_RUNS:  # those that never ended
                del self._runs[next(iter(self._runs))]
        self.spans.begin(trace_id, str(own), parent_id, name)

    def _end(
        self, run: dict[str, Any], *, found: int | None = None, error: BaseException | None = None
    ) -> None:
        with self._lock:
            begun = self._runs.pop(run["run_id"], None)
        if begun is None:
            return
        attributes = {KIND_ATTRIBUTE: begun.kind, "input.value": begun.text, COUNT_ATTRIBUTE: found}
        self.spans.end(
            Span(
                begun.trace_id,
                str(run["run_id"]),
                begun.parent_id,
                begun.name,
                begun.begun_ns,
                time.perf_counter_ns() - begun.timer_ns,
                error is None,
                None if error is None else f"{type(error).__name__}: {error}",
                attributes={name: value for name, value in attributes.items() if value is not None},
            )
        )


class RetrieverLayer:
    """Any retriever of LangChain as a layer of a manager.

    Args:
        name: of the layer.
        retriever: is asked with ``invoke``, under the manager's limit and timeout.
        cache_seconds: how long an answer may be repeated; 0: never.
    """

    def __init__(self, name: str, retriever: BaseRetriever, *, cache_seconds: float = 300.0) -> None:
        self.name = name
        self.cache_seconds = cache_seconds
        self._retriever = retriever

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Return the documents that it finds, the best first, as items with their metadata."""
        found = self._retriever.invoke(str(query))
        return [_item(document) for document in found[:k]]


class ManagerRetriever(BaseRetriever):
    """A manager as a retriever of LangChain: documents are what all layers found, the best first.

    ``metadata`` has the item's ``id``, ``layer`` and what else it holds, and the recall's ``query_id``, which
    feedback names.

    Attributes:
        manager: a ``MemoryManager``, or what has its ``recall`` and ``arecall``.
        k: documents at most.
        scope: whose memory; None: all.
    """

    manager: Any
    k: int = 5
    scope: str | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return _documents(self.manager.recall(query, k=self.k, scope=self.scope), self.k)

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return _documents(await self.manager.arecall(query, k=self.k, scope=self.scope), self.k)


def _item(document: Document) -> dict[str, Any]:
    metadata = {str(name): value for name, value in document.metadata.items()}
    own = document.id or metadata.get("id") or text_id(document.page_content)
    return {**metadata, "id": str(own), "text": document.page_content}


def _documents(answer: dict[str, Any], k: int) -> list[Document]:
    if not answer["_success"]:
        raise RuntimeError(f"no layer answered: {answer['_errors']}")
    found = []
    for item in answer["_fused"][:k]:
        metadata = {name: value for name, value in item.items() if name != "text"}
        found.append(
            Document(
                id=str(item["id"]),
                page_content=item["text"],
                metadata={**metadata, "query_id": answer["_query_id"]},
            )
        )
    return found
