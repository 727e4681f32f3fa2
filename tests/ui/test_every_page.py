"""Every page in every state, by Streamlit's own test runner over the real service."""

from __future__ import annotations

import pytest

from athena_tuning.model import LayerTask, QueryMetrics, TuningConfig
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.frame.navigation import PAGES
from tests.support.dashboard import OPERATOR, fill
from tests.support.pages import is_sound, visit, words

WRITING = (
    "Apply",
    "Switch to",
    "Undo",
    "Start",
    "Stop",
    "Load",
    "Ask",
    "Keep",
    "Look at the change",
    "Change to",
    "End",
    "Pause",
    "Go on",
    "Roll back",
    "Fast forward",
)
EVIL = (
    "![x](http://evil.example/i.png)<img src=x onerror=alert(1)> $\\frac{1}{2}$ \u202e:red[r] "
    + "y" * 1_000_000
)


@pytest.mark.parametrize("url", PAGES)
def test_page_without_any_data_says_so_and_offers_a_way_on(served: TuningService, url: str) -> None:
    at = visit(url)
    assert is_sound(at)
    assert at.title[0].value == PAGES[url].title
    if url in {"overview", "latency", "patterns", "cache", "concurrency", "config"}:
        assert "0 of 10" in words(at)
        assert any(button.label == "Load a sample" for button in at.button)


@pytest.mark.parametrize("url", PAGES)
def test_page_with_data_shows_it(served: TuningService, url: str) -> None:
    fill(served)
    served.take_sample(OPERATOR, "mixed")
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason="first")
    served.apply(OPERATOR, TuningConfig(7), expected_version=1, reason="second", scope="all")
    at = visit(url)
    assert is_sound(at)
    charts = {"overview": 1, "latency": 4, "patterns": 1, "cache": 4, "concurrency": 5, "simulate": 3}
    assert len(at.get("plotly_chart")) + len(at.get("echarts_chart")) >= charts.get(url, 0)


@pytest.mark.parametrize("url", PAGES)
def test_page_lets_a_viewer_see_everything_and_press_nothing_that_writes(
    served: TuningService, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_ROLE", "viewer")
    fill(served)
    at = visit(url)
    assert is_sound(at)
    assert "read only" in words(at)
    writing = [button for button in at.button if button.label.startswith(WRITING)]
    assert all(button.disabled for button in writing), [b.label for b in writing if not b.disabled]


@pytest.mark.parametrize("url", PAGES)
def test_page_shows_a_failing_store_without_a_stack_trace(served: TuningService, url: str) -> None:
    fill(served)
    served.store.close()
    at = visit(url)
    assert not at.exception
    shown = words(at)
    assert "Traceback" not in shown
    assert "store" in shown


@pytest.mark.parametrize("url", PAGES)
def test_page_shows_hostile_names_and_texts_as_text_alone(served: TuningService, url: str) -> None:
    now = served.now
    served.store.append_metrics(
        "evil",
        1,
        [
            QueryMetrics(
                f"q{i}", EVIL, EVIL[:80], now - i, 5.0 + i, None, False, 1, [EVIL[:60]], {EVIL[:60]: 4.0},
                i % 3 > 0, EVIL, tasks=(LayerTask(EVIL[:60], 0.0, 1.0, 4.0 + i, 1),),
            )
            for i in range(40)
        ],
    )  # fmt: skip
    served.tail.look()
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason=EVIL[:400])
    served.annotate(OPERATOR, EVIL[:300])
    at = visit(url)
    assert is_sound(at)
    for kind in ("markdown", "caption", "warning", "error", "info", "title", "subheader"):
        for node in at.get(kind):
            assert "![x]" not in node.value
            assert "<img" not in node.value.replace("\\<", "")
    assert "<img" not in " ".join(node.value for node in at.html if "<style" not in node.value)
    sent = sum(
        len(node.proto.SerializeToString()) for kind in ("html", "text", "code") for node in at.get(kind)
    )
    assert sent < 150_000


@pytest.mark.parametrize("url", PAGES)
def test_page_is_read_only_where_no_manager_is_alive(attached: TuningService, url: str) -> None:
    fill(attached)
    at = visit(url)
    assert is_sound(at)
    assert "no manager is running" in words(at)


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize("url", ["overview", "latency", "config"])
def test_page_of_an_empty_attached_store_says_how_to_start_a_manager(url: str) -> None:
    at = visit(url)
    assert is_sound(at)
    assert "athena-tuning manager --load" in words(at)
