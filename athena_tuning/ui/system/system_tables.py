"""The tables of the System page: managers, what arrives, memory, versions, demo load."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

import streamlit as st

from athena_tuning.service import text, units
from athena_tuning.store.findings import Verdict
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext

_PACKAGES = ("athena-tuning", "streamlit", "plotly", "numpy", "pandas", "apsw")


def health(page: PageContext) -> None:
    """Say in a line whether everything runs and arrives."""
    service = page.service
    managers = service.workers()
    alive = sum(service.is_alive(worker) for worker in managers)
    dropped = sum(worker.dropped_metrics for worker in managers)
    refused = sum(n for name, n in service.window.counters.items() if name.startswith("rejected"))
    facts = [
        Chip(f"{alive} of {len(managers)}", "managers alive", "good" if alive else "bad"),
        Chip("unreachable", "store", "bad", text.plain(service.tail.problem, 200))
        if service.tail.problem
        else Chip("reached", "store", "good"),
        Chip(units.count(dropped), "records dropped", "warn" if dropped else "good"),
        Chip(units.count(refused), "records refused", "warn" if refused else "good"),
    ]
    if service.embedded:
        failed = sum(service.embedded.manager.housekeeping_failures.values())
        facts.append(Chip(units.count(failed), "failed background tasks", "bad" if failed else "good"))
    chips(facts)


def arrival(page: PageContext) -> None:
    """Draw what the dashboard reads, and what was lost on the way."""
    service = page.service
    counters = service.window.counters
    refused = {name: n for name, n in counters.items() if name.startswith("rejected")}
    corrected = {name: n for name, n in counters.items() if name.startswith("normal")}
    store, events = service.store_health(), service.events()
    rows: list[tuple[str, object]] = [
        ("Store", f"{service.store_name} {store.store_id[:8]}, epoch {store.epoch}"),
        ("Rows that cannot be read", units.count(len(store.unreadable))),
        ("Read", service.tail.problem or units.ago(service.now - service.tail.looked_at)),
        ("Recalls in the dashboard's window", units.count(len(service.window.metrics))),
        ("Recorded since the start", units.count(counters.get("recorded", 0))),
        ("Newest recall", units.ago(service.data_age())),
        ("Refused as impossible", _counts_words(refused)),
        ("Corrected", _counts_words(corrected)),
    ]
    if service.embedded:
        status = service.embedded.manager.status()
        failures = service.embedded.manager.housekeeping_failures
        rows += [
            ("Not delivered by this manager", units.count(status.dropped_metrics)),
            ("Failed background tasks", _counts_words(failures)),
        ]
    if events:
        newest = events[0]
        rows.append(
            ("Newest event", Cell(f"{newest.text} ({units.ago(service.now - newest.time)})", "words"))
        )
    components.static_table(["", Cell("", "n")], rows)


def examination(page: PageContext) -> None:
    """Draw what is not as it should be on this machine and with the store, and what to do about it."""
    findings = page.service.findings()
    wanted = [finding for finding in findings if finding.verdict is not Verdict.GOOD]
    if not wanted:
        st.text(f"All {len(findings)} things that were looked at are as they should be.")
        return
    components.static_table(
        ["", "Found", "To do"],
        [
            (
                Cell(finding.subject, "now" if finding.verdict is Verdict.ACT else "was"),
                finding.found,
                finding.remedy,
            )
            for finding in wanted
        ],
    )


def memory(page: PageContext) -> None:
    """Draw what this manager's memory holds."""
    if page.service.embedded is None:
        components.empty("The managers run in other processes.", icon="link_off")
        return
    counts = page.service.embedded.manager.counts()
    whole = max(1, sum(counts.values()))
    components.static_table(
        ["Layer", *heads("n", "Items", "Share")],
        [(layer, units.count(n), units.percent(n / whole)) for layer, n in counts.items()]
        + [("all", units.count(sum(counts.values())), "")],
    )


def versions() -> None:
    """Draw which software runs."""
    components.static_table(
        ["", Cell("", "n")],
        [("Python", platform.python_version()), *((name, metadata.version(name)) for name in _PACKAGES)],
    )


def demo(page: PageContext) -> None:
    """Draw whether the demo load runs, and the switch for it."""
    embedded = page.service.embedded
    if embedded is None:
        st.text("There is none: this dashboard watches managers in other processes.")
        return
    st.text(
        "About three recalls a second, in bursts, on the sample memory: so that there is something to see. "
        "It is real load on the real manager, and it is marked on every page while it runs."
        if embedded.has_sample
        else "Its questions are about the sample memory; this memory is another one, so it finds little."
    )
    on = embedded.demo_is_on
    st.button(
        "Stop the demo load" if on else "Start the demo load",
        icon=":material/stop:" if on else ":material/play_arrow:",
        key="demo",
        disabled=not page.can_write,
        on_click=lambda: notices.act(
            lambda: page.service.set_demo(page.actor, not on),
            "The demo load has stopped" if on else "The demo load runs",
        ),
    )


def _counts_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {units.count(n)}" for name, n in counts.items() if n) or "0"
