"""A shared link keeps its view: what controls say is what is shown, whatever is pressed on any page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from athena_tuning.model import TuningConfig
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.frame.navigation import PAGES
from tests.support.dashboard import OPERATOR, fill
from tests.support.pages import is_sound, visit

LINK = {"range": "6h", "type": "temporal", "layer": "semantic", "slo": "20", "tz": "Asia/Tokyo"}
SHOWN = {**LINK, "slo": 20}
CHOICES = ("selectbox", "segmented_control", "pills")
LEAVES = ("Look at ", "Load a sample", "Start act", "Range before", "As of")
"""What is there to change the view, or leads away from what is served."""


def shown(at: AppTest) -> dict[str, Any]:
    """Return what the controls of the view say, wherever on the page they are."""
    said = {"range": at.segmented_control(key="range").value, "slo": at.number_input(key="slo").value}
    return said | {key: at.selectbox(key=key).value for key in ("type", "layer", "tz")}


def linked(at: AppTest) -> dict[str, str]:
    """Return the view as the address has it."""
    return {key: "".join(at.query_params.get(key, "")) for key in LINK}


def others(at: AppTest) -> Iterator[tuple[str, str, Any]]:
    """Yield each choice on the page that is not the view itself, with a value that it does not have."""
    for kind in CHOICES:
        for widget in at.get(kind):
            key = widget.key or ""
            if widget.disabled or key in LINK or key in ("refresh", "source"):
                continue
            if key == "scope":  # its options are written in words
                yield kind, key, "meta"
                continue
            chosen = widget.value if isinstance(widget.value, list) else [widget.value]
            for option in widget.options:
                if option not in map(str, chosen):
                    yield kind, key, option
                    break


@pytest.mark.parametrize("url", PAGES)
def test_every_control_leaves_the_view_of_a_deep_link_as_it_is(served: TuningService, url: str) -> None:
    fill(served)
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason="first")
    at = visit(url, **LINK)
    assert is_sound(at)
    assert (shown(at), linked(at)) == (SHOWN, LINK)
    for kind, key, option in list(others(at)):
        widget = next((each for each in at.get(kind) if each.key == key), None)
        if widget is None:  # an earlier choice put it away
            continue
        (widget.select if kind == "pills" else widget.set_value)(option)
        at.run()
        assert not at.exception, (key, option)
        assert (shown(at), linked(at)) == (SHOWN, LINK), (key, option)
    for label in [button.label for button in at.button if not button.disabled]:
        if label.startswith(LEAVES):
            continue
        found = next((each for each in at.button if each.label == label and not each.disabled), None)
        if found is None:
            continue
        found.click().run()
        assert not at.exception, label
        assert (shown(at), linked(at)) == (SHOWN, LINK), label


def test_a_view_goes_along_from_page_to_page_and_back(served: TuningService) -> None:
    fill(served)
    at = visit("latency", **LINK)
    for url in [*PAGES, "latency"]:
        at.switch_page(PAGES[url].file).run()
        assert is_sound(at)
        assert shown(at) == SHOWN, url
