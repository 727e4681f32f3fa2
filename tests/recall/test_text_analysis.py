"""Whatever script a text is in, it is found by its own words, and by other ways to write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from athena_tuning.recall.items import Item, LayerQuery
from athena_tuning.recall.layers.analysis import index_words, letters, pairs
from athena_tuning.recall.layers.query_terms import MAX_TERMS, match_any, terms
from athena_tuning.recall.memory import Memory
from tests.support.examples import examples

LATER = time.monotonic() + 3600


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    made = Memory(tmp_path / "m.db")
    yield made
    made.close()


def keep(memory: Memory, **texts: str) -> None:
    memory.remember(Item(item_id, "semantic", text) for item_id, text in texts.items())


def ask(memory: Memory, text: str, k: int = 20) -> list[str]:
    return [found["id"] for found in memory.layers["semantic"].search(LayerQuery(text), k, LATER)]


SAME = {
    "composed and decomposed accents": ("Café Zoë naïve", "Cafe\u0301 Zoe\u0308 nai\u0308ve"),
    "with and without accents": ("Müller in Łódź", "MULLER"),
    "ligatures": ("the ﬁle oﬃce", "file office"),
    "full width": ("ＡＰＩ　１２３", "api 123"),
    "half-width kana": ("データ", "ﾃﾞｰﾀ"),
    "case of any script": ("ΟΔΟΣ СТОЛ Straße", "οδος стол STRASSE"),
    "dotted capital i": ("İstanbul", "istanbul"),
    "vowelled Arabic": ("مُحَمَّدٌ كِتَاب", "محمد كتاب"),
    "stretched Arabic": ("ســلام", "سلام"),
    "vowelled Hebrew": ("שָׁלוֹם", "שלום"),
    "digits of other scripts": ("room ٤٢ and ४२", "42"),
    "soft hyphens": ("data\u00adbase", "database"),
    "joiners": ("می\u200cخواهم", "میخواهم"),
    "typographic apostrophes": ("O’Brien", "o'brien"),
    "hyphens": ("well‑known", "well-known"),
    "composed and decomposed Hangul": ("데이터", "\u1103\u1166\u110b\u1175\u1110\u1165"),
    "superscripts": ("see Oslo² and x³", "oslo x"),
    "trade marks": ("FOO™ costs", "foo"),
}


@pytest.mark.parametrize(("kept", "asked"), SAME.values(), ids=SAME.keys())
def test_other_ways_to_write_a_word_find_it_both_ways(memory: Memory, kept: str, asked: str) -> None:
    keep(memory, one=kept, other=asked, none="something else entirely")
    assert sorted(ask(memory, asked)) == ["one", "other"]
    assert "other" in ask(memory, kept)


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        ("部署账单服务的时候数据库超时了", "数据库"),
        ("部署账单服务的时候数据库超时了", "账单服务为什么超时"),
        ("东京站", "站"),
        ("东京站", "东"),
        ("東京の請求サービスはデータベースに接続できない", "データベース"),
        ("결제서비스가 데이터베이스에 연결되지 않습니다", "데이터베이스"),
        ("重跑ledger后50条记录修复", "ledger"),
        ("重跑ledger后50条记录修复", "50"),
        ("แมวนั่งอยู่บนโต๊ะ", "โต๊ะ"),
        ("ແມວນັ່ງຢູ່ເທິງໂຕະ", "ໂຕະ"),
        ("ឆ្មាអង្គុយលើតុ", "អង្គុយ"),
        ("ကြောင်စားပွဲပေါ်", "စားပွဲ"),
        ("बिल्ली मेज़ पर बैठी है", "मेज़"),
        ("Ана исправила счёт", "счет"),
        ("𠮷野家で食べた", "𠮷野家"),
    ],
)
def test_words_inside_scripts_without_spaces_are_found(memory: Memory, kept: str, asked: str) -> None:
    keep(memory, it=kept, other="nothing of that, 无关的内容 ときどき 아무것도")
    assert ask(memory, asked)[:1] == ["it"]


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        ("call getInvoiceTotal before", "invoice"),
        ("call getInvoiceTotal before", "how to get the total"),
        ("call getInvoiceTotal before", "getInvoiceTotal"),
        ("call getInvoiceTotal before", "getinvoicetotal"),
        ("call get_user_balance", "get_user_balance"),
        ("call get_user_balance", "balance"),
        ("an HTTPServer on TLS", "server"),
        ("base64Encode it", "encode"),
        ("ПриветМир()", "мир"),
        ("the get_invoice_total view", "getInvoiceTotal"),
        ("release v1.2.3 broke", "1.2.3"),
        ("release 1.2.3 broke", "v1.2.3"),
        ("runs on python3.11", "python"),
        ("runs on python3.11", "3.11"),
        ("learned C++11", "c++"),
        ("learned Csharp", "C#"),
        ("opened in notepad++", "notepad"),
        ("an e-mail came", "mail"),
        ("see https://example.test/billing/ledger?x=1", "ledger"),
        ("a\\b\\c:ledger|gateway", "gateway"),
        ("it is Ana’s", "ana"),
    ],
)
def test_parts_of_code_words_and_compounds_find_them(memory: Memory, kept: str, asked: str) -> None:
    keep(memory, it=kept, other="nothing of the kind")
    assert ask(memory, asked)[:1] == ["it"]


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("what broke in release 1.2.3?", "v123"),
        ("what broke in release 3.2.1?", "v321"),
        ("What broke in v3.2.1", "v321"),
        ("What is plan A?", "A"),
        ("what is plan a?", "A"),
        ("What is plan B?", "B"),
        ("tell me about plan c", "C"),
        ("which parser leaks in C++?", "cpp"),
        ("which parser leaks in C#?", "csharp"),
        ("which parser leaks in C?", "c"),
        ("What does Will like?", "will"),
        ("Did Will or somebody like it?", "will"),
        ("what happened in phase 2?", "phase2"),
        ("what is due on 2024-05-02?", "may"),
        ("who signed for O'Brien?", "obrien"),
    ],
)
def test_what_decides_between_items_is_read_as_a_whole(memory: Memory, asked: str, first: str) -> None:
    keep(
        memory,
        v321="the gateway broke in release 3.2.1",
        v123="the gateway broke in release 1.2.3",
        C="Plan C is to wait for spring",
        A="Plan A is to rent servers in Oslo",
        B="Plan B is to buy servers in Bergen",
        csharp="The parser in C# leaks memory",
        cpp="The parser in C++ leaks memory, says the build log",
        c="The parser in plain old C leaks memory, says the build log",
        will="Will prefers oolong",
        phase2="In phase 2 everything happened at once, said 3 of 4",
        phase3="In phase 3 everything happened at once, said 2 of 4",
        may="due 2024-05-02",
        june="due 2024-06-05, not 2024-02-06",
        obrien="signed for O'Brien by Ana",
        brian="signed for Brien and for O by Ana",
        **{f"l{i}": f"Somebody {i} would like tea number {i}" for i in range(12)},
    )
    assert ask(memory, asked)[:1] == [first]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When did Ana's team deploy the API?", ["ana", "team", "deploy", "api"]),
        ("Will the deploy fail?", ["deploy", "fail"]),  # first in its sentence, its capital says nothing
        ("It broke. Will it again?", ["broke"]),
        ("How Do I Get The Will To Work?", ["get", "work"]),  # nor does it in a title
        ("Does WHO own it?", ["who"]),
        ("WHERE IS THE KEY?", ["key"]),
        ("I don't know what I've done", ["know", "done"]),
        ("is it a plan", ["plan"]),
        ("who is it", ["who", "is", "it"]),
        ("vitamin c or d", ["vitamin", "vitamin c", "c", "d"]),
        ("and/or", ["and or"]),
        ("???", []),
        ("🎉", []),
        ("half \ud83d smile", ["half", "smile"]),
    ],
)
def test_what_a_question_is_searched_by(text: str, expected: list[str]) -> None:
    assert sorted(terms(text)) == sorted(expected)


LOG = "\n".join(
    f"2024-05-02T10:00:{n:02} gateway worker-{n} retried request {n * 7919} of tenant t{n % 13} after timeout"
    for n in range(60)
)


@pytest.mark.parametrize(
    "text",
    [
        f"{LOG}\nWho owns the billing ledger?",
        f"{LOG}\n\nWho owns the billing ledger? Thanks!",
        f"Who owns the billing ledger?\n{LOG}",
        f"{LOG}\nI want to know who owns the billing ledger",
        " ".join(f"word{n}" for n in range(80)) + " and who owns the billing ledger",
        "部署账单服务的时候数据库超时了" * 20 + "？\nWho owns the billing ledger？",
    ],
)
def test_a_question_above_or_below_a_long_paste_is_read(memory: Memory, text: str) -> None:
    keep(
        memory,
        it="Ana owns the ledger of billing",
        **{f"other{n}": f"tea of kind {n}, {n} cups" for n in range(30)},
    )
    assert {"own", "billing", "ledger"} <= {term.removesuffix("s") for term in terms(text)}
    assert ask(memory, text)[:1] == ["it"]
    assert len(terms(text)) <= MAX_TERMS


@pytest.mark.slow
def test_a_text_as_long_as_any_is_read_in_bounded_work() -> None:
    for text in ("x" * 1_000_000, "东" * 1_000_000, "a" * 999_999 + "?", "a-" * 500_000, "aB" * 500_000):
        assert 1 <= len(terms(text)) <= MAX_TERMS
        assert index_words(text)


@pytest.mark.parametrize(("k", "copies"), [(5, 5), (5, 60), (15, 100)])
def test_copies_of_a_text_do_not_keep_other_items_out(memory: Memory, k: int, copies: int) -> None:
    keep(memory, **{f"d{n}": "The billing service is owned by Ana" for n in range(copies)})
    keep(
        memory, **{f"o{n}": f"The billing service of team {n} moved to town {n * n} in May" for n in range(3)}
    )
    found = ask(memory, "what about the billing service?", k)
    assert found[0].startswith("d")
    assert {"o0", "o1", "o2"} <= set(found[:4])
    assert len(found) == len(set(found)) == min(k, copies + 3)


def test_what_two_scopes_say_alike_is_no_copy(memory: Memory) -> None:
    memory.remember(Item("t", "semantic", "the billing service", scope=f"s{n}") for n in range(9))
    assert ask(memory, "billing", 9) == ["t"] * 9


WORDS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text(st.characters(categories=["L", "M", "N"]), min_size=1, max_size=12),
    st.from_regex(r"[A-Za-z0-9]{1,4}([-._/'+#:_][A-Za-z0-9]{1,4}){0,3}[+#]{0,2}", fullmatch=True),
    st.sampled_from(
        ["Will", "a", "I", "C++", "v1.2.3", "don't", "数据库", "โต๊ะ", "e\u0301", "it's", "İ", "ß"]
    ),
)


def splits_like_a_person(word: str) -> bool:
    """Whether there is a letter or digit in it, and no space or half a character."""
    return len(word.split()) == 1 and any(map(str.isalnum, word)) and word.isprintable()


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(WORDS.filter(splits_like_a_person), min_size=1, max_size=5), min_size=1, max_size=6))
@example([["x²", "½", "№", "ﷺ", "㎒", "Ⅷ"]])
@example([["A", "a", "I"], ["don't", "it's"]])
def test_what_is_kept_is_found_by_any_of_its_own_words_in_any_script(texts: list[list[str]]) -> None:
    memory = Memory(":memory:")
    keep(memory, **{str(n): " ".join(words) for n, words in enumerate(texts)})
    for n, words in enumerate(texts):
        for word in words:
            if index_words(word).strip():
                assert str(n) in ask(memory, word), (word, terms(word))
    memory.close()


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=12), st.data())
def test_any_piece_of_a_run_without_spaces_finds_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    memory = Memory(":memory:")
    keep(memory, it=f"ab{text}cd")
    assert ask(memory, text[start:end]) == ["it"]
    memory.close()


@given(st.text())
def test_no_text_makes_a_query_that_cannot_be_read(text: str) -> None:
    assume(text.strip())
    match = match_any(text)
    if match is not None:
        assert '""' not in match
        assert "\0" not in match
    run = letters(text)
    assert "".join(run) == text
    assert len(pairs(run)) == max(0, len(run) - 1)
