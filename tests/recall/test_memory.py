"""The five layers over one file: what is remembered is found, what is forgotten is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_tuning.recall.items import BadItems, Item, LayerQuery
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.memory import BATCH, Memory
from tests.support.examples import examples

LATER = time.monotonic() + 3600


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    made = Memory(tmp_path / "m.db")
    yield made
    made.close()


def note(item_id: str, text: str, layer: str = "semantic", **more: object) -> Item:
    return Item.from_dict({"id": item_id, "layer": layer, "text": text, **more})


def ask(memory: Memory, layer: str, text: str, scope: str | None = None, k: int = 10) -> list[str]:
    return [found["id"] for found in memory.layers[layer].search(LayerQuery(text, scope), k, LATER)]


@pytest.mark.parametrize("layer", ["episodic", "semantic", "procedural", "prospective", "graph"])
def test_every_layer_finds_its_own_items_by_any_form_of_their_words(memory: Memory, layer: str) -> None:
    memory.remember([note("a", "Deploying the billing service failed", layer), note("b", "Tea time", layer)])
    assert ask(memory, layer, "Which deployments fail?") == ["a"]
    for other in memory.layers:
        if other != layer:
            assert ask(memory, other, "deploying") == []


def test_an_item_comes_back_whole(memory: Memory) -> None:
    item = note(
        "a",
        "Ana fixed the login",
        "graph",
        scope="web",
        timestamp=1714644000,
        kind="fix",
        speaker="Ana",
        entities=["Ana", "login"],
        edges=[["Ana", "fixed", "login"]],
        evidence=["t1"],
    )
    memory.remember([item])
    (found,) = memory.layers["graph"].search(LayerQuery("login"), 5, LATER)
    assert Item.from_dict(found) == item


def test_a_scope_limits_what_is_found(memory: Memory) -> None:
    memory.remember([note("a", "tea", scope="x"), note("b", "tea", scope="y"), note("c", "tea")])
    assert set(ask(memory, "semantic", "tea")) == {"a", "b", "c"}
    assert ask(memory, "semantic", "tea", "x") == ["a"]
    assert ask(memory, "semantic", "tea", "nowhere") == []


def test_an_item_is_found_by_its_neighbours_but_after_them(memory: Memory) -> None:
    talk = ["What did the auditors want?", "Only the ledger.", "And lunch?"]
    memory.remember([note(f"t{i}", text, "episodic", scope="s") for i, text in enumerate(talk)])
    assert ask(memory, "episodic", "auditors", "s") == ["t0", "t1"]
    memory.remember([note("t3", "The auditors paid.", "episodic", scope="s")])
    assert set(ask(memory, "episodic", "auditors", "s")) == {"t0", "t1", "t2", "t3"}
    memory.forget("t3")
    assert ask(memory, "episodic", "auditors", "s") == ["t0", "t1"]


def test_items_without_a_scope_have_no_neighbours(memory: Memory) -> None:
    memory.remember([note("a", "auditors"), note("b", "ledger")])
    assert ask(memory, "semantic", "auditors") == ["a"]


def test_an_item_is_found_by_its_date_and_its_names(memory: Memory) -> None:
    memory.remember(
        [note("a", "It broke", timestamp="2024-05-02T10:00:00", speaker="Ana"), note("b", "Fine")]
    )
    for question in ("what was in May 2024", "2024-05-02", "which Thursday", "what did Ana say"):
        assert ask(memory, "semantic", question) == ["a"], question


def test_remembering_an_id_again_replaces_the_item_also_in_another_layer(memory: Memory) -> None:
    memory.remember([note("a", "old words", entities=["Bob"]), note("g", "x", "graph", entities=["Bob"])])
    memory.remember([note("a", "fresh text"), note("g", "moved", "episodic")])
    assert (ask(memory, "semantic", "old words Bob"), ask(memory, "semantic", "fresh")) == ([], ["a"])
    assert (ask(memory, "graph", "Bob"), ask(memory, "episodic", "moved")) == ([], ["g"])
    assert memory.counts() == {"episodic": 1, "semantic": 1, "procedural": 0, "prospective": 0, "graph": 0}


def test_an_id_is_one_items_own_in_each_scope(memory: Memory) -> None:
    turns = [note("turn-1", f"tea for {scope}", "episodic", scope=scope) for scope in ("ana", "bo", None)]
    memory.remember(turns)
    memory.remember([note("turn-1", "coffee for ana", "episodic", scope="ana")])
    found = memory.layers["episodic"].search(LayerQuery("tea coffee"), 9, LATER)
    assert {(item["scope"], item["text"]) for item in found} == {
        ("ana", "coffee for ana"),
        ("bo", "tea for bo"),
        (None, "tea for None"),
    }
    assert [ask(memory, "episodic", "tea coffee", scope) for scope in ("ana", "bo")] == [["turn-1"]] * 2


def test_forgetting_an_id_that_several_scopes_have_needs_the_scope(memory: Memory) -> None:
    memory.remember(
        [note("t", "tea", scope="ana"), note("t", "tea", scope="bo"), note("u", "tea", scope="bo")]
    )
    with pytest.raises(ValueError, match="'ana' and 'bo' have an item 't': say which with scope="):
        memory.forget_many(["u", "t"])
    assert memory.counts()["semantic"] == 3
    assert memory.forget("u"), "an id that only one scope has needs none"
    assert not memory.forget("t", None)
    assert not memory.forget("t", "cy")
    assert memory.forget("t", "ana")
    assert ask(memory, "semantic", "tea", "bo") == ["t"]
    assert memory.forget_many(["t", "t", "x"], "bo") == 1
    assert memory.counts()["semantic"] == 0


def test_a_scope_may_have_any_name(memory: Memory) -> None:
    scopes = ["a", "A", "a ", "scope", "1", "'; DROP TABLE item", "东京", "a\0b"]
    memory.remember(note("t", "tea", scope=scope) for scope in scopes)
    for scope in scopes:
        assert [i["scope"] for i in memory.layers["semantic"].search(LayerQuery("tea", scope), 9, LATER)] == [
            scope
        ]


def test_what_no_memory_can_hold_is_not_found_and_not_known(memory: Memory) -> None:
    memory.remember([note("a", "half a ledger", scope="s")])
    assert ask(memory, "semantic", "half \ud83d ledger") == ["a"]
    assert ask(memory, "semantic", "ledger", "s\ud83d") == ask(memory, "graph", "ledger", "\ud83d") == []
    assert memory.forget_many(["\ud83d", "a\ud83d"]) == memory.forget_many(["a"], "s\ud83d") == 0
    assert memory.forget("a")


@pytest.mark.parametrize("layer", ["episodic", "semantic", "graph"])
def test_an_index_is_in_one_part_after_much_was_written_and_in_few_after_little_by_little(
    memory: Memory, layer: str
) -> None:
    def parts() -> list[int]:
        tables = [f"{layer}_text", *(["entity_text"] if layer == "graph" else [])]
        return [memory.file.read(f"SELECT count(DISTINCT segid) FROM {table}_idx")[0][0] for table in tables]

    def notes(first: int, last: int) -> list[Item]:
        return [
            note(f"n{n}", f"tea {n}", layer, scope="s", entities=[f"name {n}"]) for n in range(first, last)
        ]

    memory.remember(notes(0, 3 * BATCH))
    assert set(parts()) == {1}
    for n in range(3 * BATCH, 3 * BATCH + 100):
        memory.remember(notes(n, n + 1))
    assert max(parts()) <= 20
    assert ask(memory, layer, "tea 1599", "s")[0] == "n1599"


def test_a_write_is_kept_also_where_the_parts_of_its_index_cannot_be_joined(
    memory: Memory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise TimeoutError("another process is writing")

    with monkeypatch.context() as patched:
        patched.setattr(memory.layers["semantic"], "joining_steps", fail)
        assert memory.remember([note("a", "tea")]) == {"semantic": 1}
    assert "index semantic" in caplog.text
    assert ask(memory, "semantic", "tea") == ["a"]


def test_of_one_id_twice_in_a_batch_the_last_is_kept(memory: Memory) -> None:
    assert memory.remember([note("a", "tea"), note("b", "x"), note("a", "moon", "graph")]) == {
        "semantic": 2,
        "graph": 1,
    }
    assert (ask(memory, "semantic", "tea"), ask(memory, "graph", "moon")) == ([], ["a"])
    assert memory.counts()["semantic"] == 1


def test_what_is_forgotten_is_not_found(memory: Memory) -> None:
    memory.remember([note("a", "tea", "graph", entities=["Ana"], edges=[["Ana", "drinks", "tea"]])])
    assert memory.forget("a")
    assert not memory.forget("a")
    assert ask(memory, "graph", "Ana tea") == []
    assert memory.file.read("SELECT count(*) FROM entity") == [(0,)]
    assert memory.file.read("SELECT count(*) FROM relation") == [(0,)]


def test_the_graph_reaches_two_relations_far_nearest_first(memory: Memory) -> None:
    chain = [("checkout", "billing"), ("billing", "ledger"), ("ledger", "vault"), ("vault", "moon")]
    memory.remember(
        note(f"{a}-{b}", f"{a} needs {b}", "graph", edges=[[a, "needs", b]], entities=[a, b])
        for a, b in chain
    )
    found = ask(memory, "graph", "What breaks without checkout?")
    assert found == ["checkout-billing", "billing-ledger", "ledger-vault"]


def test_the_walk_stays_in_its_scope(memory: Memory) -> None:
    for scope in ("x", "y"):
        memory.remember(
            [note(f"{scope}1", "Ana", "graph", scope=scope, edges=[["Ana", "knows", f"Bo {scope}"]])]
        )
        memory.remember(
            [note(f"{scope}2", "pal", "graph", scope=scope, edges=[[f"Bo {scope}", "knows", "Cy"]])]
        )
    assert ask(memory, "graph", "Ana", "x") == ["x1", "x2"]


@pytest.mark.parametrize(
    "text", ['"', "* AND (", "semantic_text:", "???", "NEAR(a b)", "a'; DROP TABLE item", "x" * 9999]
)
def test_no_query_is_read_as_syntax(memory: Memory, text: str) -> None:
    memory.remember([note("a", "tea")])
    for layer in memory.layers:
        assert ask(memory, layer, text) == []


def test_items_that_do_not_fit_are_told_by_position_and_all_others_are_kept(memory: Memory) -> None:
    items: list[Item | dict[str, object]] = [note(str(n), "tea") for n in range(2 * BATCH)]
    items.insert(3, note("b", "tea", "dreams"))
    items.insert(700, {"id": "c", "layer": "semantic"})
    with pytest.raises(
        BadItems, match=r"1000 items are kept, 2 left out: item 4: .*'dreams'; there are"
    ) as told:
        memory.remember(items)
    assert memory.counts()["semantic"] == 2 * BATCH
    assert told.value.kept == {"semantic": 2 * BATCH}
    assert told.value.bad[1] == (701, "text is missing")


def test_a_source_of_items_that_fails_on_the_way_says_so_itself(memory: Memory) -> None:
    def items() -> Iterator[Item]:
        yield from (note(str(n), "tea") for n in range(BATCH + 1))
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        memory.remember(items())
    assert memory.counts()["semantic"] == BATCH, "what was written before is kept"


def test_progress_is_told_after_each_transaction(memory: Memory) -> None:
    told: list[int] = []
    memory.remember((note(str(i), "tea") for i in range(BATCH + 1)), told.append)
    assert told == [BATCH, BATCH + 1]


def test_a_query_that_runs_too_long_is_interrupted_at_its_deadline(memory: Memory) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(TimeoutError, match="deadline"):
        memory.file.read(endless, (), time.monotonic() + 0.02)
    assert memory.file.read("SELECT 1") == [(1,)], "the connection is as good as new"


def test_many_threads_read_while_one_writes(memory: Memory) -> None:
    memory.remember([note("a", "tea")])
    stop, failures = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            if "a" not in ask(memory, "semantic", "tea", k=50):
                failures.append("lost")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for i in range(30):
        memory.remember([note(f"b{i}", "tea")])
    stop.set()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_two_processes_worth_of_managers_see_each_others_writes(tmp_path: Path) -> None:
    one, two = Memory(tmp_path / "m.db"), Memory(tmp_path / "m.db")
    before = two.writes()
    one.remember([note("a", "tea", "episodic")])
    assert ask(two, "episodic", "tea") == ["a"]
    assert {layer for layer, n in two.writes().items() if n != before.get(layer)} == {"episodic"}
    one.close()
    two.close()


def test_many_may_open_a_new_memory_at_once(tmp_path: Path) -> None:
    opened: list[Memory] = []
    threads = [threading.Thread(target=lambda: opened.append(Memory(tmp_path / "m.db"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 8
    opened[0].remember([note("a", "tea")])
    assert all(ask(memory, "semantic", "tea") == ["a"] for memory in opened)
    for memory in opened:
        memory.close()


def test_what_was_remembered_is_there_after_opening_again(tmp_path: Path) -> None:
    first = Memory(tmp_path / "m.db")
    first.remember([note("a", "tea")])
    first.close()
    again = Memory(tmp_path / "m.db")
    assert ask(again, "semantic", "tea") == ["a"]
    again.close()


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to be read as one. " * 40)
    other = tmp_path / "other.db"
    with apsw.Connection(str(other)) as db:
        db.execute("CREATE TABLE mine(x)")
    for path in (text, other, tmp_path / "no" / "such" / "folder.db"):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(ValueError, match=path.name):
            MemoryFile(path)
        assert (path.read_bytes() if path.exists() else None) == before


def test_a_memory_in_memory_leaves_no_file() -> None:
    memory = Memory(":memory:")
    path = memory.file.path
    memory.remember([note("a", "tea")])
    assert path.exists()
    memory.close()
    assert not path.exists()
    with pytest.raises(RuntimeError, match="closed"):
        memory.counts()


WORDS = st.sampled_from(["tea", "ledger", "moon", "auditor", "fish"])


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from(["semantic", "episodic", "graph", None]),
            st.lists(WORDS, min_size=1, max_size=3),
            st.sampled_from([None, "s", "t"]),
        ),
        max_size=12,
    )
)
def test_any_history_ends_like_a_fresh_memory_of_what_is_left(
    history: list[tuple[str, str | None, list[str], str | None]],
) -> None:
    """Remembering, replacing, moving and forgetting leave no trace in any index."""
    lived, fresh = Memory(":memory:"), Memory(":memory:")
    left: dict[tuple[str, str | None], Item] = {}
    for item_id, layer, words, scope in history:
        if layer is None:
            assert lived.forget(item_id, scope) == (left.pop((item_id, scope), None) is not None)
        else:
            item = note(item_id, " ".join(words), layer, scope=scope, edges=[[words[0], "near", words[-1]]])
            lived.remember([item])
            left[item_id, scope] = item
    order = lived.file.read("SELECT id, scope FROM item ORDER BY row")
    assert set(order) == left.keys()
    fresh.remember(left[key] for key in order)
    for layer in lived.layers:
        for word in ("tea", "ledger", "moon", "auditor", "fish"):
            for scope in (None, "s"):
                found = sorted(ask(lived, layer, word, scope))
                assert found == sorted(ask(fresh, layer, word, scope))
    lived.close()
    fresh.close()


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(["semantic", "graph"]), WORDS, st.sampled_from([None, "s"])), max_size=8
    ),
    st.lists(st.integers(0, 9), max_size=6),
)
def test_forgetting_many_at_once_is_forgetting_one_by_one(
    kept: list[tuple[str, str, str | None]], gone: list[int]
) -> None:
    at_once, one_by_one = Memory(":memory:"), Memory(":memory:")
    for memory in (at_once, one_by_one):
        memory.remember(
            note(str(n), word, layer, scope=scope, edges=[[word, "near", "moon"]])
            for n, (layer, word, scope) in enumerate(kept)
        )
    known = [one_by_one.forget(str(n)) for n in gone]
    assert at_once.forget_many(str(n) for n in gone) == sum(known)
    for layer in at_once.layers:
        for word in ("tea", "ledger", "moon", "auditor", "fish"):
            assert sorted(ask(at_once, layer, word)) == sorted(ask(one_by_one, layer, word))
    at_once.close()
    one_by_one.close()
