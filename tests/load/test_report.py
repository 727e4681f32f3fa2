"""A report says what came out, in one file that fetches nothing and runs nothing, whatever the texts are."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from athena_tuning.cli import main
from athena_tuning.load.archive import RunArchive
from athena_tuning.load.blocks import RecallOutcome, Tally
from athena_tuning.load.report.svg import Axis, Interval, Series, intervals, lines
from athena_tuning.load.report.writing import comparison_report, run_report, write_report
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import summarize

HOSTILE = '</title><script>alert(1)</script><img src="http://evil.example/x" onerror=alert(1)>" \' & \u202e'


def run(run_id="r1", n=2000, ms=10.0, seed=0, error="", **spec):
    tally = Tally()
    for i in range(n):
        slow = 5.0 if (i * 7919 + seed) % 50 == 0 else 1.0
        latency = ms * slow * (1 + ((i * 104729 + seed) % 100) / 400)
        kind = ("factual", "meta")[i % 2]
        tally.record(
            RecallOutcome(
                kind, i * 0.01, latency, latency - 1, error if i % 100 == 0 else "", False, i % 4 == 0, 7
            )
        )
    return summarize(run_id, LoadSpec("steady", **spec), "finished", 1_790_000_000.0, n * 0.01, n, tally)


class Parsed(HTMLParser):
    """What a document holds: its tags with their attributes, and its words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def charts(text):
    return [
        ElementTree.fromstring(found) for found in re.findall(r'<svg class="(?:wide|half)".*?</svg>', text)
    ]


def test_a_run_is_told_by_its_figures():
    made = run(error="TimeoutError")
    words = " ".join(Parsed(run_report(made)).words)
    for told in ("Run r1", "2,000", "steady", "2026-09-21 14:13:20 UTC", "TimeoutError", "25 %", "factual"):
        assert told in words
    assert f"{made.p50_ms:.3g} ms" in words
    assert f"{made.p99_ms:.3g} ms" in words
    assert len(charts(run_report(made))) == 3


def test_two_runs_are_compared_with_their_intervals():
    text = comparison_report(run("slow", ms=20.0, seed=3), run("fast", ms=10.0, rate_per_s=20.0))
    words = " ".join(Parsed(text).words)
    assert "typical latency" in words
    assert "the runs were asked for with another rate_per_s" in words
    bars = charts(text)[0].findall(".//{*}g")
    assert {bar.get("class") for bar in bars} <= {"better", "worse", "alike", "inconclusive"}
    told = next(bar.find("{*}title").text for bar in bars if "typical" in bar.find("{*}title").text)
    assert re.fullmatch(r"typical latency: -(49|5[01])\.\d % \(-[45]\d\.\d to -[45]\d\.\d\)", told)
    assert bars[0].get("class") == "better"


def test_nothing_is_fetched_and_nothing_runs():
    for text in (run_report(run()), comparison_report(run("a"), run("b"))):
        parsed = Parsed(text)
        assert {tag for tag, _ in parsed.tags}.isdisjoint(
            {"script", "link", "img", "iframe", "object", "base", "form"}
        )
        for _, attributes in parsed.tags:
            assert not {"src", "href", "style", "srcset", "action"} & attributes.keys()
            assert not [name for name in attributes if name.startswith("on")]
        assert "url(" not in text
        assert "@import" not in text
        policy = next(a["content"] for tag, a in parsed.tags if a.get("http-equiv"))
        assert "default-src 'none'" in policy
        assert len(text) < 100_000


def test_texts_that_mean_harm_stay_texts():
    made = run(error=HOSTILE)
    text = run_report(made)
    parsed = Parsed(text)
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert "<script" not in text
    assert HOSTILE in parsed.words
    assert not parsed.open


def test_a_run_without_recalls_says_so():
    text = run_report(run(n=0))
    assert "Nothing was measured" in text
    assert not Parsed(text).open
    assert "nan" not in text
    both = comparison_report(run("a", n=0), run("b", n=0))
    assert "There is too little to say" in both


def test_percentiles_that_rest_on_too_few_are_left_out():
    few = run(n=90)
    words = " ".join(Parsed(run_report(few)).words)
    assert "90 recalls are too few for a p99" in words
    [chart] = [c for c in charts(run_report(few)) if "slowest" in c.get("aria-label")]
    assert [path.get("class") for path in chart.findall(".//{*}path") if "line" in path.get("class")] == [
        "line p50"
    ]


def test_every_chart_tells_what_it_shows():
    for chart in charts(comparison_report(run("a"), run("b"))):
        assert chart.get("role") == "img"
        assert len(chart.get("aria-label")) > 10


def points(svg):
    [path] = [
        p.get("d") for p in ElementTree.fromstring(svg).findall(".//{*}path") if "line" in p.get("class")
    ]
    return [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", path)], path


def test_points_lie_where_their_values_are():
    at, _ = points(lines([Series("a", "now", [(0, 0), (5, 5), (10, 10)])], Axis("x"), Axis("y"), "a line"))
    (x0, y0), (x1, y1), (x2, y2) = at
    assert (x1 - x0, y1 - y0) == (pytest.approx(x2 - x1, abs=0.2), pytest.approx(y2 - y1, abs=0.2))
    assert x0 < x1 < x2
    assert y0 > y1 > y2


def test_equal_ratios_are_equal_distances_on_a_log_axis():
    at, _ = points(
        lines([Series("a", "now", [(1, 1), (2, 10), (3, 100)])], Axis("x"), Axis("y", log=True), "a line")
    )
    assert at[0][1] - at[1][1] == pytest.approx(at[1][1] - at[2][1], abs=0.2)


def test_what_is_unknown_is_a_gap():
    at, path = points(
        lines([Series("a", "now", [(0, 1), (1, math.nan), (2, 1), (3, 2)])], Axis("x"), Axis("y"), "gap")
    )
    assert len(at) == 3
    assert path.count("M") == 2


def test_bars_beyond_the_edge_end_at_it():
    made = ElementTree.fromstring(intervals([Interval("p99", "worse", 0.5, -0.99, 40.0)], "bars"))
    [bar] = [p for p in made.findall(".//{*}path") if p.get("class") == "bar"]
    low, high = map(float, re.match(r"M([\d.]+) [\d.]+H([\d.]+)", bar.get("d")).groups())
    assert 150 <= low < high <= 1000


def test_a_report_takes_the_place_of_another_only_when_it_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("the old one")
    monkeypatch.setattr("athena_tuning.load.report.writing._footer", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(path, run())
    assert path.read_text() == "the old one"
    monkeypatch.undo()
    write_report(path, run())
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))
    archive = RunArchive()
    for run_id in ("first", "second"):
        archive.save(run(run_id))
    return archive


def command(*args):
    return CliRunner().invoke(main, ["report", *args])


def test_the_command_writes_where_it_is_told_or_beside_the_data(kept, tmp_path):
    out = tmp_path / "r.html"
    done = command("first", "second", "--out", str(out), "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {
        "file": str(out),
        "runs": ["first", "second"],
        "bytes": out.stat().st_size,
    }
    said = command("newest")
    assert said.exit_code == 0, said.stderr
    assert (tmp_path / "home" / "reports" / "second.html").exists()
    assert "second.html" in said.stdout


def test_the_command_names_a_run_that_there_is_not(kept):
    done = command("third")
    assert done.exit_code == 1
    assert "there is no run third" in done.stderr
    assert command("../evil").exit_code == 1
    assert command().exit_code == 2


def test_before_any_run_there_is_no_newest(tmp_path, monkeypatch):
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path))
    done = command("newest")
    assert done.exit_code == 1
    assert "athena-tuning load list" in done.stderr


def test_a_folder_that_is_not_there_is_named(kept, tmp_path):
    done = command("first", "--out", str(tmp_path / "no" / "r.html"))
    assert done.exit_code == 1
    assert "no" in done.stderr
