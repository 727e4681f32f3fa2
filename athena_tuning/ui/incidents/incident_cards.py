"""Incidents as a list, and one of them along its time."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from athena_tuning.service import incident_report, text, units
from athena_tuning.service.facts import Situation
from athena_tuning.service.incidents import Incident, Timeline, incidents_of, say_of_incident, timeline
from athena_tuning.ui.charts import incident_charts
from athena_tuning.ui.frame import addresses, components
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext

_MOST = 20
_KEY = "incident"


def chosen(incidents: Sequence[Incident]) -> Incident | None:
    """Return the incident that the address names, else the newest; None where there is none."""
    named = st.query_params.get(_KEY)
    return next((one for one in incidents if one.id == named), incidents[0] if incidents else None)


def listed(page: PageContext) -> list[Incident]:
    """Draw the incidents of the last thirty days; each leads to its timeline."""
    incidents = incidents_of(page.service.alerts())
    timezone, now = page.view.timezone, page.service.now
    if not incidents:
        components.statement(
            Situation(
                "good",
                "No incident in the last thirty days.",
                ("One begins when a rule of the Overview's sentence holds for a quarter of a minute.",),
            )
        )
        return []
    with components.card("incidents", "The last thirty days"):
        components.static_table(
            [*heads("name", "Began", "Took"), "What", *heads("n wide", "Alerts")],
            [
                (
                    Cell(
                        units.moment(one.began, timezone)[:16],
                        link=addresses.relative("incidents", incident=one.id),
                    ),
                    Cell("holds", "bad name") if one.ended is None else units.seconds(one.seconds(now)),
                    one.sentence,
                    units.count(len(one.alerts)),
                )
                for one in incidents[:_MOST]
            ],
        )
    return incidents


def one(page: PageContext, incident: Incident) -> None:
    """Draw an incident: its sentence, what happened in lanes, and the file that tells it."""
    told = timeline(page.service, incident, page.view.timezone)
    level = "good" if incident.ended is not None else incident.level
    sentence = incident.sentence if incident.ended is None else f"Over: {incident.sentence}"
    components.statement(Situation(level, sentence, (say_of_incident(told),)))  # type: ignore[arg-type]
    with components.card("incident-lanes", "What happened, in order"):
        if told.recalls or len(told.series.time):
            components.analysis_chart(incident_charts.lanes(told), f"incident-{incident.id}")
        _occurrences(told)
        st.download_button(
            "Save as one file",
            lambda: incident_report.incident_report(told).encode(),
            f"incident-{text.plain(incident.id, 40).replace('@', '-').replace(' ', '-')}.html",
            "text/html",
            key="incident-file",
            icon=":material/download:",
            on_click="ignore",
        )


def _occurrences(told: Timeline) -> None:
    components.static_table(
        [Cell("When", "name"), Cell("Lane", "name wide"), "What"],
        [
            (units.moment(each.start, told.view.timezone, date=False), each.lane, each.words)
            for each in told.occurrences[:40]
        ],
    )
