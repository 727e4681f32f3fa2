"""The tables of the System page: managers, what arrives, memory, versions, demo load."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib import metadata

import streamlit as st

from athena_tuning.model import BreakerState
from athena_tuning.service import text, units
from athena_tuning.service.estimate import Estimate
from athena_tuning.service.fleet_limit import FleetLimit
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


def workers(page: PageContext) -> None:
    """Draw all managers that the store knows."""
    service = page.service
    managers = service.workers()
    if not managers:
        components.empty("No manager has reported itself yet.")
        return
    head, limit = service.configs().head, service.fleet_limit()
    st.text(text.plain(limit.sentence, 200))
    if limit.advice:
        st.text(text.plain(limit.advice, 400))
    components.static_table(
        [
            "Manager",
            "",
            *heads("n", "Version", "Slots", "Wants", "Recalls"),
            *heads("n wide", "Dropped", "Refused", "Up"),
            *heads("n", "Seen"),
        ],
        [
            (
                worker.worker_id,
                Cell("alive", "now") if service.is_alive(worker) else Cell("gone", "was"),
                Cell(f"v{worker.config_version}", "" if worker.config_version == head else "was"),
                *_slots(limit, worker.worker_id, alive=service.is_alive(worker)),
                units.count(worker.recalls),
                units.count(worker.dropped_metrics),
                units.count(worker.rejected_metrics),
                units.age(worker.last_seen - worker.started),
                units.age(service.now - worker.last_seen),
            )
            for worker in managers[:12]
        ],
        limit=40,
    )


def _slots(limit: FleetLimit, worker: str, *, alive: bool) -> tuple[str, str]:
    """Return the slots that a manager may use, and what it wants of a shared limit."""
    if not alive:
        return "", ""
    share = limit.share(worker)
    return units.count(share.slots), "" if share.wanted is None else f"{share.wanted:.1f}"


def layers(page: PageContext) -> None:
    """Draw how the layers of all managers are that are alive, those that are not well ahead."""
    by_worker = page.service.layer_health()
    known = [(worker, of) for worker, layers in by_worker.items() for of in layers]
    if not known:
        components.empty("No manager that is alive has reported its layers.")
        return
    known.sort(key=lambda each: (each[1].state is BreakerState.CLOSED, each[1].layer, each[0]))
    components.static_table(
        [
            "Layer",
            "Breaker",
            *heads("n", "Since", "Calls", "Failed"),
            *heads("n wide", "Late"),
            *heads("n", "Left out"),
            *heads("n wide", "Time lost", "Usual", "Index", "Returned", "Peak"),
            *heads("wide", "Manager"),
        ],
        [
            (
                of.layer,
                Cell(of.state.value, "now" if of.state is BreakerState.CLOSED else "was"),
                units.ago(page.service.now - of.since),
                units.count(of.calls),
                units.count(of.failures),
                units.count(of.timeouts),
                units.count(of.left_out),
                units.ms(of.lost_seconds * 1000),
                units.ms(of.typical_ms),
                units.size(of.index_bytes),
                units.size(of.returned_bytes),
                units.size(of.peak_bytes),
                worker,
            )
            for worker, of in known[:24]
        ],
        limit=40,
    )
    for worker, of in known[:24]:
        if of.state is not BreakerState.CLOSED:
            st.text(text.plain(f"{of.layer} on {worker} is left out: {of.reason}", 300))
        if of.blocks_loop:
            st.text(
                text.plain(f"{of.layer} on {worker} kept its event loop from turning {of.blocks_loop}", 300)
            )


def layer_costs(page: PageContext) -> None:
    """Draw for each layer what leaving it out would cost beside what it would save."""
    costs = [cost for cost in page.service.layer_costs(page.view) if cost.query_type == "all"]
    if not costs:
        components.empty("No recall of this period asked a layer.")
        return
    components.static_table(
        [
            "Without",
            *heads("n", "Answer lost", "Score lost"),
            *heads("n wide", "Scores"),
            *heads("n", "Calls saved", "Ends earlier"),
            *heads("n wide", "Slot time saved"),
        ],
        [
            (
                cost.layer,
                _with_interval(cost.part_lost, units.percent),
                _with_interval(cost.score_lost, lambda lost: f"{lost:.3f}"),
                f"{units.count(cost.scores[0])} with, {units.count(cost.scores[1])} without",
                units.percent(cost.calls.mean),
                _with_interval(cost.latency_ms, units.ms),
                units.ms(cost.slot_ms.mean),
            )
            for cost in sorted(costs, key=lambda cost: -cost.slot_ms.mean)
        ],
        limit=60,
    )


def _with_interval(estimate: Estimate, said: Callable[[float], str]) -> str:
    if not estimate.is_known:
        return units.UNKNOWN
    return f"{said(estimate.mean)} ({said(estimate.low)} to {said(estimate.high)})"


def arrival(page: PageContext) -> None:
    """Draw what the dashboard reads, and what was lost on the way."""
    service = page.service
    counters = service.window.counters
    refused = {name: n for name, n in counters.items() if name.startswith("rejected")}
    corrected = {name: n for name, n in counters.items() if name.startswith("normal")}
    store, events = service.store_health(), service.events()
    rows = [
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
        rows.append(("Newest event", f"{newest.text} ({units.ago(service.now - newest.time)})"))
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
