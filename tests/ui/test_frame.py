"""The frame of every page: links that hold a view, and the settings of the server."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from athena_tuning.locations import dashboard
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.view import View
from athena_tuning.ui.frame import controls
from tests.support.dashboard import fill
from tests.support.pages import is_sound, visit


def test_link_shows_the_view_that_it_names(served: TuningService) -> None:
    fill(served)
    at = visit("latency", range="6h", type="meta", layer="graph", tz="Asia/Tokyo", slo="250")
    assert is_sound(at)
    assert at.session_state["range"] == "6h"
    assert at.selectbox(key="type").value == "meta"
    assert at.selectbox(key="tz").value == "Asia/Tokyo"
    assert at.number_input(key="slo").value == 250


def test_link_holds_its_period_in_its_timezone(served: TuningService) -> None:
    fill(served)
    chosen = {"range": "custom", "from": "2026-03-01T10:07", "to": "2026-03-01T11:00", "tz": "Asia/Tokyo"}
    at = visit("latency", **chosen)
    assert is_sound(at)
    view = View(1_772_327_220.0, 1_772_330_400.0, timezone="Asia/Tokyo")
    moving, fixed = (
        parse_qs(urlsplit(link).query) for link in controls.links_of(view, "http://h/latency", chosen)
    )
    assert {name: value[0] for name, value in moving.items()} == chosen
    assert {name: value[0] for name, value in fixed.items()} == chosen
    assert at.session_state["from"].isoformat() == "2026-03-01T10:07:00"


def test_link_with_nonsense_shows_the_usual_view(served: TuningService) -> None:
    fill(served)
    at = visit("overview", range="1e9", type="<script>", layer="../..", tz="Mars/Base", slo="x", refresh="0")
    assert is_sound(at)
    assert at.selectbox(key="type").value == "all"


def test_streamlit_settings_are_those_that_measurements_asked_for() -> None:
    import tomllib

    settings = tomllib.loads((dashboard() / ".streamlit" / "config.toml").read_text())
    assert settings["runner"]["postScriptGC"] is False
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["client"]["showErrorDetails"] == "none"
    for theme in ("light", "dark"):
        for palette in ("chartCategoricalColors", "chartSequentialColors", "chartDivergingColors"):
            assert len(settings["theme"][theme][palette]) == 10
    assert "http" not in json.dumps(settings)
