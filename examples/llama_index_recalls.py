"""Records LlamaIndex's retrievals, and has a manager answer as a retriever (extra ``llama-index``)."""

from llama_index.core import Document, SummaryIndex
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever

from athena_tuning import MemoryManager, PerformanceProfiler
from athena_tuning.integrations.llama_index import ManagerRetriever, RetrieverLayer, record_retrievals

PAPERS = ["Deploys fail on Fridays.", "Billing needs two approvals."]
profiler = PerformanceProfiler()

if __name__ == "__main__":
    papers = SummaryIndex.from_documents([Document(text=text) for text in PAPERS]).as_retriever()
    with MemoryManager(":memory:") as manager:
        manager.remember({"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday."})
        manager.register_layer(RetrieverLayer("papers", papers))
        memory = ManagerRetriever(manager)
        for node in memory.retrieve("what about billing?"):
            print(f"{node.metadata['layer']}: {node.text}")

        record_retrievals(profiler)
        fusion = QueryFusionRetriever([memory, papers], llm=MockLLM(), num_queries=1, use_async=False)
        fusion.retrieve("why did the deploy fail?")
    measured = profiler.metrics[-1]
    print(f"{measured.query_text} {', '.join(measured.layers_queried)}: {measured.result_count} results")
