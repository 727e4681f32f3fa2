"""Lets a graph of LangGraph remember by a manager (extra ``langgraph``)."""

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore

from athena_tuning import MemoryManager
from athena_tuning.integrations.langgraph import ManagerStore


class State(TypedDict):
    """What was said, and what was known before."""

    said: str
    known: list[str]


def remember(state: State, *, store: BaseStore) -> dict[str, Any]:
    mine = ("users", "ana")
    known = [item.value["text"] for item in store.search(mine, query=state["said"])]
    store.put(mine, state["said"], {"text": state["said"]})
    return {"known": known}


if __name__ == "__main__":
    graph = StateGraph(State)
    graph.add_node("remember", remember)
    graph.add_edge(START, "remember")
    with MemoryManager(":memory:") as manager:
        agent = graph.compile(store=ManagerStore(manager))
        agent.invoke({"said": "I drink green tea in the morning", "known": []})
        print(agent.invoke({"said": "Which tea do I drink?", "known": []})["known"])
        measured = manager.profiler.metrics[-1]
        print(f"{measured.query_text} {', '.join(measured.layers_queried)}: {measured.result_count} result")
