"""LangChain: its retrievals as records, its retrievers as layers, a manager as its retriever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from athena_tuning.extras import needs_extra

with needs_extra("langchain", "The bridge to LangChain"):
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

from athena_tuning.integrations.found_items import best_items, item_of
from athena_tuning.integrations.framework_runs import FrameworkRuns
from athena_tuning.profiling import PerformanceProfiler


class RecallCallback(BaseCallbackHandler):
    """Records the retrievals of LangChain: the outermost retriever is the recall, those below are its layers.

    Retrievers beside each other that are asked the same are one recall; calls of models are no part of it. It
    is given with the call (``config={"callbacks": [callback]}``) or to whatever takes callbacks, and may
    serve any number of threads and tasks.

    Args:
        profiler: takes the records.

    Attributes:
        runs: what is under way, and what was let go.
    """

    run_inline = True  # in the caller's thread or task, so that times are those of the run

    def __init__(self, profiler: PerformanceProfiler) -> None:
        self.runs = FrameworkRuns(profiler)

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
        name = run.get("name") or (serialized or {}).get("name") or kind.lower()
        self.runs.begin(run["run_id"], run.get("parent_run_id"), name, kind, text)

    def _end(self, run: dict[str, Any], **came_of_it: Any) -> None:
        self.runs.end(run["run_id"], **came_of_it)


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
        documents = self._retriever.invoke(str(query))
        return [item_of(each.id, each.page_content, each.metadata.items()) for each in documents[:k]]


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


def _documents(answer: dict[str, Any], k: int) -> list[Document]:
    return [
        Document(id=own, page_content=text, metadata={**metadata, "score": score})
        for own, text, score, metadata in best_items(answer, k)
    ]
