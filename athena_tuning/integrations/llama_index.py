"""LlamaIndex: its retrievals as records, its retrievers as layers, a manager as its retriever."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import BoundArguments
from typing import Any

from athena_tuning.extras import needs_extra

with needs_extra("llama-index", "The bridge to LlamaIndex"):
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.llms.base import BaseLLM
    from llama_index.core.instrumentation import get_dispatcher
    from llama_index.core.instrumentation.span import BaseSpan
    from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from pydantic import PrivateAttr

from athena_tuning.integrations.found_items import best_items, item_of
from athena_tuning.integrations.framework_runs import FrameworkRuns
from athena_tuning.profiling import PerformanceProfiler

_ASKING = (".retrieve-", ".aretrieve-")


class RecallSpanHandler(BaseSpanHandler[BaseSpan]):
    """Records the retrievals of LlamaIndex: the outermost retriever is the recall, those below its layers.

    ``record_retrievals`` makes it known to LlamaIndex. It may serve any number of threads and tasks.

    Args:
        profiler: takes the records.
    """

    _runs: FrameworkRuns = PrivateAttr()

    def __init__(self, profiler: PerformanceProfiler) -> None:
        super().__init__()
        self._runs = FrameworkRuns(profiler)

    @property
    def runs(self) -> FrameworkRuns:
        """What is under way, and what was let go."""
        return self._runs

    @classmethod
    def class_name(cls) -> str:
        """Return its name, as LlamaIndex wants to know it."""
        return "RecallSpanHandler"

    def new_span(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        """Note a span that begins; LlamaIndex need not hold it."""
        retrieves = isinstance(instance, BaseRetriever) and any(method in id_ for method in _ASKING)
        kind = "RETRIEVER" if retrieves else "LLM" if isinstance(instance, BaseLLM) else "CHAIN"
        text = _question(bound_args) if retrieves else None
        self._runs.begin(id_, parent_span_id, _name(id_, instance), kind, text)

    def prepare_to_exit_span(
        self, id_: str, bound_args: BoundArguments, instance: Any = None, result: Any = None, **others: Any
    ) -> None:
        """Note one that has ended, with how many nodes it found."""
        self._runs.end(id_, found=len(result) if isinstance(result, Sequence) else None)

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        err: BaseException | None = None,
        **others: Any,
    ) -> None:
        """Note one that has failed."""
        self._runs.end(id_, error=err or RuntimeError("dropped"))


def record_retrievals(profiler: PerformanceProfiler) -> RecallSpanHandler:
    """Let LlamaIndex tell a profiler of all its retrievals, in this process, from now on.

    Args:
        profiler: takes the records.

    Returns:
        The handler: ``runs`` says what is under way.
    """
    handler = RecallSpanHandler(profiler)
    get_dispatcher().add_span_handler(handler)
    return handler


class RetrieverLayer:
    """Any retriever of LlamaIndex as a layer of a manager.

    Args:
        name: of the layer.
        retriever: is asked with ``retrieve``, under the manager's limit and timeout.
        cache_seconds: how long an answer may be repeated; 0: never.
    """

    def __init__(self, name: str, retriever: BaseRetriever, *, cache_seconds: float = 300.0) -> None:
        self.name = name
        self.cache_seconds = cache_seconds
        self._retriever = retriever

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Return the nodes that it finds, the best first, as items with their metadata."""
        nodes = self._retriever.retrieve(str(query))
        return [
            item_of(each.node.node_id, each.node.get_content(), each.node.metadata.items())
            for each in nodes[:k]
        ]


class ManagerRetriever(BaseRetriever):
    """A manager as a retriever of LlamaIndex: nodes are what all layers found, the best first.

    ``metadata`` has the item's ``layer`` and what else it holds, and the recall's ``query_id``, which
    feedback names.

    Args:
        manager: a ``MemoryManager``, or what has its ``recall`` and ``arecall``.
        k: nodes at most.
        scope: whose memory; None: all.
        others: what LlamaIndex's own retrievers take.
    """

    def __init__(self, manager: Any, *, k: int = 5, scope: str | None = None, **others: Any) -> None:
        super().__init__(**others)
        self._manager, self._k, self._scope = manager, k, scope

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        answer = self._manager.recall(query_bundle.query_str, k=self._k, scope=self._scope)
        return _nodes(answer, self._k)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        answer = await self._manager.arecall(query_bundle.query_str, k=self._k, scope=self._scope)
        return _nodes(answer, self._k)


def _nodes(answer: dict[str, Any], k: int) -> list[NodeWithScore]:
    return [
        NodeWithScore(
            node=TextNode(
                id_=own, text=text, metadata=metadata, excluded_llm_metadata_keys=[*metadata],
                excluded_embed_metadata_keys=[*metadata],
            ),
            score=score,
        )
        for own, text, score, metadata in best_items(answer, k)
    ]  # fmt: skip


def _question(bound_args: BoundArguments) -> str | None:
    question = bound_args.arguments.get("str_or_query_bundle")
    return question.query_str if isinstance(question, QueryBundle) else question


def _name(id_: str, instance: Any) -> str:
    """Return the class of who works, or the function: an id is that and a UUID."""
    return type(instance).__name__ if instance is not None else id_[:-37]
