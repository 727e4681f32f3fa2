"""What the System page says of the store."""

from __future__ import annotations

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.service import doctor
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import StoreEvent
from athena_tuning.store.findings import act, good
from tests.support.dashboard import OPERATOR
from tests.support.pages import is_sound, visit, words


def test_system_page_names_the_store_and_its_newest_event(served: TuningService) -> None:
    at = visit("system")
    assert is_sound(at)
    assert f"{served.store_health().store_id[:8]}, epoch 0" in words(at)
    assert "Newest event" not in words(at)
    for seconds, text in ((9000, "the clock of alpha stepped"), (3600, "the file was <b>deleted</b>")):
        served.store.append_event(StoreEvent(served.now - seconds, "clock", text))
    shown = words(visit("system"))
    assert "Newest event" in shown
    assert "the file was &lt;b&gt;deleted&lt;/b&gt; (60 min ago)" in shown
    assert "alpha" not in shown


def test_system_page_tells_what_is_to_be_done_and_how(
    served: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [good("Python", "as it should be"), act("disk", "nearly <full>", "make room")]
    monkeypatch.setattr(doctor, "examine_open", lambda _: found)
    shown = words(visit("system"))
    assert "nearly &lt;full&gt;" in shown
    assert "make room" in shown
    assert "as it should be" not in shown


def test_system_page_says_that_all_is_well(served: TuningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine_open", lambda _: [good("Python", "fine"), good("disk", "fine")])
    assert "All 2 things that were looked at are as they should be" in words(visit("system"))


def test_system_page_says_who_writes_what_is_kept_and_which_sources_there_are(served: TuningService) -> None:
    served.take_sample(OPERATOR, "mixed")
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason="first")
    at = visit("system")
    assert is_sound(at)
    shown = words(at)
    assert "operator, may write" in shown
    assert ">olga<" in shown
    assert ">366 days<" in shown
    assert "sample mixed" in shown
    assert "The store's files" in shown.replace("&#x27;", "'")


def test_system_page_tells_a_viewer_how_to_become_an_operator(
    served: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_ROLE", "viewer")
    shown = words(visit("system"))
    assert "viewer, may look" in shown
    assert "makes its visitor an operator" in shown
