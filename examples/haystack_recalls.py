"""Records Haystack's retrievals, and has a manager answer as a component (extra ``haystack``)."""

from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from athena_tuning import MemoryManager, PerformanceProfiler
from athena_tuning.integrations.haystack import ManagerRetriever, RetrieverLayer, record_retrievals

PAPERS = ["Deploys fail on Fridays.", "Billing needs two approvals."]
profiler = PerformanceProfiler()
papers = InMemoryDocumentStore()
papers.write_documents([Document(content=text) for text in PAPERS])

if __name__ == "__main__":
    record_retrievals(profiler)
    with MemoryManager(":memory:") as manager:
        manager.remember({"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday."})
        manager.register_layer(RetrieverLayer("papers", InMemoryBM25Retriever(papers)))
        pipeline = Pipeline()
        pipeline.add_component("memory", ManagerRetriever(manager))
        pipeline.add_component("papers", InMemoryBM25Retriever(papers))
        pipeline.add_component("joiner", DocumentJoiner())
        pipeline.connect("memory", "joiner")
        pipeline.connect("papers", "joiner")
        asked = {"query": "why did the billing deploy fail?"}
        for document in pipeline.run({"memory": asked, "papers": asked})["joiner"]["documents"]:
            print(document.content)
    measured = profiler.metrics[-1]
    print(f"{measured.query_text} {', '.join(sorted(measured.layers_queried))}, {len(measured.tasks)} layers")
