"""What an examination says of a real PostgreSQL server, with and without a pooler and rights."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from athena_tuning.store import Store
from athena_tuning.store.findings import Finding, Verdict
from athena_tuning.store.postgres_findings import clock, privileges


def found(store: Store) -> dict[str, Finding]:
    return {finding.subject: finding for finding in store.examine()}


def test_a_server_that_is_well_needs_nothing(postgres: Callable[..., Store]) -> None:
    findings = found(postgres())
    assert set(findings) == {"server", "pooler", "privileges", "clock"}
    assert {finding.verdict for finding in findings.values()} == {Verdict.GOOD}, findings
    assert findings["server"].found.startswith("PostgreSQL 1")
    assert "no pooler" in findings["pooler"].found


def test_a_pooler_is_seen(pgbouncer: Callable[..., Store]) -> None:
    assert "a pooler stands before the server" in found(pgbouncer())["pooler"].found


@pytest.mark.parametrize(
    ("tables", "verdict", "words"),
    [
        ([("segments", True, True), ("texts", True, True)], Verdict.GOOD, "all 2 tables"),
        ([("segments", True, False), ("texts", True, True)], Verdict.ADVICE, "not write segments"),
        ([("segments", False, False)], Verdict.ACT, "may not read segments"),
    ],
)
def test_missing_rights_are_named(tables: list[tuple[str, bool, bool]], verdict: Verdict, words: str) -> None:
    finding = privileges("athena_tuning", tables)
    assert (finding.verdict, words in finding.found) == (verdict, True)
    assert ("GRANT" in finding.remedy) == (verdict is not Verdict.GOOD)


def test_a_clock_that_is_apart_is_told_with_its_direction() -> None:
    assert "5 s behind" in clock(-5.0).found
    assert "90 s ahead of" in clock(90.0).found
