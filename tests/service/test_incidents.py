"""Incidents: what happened around alerts, in order, on the page, in a file and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from athena_tuning.cli import main
from athena_tuning.model import QueryMetrics, TuningConfig
from athena_tuning.service.alerts import AlertWatch
from athena_tuning.service.facts import Situation
from athena_tuning.service.incident_report import incident_report
from athena_tuning.service.incidents import incidents_of, say_of_incident, timeline
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.charts import incident_charts
from tests.support.dashboard import OPERATOR

SLOW = Situation("bad", "p99 is <b>400 ms</b>, 20 times what it was.", rule="slower")


@pytest.fixture
def troubled(service: TuningService) -> TuningService:
    """A service whose recalls were slow from eight minutes ago to four minutes ago."""
    began, ended = service.now - 480, service.now - 240
    records = [
        QueryMetrics(
            f"q{at}", "who?", "factual", service.now - 900 + at, 20.0, None, False, 1, ["semantic"], {}, True
        )
        for at in range(900)
    ]
    slow = [m._replace(latency_ms=400.0) if began <= m.timestamp < ended else m for m in records]
    service.store.append_metrics("w", 1, slow)
    service.tail.look()
    service.apply(OPERATOR, TuningConfig(8), expected_version=0, reason="more cores")
    service.annotate(OPERATOR, "agents feel <slow>")
    watch = AlertWatch(service.store)
    for told, at in (([SLOW], 0), ([SLOW], 60), ([], 240), ([], 360)):
        watch.look(told, began + at)
    return service


def test_incident_tells_what_it_did_and_what_happened_in_order(troubled: TuningService) -> None:
    [incident] = incidents_of(troubled.alerts())
    told = timeline(troubled, incident)
    assert (round(told.before), round(told.during)) == (20, 400)
    assert 238 <= told.recalls <= 241
    assert "for 4.0 min. p99 400 ms, before 20.0 ms" in say_of_incident(told)
    lanes = [each.lane for each in told.occurrences]
    assert lanes == ["Alerts", "Config", "Notes"]
    assert "v1 by olga: more cores" in told.occurrences[1].words


def test_an_incident_that_the_window_has_let_go_is_told_from_the_roll_ups(
    troubled: TuningService, memory: Path
) -> None:
    [incident] = incidents_of(troubled.alerts())
    shown = timeline(troubled, incident)
    later = TuningService(troubled.store, Tail(troubled.store), clock=lambda: incident.began + 20 * 86_400)
    told = timeline(later, incident)
    assert told.bucket_seconds == 60.0
    assert told.before == pytest.approx(shown.before, rel=0.016)
    assert told.during == pytest.approx(shown.during, rel=0.016)
    assert told.series.count.sum() == 900
    worst = max(zip(told.series.p99.tolist(), told.series.time.tolist(), strict=True))
    assert worst[0] == pytest.approx(400, rel=0.016)
    assert incident.began - 60 <= worst[1] < incident.ended
    assert "p99: at most" in incident_charts.lanes(told).alt
    later.tail.close()


def test_report_of_an_incident_is_one_file_without_scripts_or_requests(troubled: TuningService) -> None:
    [incident] = incidents_of(troubled.alerts())
    written = incident_report(timeline(troubled, incident))
    assert "&lt;b&gt;400 ms" in written
    assert "agents feel &lt;slow&gt;" in written
    assert written.count("<svg") >= 2
    for needle in ("<script", "http://", "https://", "<link", " src="):
        assert needle not in written.replace("http://www.w3.org/2000/svg", "")


def test_command_lists_incidents_and_writes_one_as_a_file(troubled: TuningService, tmp_path: Path) -> None:
    url = troubled.store.url

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, [*words, "--store", url])
        assert done.exit_code == 0, done.output
        return done.output

    [told] = json.loads(run("incidents", "--json"))
    assert told["ended"] is not None
    file = tmp_path / "incident.html"
    shown = run("incidents", told["id"], "--html", str(file))
    assert "more cores" in shown
    assert "<svg" in file.read_text("utf-8")
    [alert] = json.loads(run("alerts", "--json"))
    assert (alert["rule"], alert["level"]) == ("slower", "bad")
    unknown = CliRunner().invoke(main, ["incidents", "nothing@1.0", "--store", url])
    assert unknown.exit_code == 1
    assert "lists them" in unknown.output
