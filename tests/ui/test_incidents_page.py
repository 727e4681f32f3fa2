"""What the Incidents page and the bell say."""

from __future__ import annotations

from athena_tuning.service.alerts import AlertWatch
from athena_tuning.service.facts import Situation
from athena_tuning.service.tuning_service import TuningService
from tests.support.dashboard import fill
from tests.support.pages import is_sound, visit, words

REFUSED = Situation("bad", "5.0 % of the recalls are refused: <i>more</i> come.", rule="refused")


def test_incidents_page_shows_the_newest_incident_along_its_time(served: TuningService) -> None:
    fill(served)
    watch = AlertWatch(served.store)
    for seconds in (300, 200):
        watch.look([REFUSED], served.now - seconds)
    at = visit("incidents")
    assert is_sound(at)
    shown = words(at)
    assert "&lt;i&gt;more&lt;/i&gt; come" in shown
    assert ">holds<" in shown
    assert len(at.get("plotly_chart")) == 1
    assert at.get("download_button")


def test_bell_of_every_page_counts_the_alerts_that_hold(served: TuningService) -> None:
    watch = AlertWatch(served.store)
    for seconds in (300, 200):
        watch.look([REFUSED], served.now - seconds)
    assert [each.proto.popover.label for each in visit("config").get("popover") if "alert" in str(each.proto)]


def test_incidents_page_says_that_there_was_none(served: TuningService) -> None:
    assert "No incident in the last thirty days" in words(visit("incidents"))
