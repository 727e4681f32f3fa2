"""Records LangChain's retrievals, and has a manager answer as a retriever (needs the extra ``langchain``)."""

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableParallel

from athena_tuning import MemoryManager, PerformanceProfiler
from athena_tuning.integrations.langchain import ManagerRetriever, RecallCallback, RetrieverLayer

PAPERS = ["Deploys fail on Fridays.", "Billing needs two approvals."]
profiler = PerformanceProfiler()


class Papers(BaseRetriever):
    """Stands for any retriever of LangChain."""

    def _get_relevant_documents(self, query: str, *, run_manager: object) -> list[Document]:
        words = query.lower().strip("?").split()
        found = [text for text in PAPERS if any(word in text.lower() for word in words)]
        return [Document(id=text, page_content=text) for text in found]


if __name__ == "__main__":
    with MemoryManager(":memory:") as manager:
        manager.remember({"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday."})
        manager.register_layer(RetrieverLayer("papers", Papers()))
        memory = ManagerRetriever(manager=manager)
        for document in memory.invoke("what about billing?"):
            print(f"{document.metadata['layer']}: {document.page_content}")

        step = RunnableParallel(memory=memory, papers=Papers())
        step.invoke("why did the deploy fail?", {"callbacks": [RecallCallback(profiler)]})
    measured = profiler.metrics[-1]
    print(f"{measured.query_text} {', '.join(measured.layers_queried)}: {measured.result_count} results")
