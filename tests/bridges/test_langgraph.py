"""LangGraph's long-term memory over a manager: put, get, search, delete, list, as its own store does."""

from __future__ import annotations

import asyncio
import doctest
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pytest

pytest.importorskip("langgraph.store.base")

from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore, InvalidNamespaceError, PutOp
from langgraph.store.memory import InMemoryStore

from athena_tuning import MemoryManager
from athena_tuning.integrations import langgraph
from athena_tuning.integrations.langgraph import ManagerStore

ANA, BO = ("users", "ana"), ("users", "bo")


@pytest.fixture
def manager(tmp_path):
    with MemoryManager(tmp_path / "memory.db") as opened:
        yield opened


@pytest.fixture
def store(manager):
    return ManagerStore(manager)


def fill(store):
    store.put(ANA, "tea", {"text": "Ana drinks green tea", "since": 2019, "tags": ["drink"]})
    store.put(ANA, "work", {"text": "Ana owns billing", "since": 2021, "of": {"team": "money"}})
    store.put(BO, "tea", {"text": "Bo drinks black tea", "since": 2022})
    store.put(("docs",), "tea", {"text": "Tea is grown in Assam"})


def fill_more(store):
    """Namespaces that begin alike, lie in each other, or have odd names."""
    fill(store)
    store.put(("users", "ana", "old"), "tea", {"text": "Ana drank tea of Assam", "since": 2001})
    store.put(("users2",), "tea", {"text": "Somebody drinks tea", "since": 2020})
    store.put(("üsers", 'a"na'), "tea", {"text": "Üna drinks tea", "since": 2020})


FILTERS: list[Any] = [
    None, {"since": 2019}, {"since": {"$gt": 2019}}, {"since": {"$gte": 2019, "$lt": 2022}},
    {"since": {"$ne": 2019}}, {"of": {"team": "money"}}, {"tags": ["drink"]}, {"none": 1},
    {"since": {"$lte": 2021}},
]  # fmt: skip


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("prefix", [(), ("users",), ANA, ("nobody",)])
def test_lists_are_those_of_langgraphs_own_store(store, prefix, wanted):
    own = InMemoryStore()
    for each in (own, store):
        fill_more(each)

    def seen(of):
        return {(i.namespace, i.key, str(i.value)) for i in of.search(prefix, filter=wanted, limit=50)}

    try:
        expected = seen(own)
    except TypeError:  # its own compares None with a number
        expected = seen(store)
    assert seen(store) == expected


@pytest.mark.parametrize(
    "asked",
    [{}, {"prefix": ("users",)}, {"suffix": ("ana",)}, {"max_depth": 1}, {"prefix": ("*", "bo")},
     {"limit": 1}, {"limit": 2, "offset": 1}, {"prefix": ("users", "ana", "more")}],
)  # fmt: skip
def test_namespaces_are_those_of_langgraphs_own_store(store, asked):
    own = InMemoryStore()
    for each in (own, store):
        fill_more(each)
    assert store.list_namespaces(**asked) == own.list_namespaces(**asked)


def test_what_is_put_is_got_as_it_was_with_its_times(store):
    value = {"text": "Ana drinks tea", "n": 1.5, "deep": {"none": None, "list": [1, "Ü"]}}
    store.put(ANA, "tea", value)
    first = store.get(ANA, "tea")
    assert (first.value, first.key, first.namespace) == (value, "tea", ANA)
    store.put(ANA, "tea", {"text": "Ana drinks coffee"})
    second = store.get(ANA, "tea")
    assert second.value == {"text": "Ana drinks coffee"}
    assert second.created_at == first.created_at <= first.updated_at < second.updated_at
    assert store.get(BO, "tea") is None


def test_a_search_is_a_recall_over_what_is_below_the_prefix(store, manager):
    fill(store)
    assert {i.namespace for i in store.search(("users",), query="who drinks tea?")} == {ANA, BO}
    [item] = store.search(ANA, query="who drinks tea?", filter={"since": 2019})
    assert (item.key, item.value["since"]) == ("tea", 2019)
    assert item.score > 0
    assert manager.profiler.metrics[-1].query_text == "who drinks tea?"
    assert store.search(("nobody",), query="tea") == []


def test_a_few_below_the_prefix_are_found_among_many_others(store):
    for n in range(120):
        store.put(("others", str(n % 7)), f"k{n}", {"text": f"tea number {n}"})
    store.put(("rare", "a"), "x", {"text": "rare words before one mention of tea, and many more behind it"})
    store.put(("rare", "b"), "y", {"text": "another long text in which somebody brings up tea only once"})
    assert {i.key for i in store.search(("rare",), query="tea")} == {"x", "y"}


def test_pages_of_a_search_follow_each_other(store):
    for n in range(12):
        store.put(ANA, f"k{n}", {"text": f"tea {n}"})
    pages = [[i.key for i in store.search(ANA, query="tea", limit=5, offset=at)] for at in (0, 5, 10)]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert len({key for page in pages for key in page}) == 12


def test_index_says_what_is_searched(store):
    store.put(ANA, "some", {"title": "alpha", "body": "beta"}, index=["title"])
    store.put(ANA, "none", {"title": "alpha"}, index=False)
    assert [i.key for i in store.search(ANA, query="alpha")] == ["some"]
    assert store.search(ANA, query="beta") == []
    assert store.get(ANA, "none").value == {"title": "alpha"}


def test_what_is_deleted_is_gone_everywhere(store, manager):
    fill(store)
    store.delete(ANA, "tea")
    store.delete(ANA, "tea")
    assert store.get(ANA, "tea") is None
    assert all(i.namespace == BO for i in store.search(("users",), query="tea"))
    assert manager.memory.item("tea", "users.ana") is None
    assert manager.memory.item("tea", "users.bo") is not None


def test_other_agents_on_the_memory_find_it(store, manager):
    fill(store)
    items = manager.recall("who drinks green tea?", scope="users.ana")["_fused"]
    assert items[0]["text"].startswith("Ana drinks green tea")


def test_a_store_opened_anew_has_all_of_it(manager, tmp_path):
    fill(ManagerStore(manager))
    with MemoryManager(tmp_path / "memory.db") as other:
        assert ManagerStore(other).get(ANA, "tea").value["since"] == 2019


def test_what_a_process_did_not_come_to_the_end_of_is_settled_by_the_next(manager, store):
    fill(store)
    store._rows.put(ANA, "late", "semantic", {"text": "late oolong"}, "late oolong", 1.0)
    store._rows.mark_gone(ANA, "tea")
    again = ManagerStore(manager)
    assert again.search(ANA, query="oolong")[0].key == "late"
    assert manager.memory.item("tea", "users.ana") is None
    assert again._rows.unsettled() == []


def test_layers_may_depend_on_the_namespace(manager):
    store = ManagerStore(manager, lambda namespace: "episodic" if namespace[0] == "events" else "semantic")
    store.put(("events",), "e", {"text": "the deploy failed"})
    store.put(ANA, "f", {"text": "Ana owns the deploy"})
    assert manager.counts()["episodic"] == manager.counts()["semantic"] == 1
    assert {i.key for i in store.search((), query="deploy")} == {"e", "f"}


def test_it_is_refused_in_words(store, manager):
    with pytest.raises(ValueError, match="is not as JSON holds it"):
        store.put(ANA, "bad", {"text": object()})
    with pytest.raises(ValueError, match=r"a filter knows no '\$in'; there are \$eq"):
        fill(store) or store.search(ANA, filter={"since": {"$in": [1]}})
    with pytest.raises(InvalidNamespaceError):
        store.put(("a.b",), "k", {})
    with pytest.raises(NotImplementedError):
        store.put(ANA, "k", {}, ttl=5)
    with pytest.raises(ValueError, match="for layer 'nowhere'; there are episodic"):
        ManagerStore(manager, "nowhere").put(ANA, "k", {"text": "x"})
    assert store.get(ANA, "bad") is None


def test_it_works_from_many_threads_and_awaited(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(ANA, f"k{n}", {"text": f"tea {n}"}), range(80)))
    assert len(store.search(ANA, limit=100)) == 80

    async def ask():
        await store.aput(BO, "tea", {"text": "Bo drinks tea"})
        return await store.aget(BO, "tea"), await store.asearch(("users", "bo"), query="tea")

    got, items = asyncio.run(ask())
    assert got.value == items[0].value == {"text": "Bo drinks tea"}


def test_a_batch_does_all_of_it(store):
    done = store.batch([PutOp(ANA, "a", {"text": "tea"}), PutOp(ANA, "b", {"text": "tea"})])
    assert done == [None, None]
    assert len(store.search(ANA)) == 2


def test_its_docstring_holds():
    assert doctest.testmod(langgraph) == (0, 5)


def test_a_graph_remembers_by_it(store):
    class State(TypedDict):
        said: str
        known: list[str]

    def remember(state: State, *, store: BaseStore) -> dict[str, Any]:
        known = [item.value["text"] for item in store.search(ANA, query=state["said"])]
        store.put(ANA, state["said"], {"text": state["said"]})
        return {"known": known}

    graph = StateGraph(State)
    graph.add_node("remember", remember)
    graph.add_edge(START, "remember")
    compiled = graph.compile(store=store)
    assert compiled.invoke({"said": "I like green tea", "known": []})["known"] == []
    assert compiled.invoke({"said": "which tea?", "known": []})["known"] == ["I like green tea"]
