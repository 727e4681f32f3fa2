"""What the History page compares and brings back."""

from __future__ import annotations

import pytest

from athena_tuning.model import ConfigVersion, Mode, TuningConfig
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.history import history_tables
from tests.support.dashboard import OPERATOR
from tests.support.pages import apply_with, is_sound, press, visit, words


def test_history_tables_sort_by_value_and_show_texts_plain(served: TuningService) -> None:
    for limit in (4, 8):
        at_version = served.configs().default.version
        served.apply(
            OPERATOR, TuningConfig(limit), expected_version=at_version, reason=f"limit\u202e\x00 {limit}"
        )
    at = visit("history")
    assert is_sound(at)
    versions = at.dataframe[0].value
    assert versions["version"].tolist() == [2, 1]
    assert versions["reason"].tolist() == ["limit 8", "limit 4"]
    assert versions["change"].tolist()[0] == "tasks in flight 4 → 8"
    assert versions["time"].is_monotonic_decreasing
    assert versions["restores"].isna().all()


@pytest.mark.parametrize("chosen", [(1,), (1, 3)])
def test_history_versions_are_compared_and_brought_back(
    served: TuningService, monkeypatch: pytest.MonkeyPatch, chosen: tuple[int, ...]
) -> None:
    for limit in (4, 8, 12):
        at_version = served.configs().default.version
        served.apply(
            OPERATOR,
            TuningConfig(limit),
            expected_version=at_version,
            reason=f"limit {limit}",
            mode=Mode.PINNED if limit == 4 else Mode.ADVISE,
        )
        served.recall(OPERATOR, f"Which service uses postgres-ledger {limit}?")

    def choose(_: object, found: list[ConfigVersion]) -> list[ConfigVersion]:
        return sorted((v for v in found if v.version in chosen), key=lambda v: v.version)

    monkeypatch.setattr(history_tables, "versions", choose)
    at = visit("history")
    assert is_sound(at)
    assert "Version 1 against 3" in words(at)
    if len(chosen) == 1:
        press(at, "Roll back to version 1…")
        assert '>mode</td><td class="was">advise</td><td class="now">pinned<' in words(at)
        apply_with(at, "it was better")
        newest = served.history()[0]
        assert (newest.config.max_concurrent, newest.restores, newest.reason) == (4, 1, "it was better")
        assert newest.mode is Mode.PINNED
