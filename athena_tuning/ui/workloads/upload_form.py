"""Bring a workload of one's own: look at the file, correct what its columns are, import it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import streamlit as st

from athena_tuning.interchange import ColumnMapping, Stored
from athena_tuning.service import text, units, upload_file
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.navigation import page_file
from athena_tuning.ui.frame.page_context import PageContext as Here

_UPLOAD, _CAME, _ROUND = "upload", "came in", "upload round"
_UNKNOWN = ""


def card(here: Here) -> None:
    """Draw the place for a file, and what became of the last one."""
    came = st.session_state.get(_CAME)
    if came is not None:
        _told(here, *came)
    file = st.file_uploader(
        "A file of queries that were measured elsewhere",
        type=list(upload_file.SUFFIXES),
        max_upload_size=upload_file.MOST_MB,
        key=f"upload-{st.session_state.get(_ROUND, 0)}",
        disabled=not here.can_write,
        help=f"CSV, JSON lines, Parquet, or traces of OpenTelemetry, Jaeger or Zipkin; gzip too. At most "
        f"{upload_file.MOST_MB} MB, {upload_file.MOST_ROWS:,} rows and {upload_file.MOST_COLUMNS} columns "
        "here; `athena-tuning import` takes any size.",
    )
    if file is None:
        st.session_state.pop(_UPLOAD, None)
        return
    try:
        upload = _kept(file.file_id, file.name, file.getvalue)
        looked = upload_file.look(upload, _changes(), whole=bool(st.session_state.get("upload-whole")))
    except (ValueError, OSError) as refusal:
        st.warning(f"This file cannot be read: {text.markdown(refusal, 400)}", icon=":material/block:")
        return
    _shown(here, upload, looked)


def _kept(file_id: str, name: str, content: Any) -> upload_file.Upload:
    known = st.session_state.get(_UPLOAD)
    if known is None or known[0] != file_id:
        for key in [key for key in st.session_state if str(key).startswith("map-")]:
            del st.session_state[key]
        known = st.session_state[_UPLOAD] = (file_id, upload_file.Upload(name, content()))
    upload: upload_file.Upload = known[1]
    return upload


def _changes() -> dict[str, Any]:
    """Return what the person has said of the columns; nothing where they left the guess."""
    state = st.session_state
    return {key.removeprefix("map-"): state[key] for key in map(str, state) if key.startswith("map-")}


def _shown(here: Here, upload: upload_file.Upload, looked: upload_file.Looked) -> None:
    found = looked.found
    chips(
        [
            Chip(found.kind.format.value, "read as", "accent"),
            Chip(found.path.name, "file"),
            *([Chip(str(len(found.columns)), "columns")] if found.columns else []),
        ]
    )
    for note in found.notes:
        st.text(text.plain(note, 300))
    if found.mapping is not None and not found.mapping.is_spans:
        _mapping(found.mapping, found.columns)
    if looked.trouble:
        st.warning(text.markdown(looked.trouble, 400), icon=":material/help:")
        return
    _preview(here, looked)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Import",
            type="primary",
            icon=":material/upload:",
            disabled=not here.can_write or not looked.records,
            on_click=lambda: notices.act(lambda: _import(here, upload, looked)),
        )
        st.toggle(
            "All or nothing",
            key="upload-whole",
            help="Refuse the file if a row is bad. Else such rows are left out and counted.",
        )
        st.toggle(
            "Keep times",
            key="upload-times",
            help="Else times that are older than the store keeps are moved, so that the newest is now.",
        )


def _mapping(mapping: ColumnMapping, columns: tuple[str, ...]) -> None:
    st.caption("What the columns are taken for. What no column holds stays unknown.")
    choices = [_UNKNOWN, *columns]
    with st.grid(5, min_column_width=150, gap="small"):
        for name, label in upload_file.WHAT.items():
            guessed = getattr(mapping, name)
            st.selectbox(
                label,
                choices,
                index=choices.index(guessed) if guessed in choices else 0,
                key=f"map-{name}",
                format_func=lambda column: text.plain(column, 40) if column else units.UNKNOWN,
            )
        for name, label, known in (
            ("time_unit", "Times are in", ("s", "ms", "us", "ns", "text")),
            ("latency_unit", "Took is in", ("s", "ms", "us", "ns")),
        ):
            st.selectbox(label, known, index=known.index(getattr(mapping, name)), key=f"map-{name}")
    if mapping.layer_columns or mapping.layers:
        told = [f"{layer} from {column}" for layer, column in mapping.layer_columns.items()]
        told += [f"all from {mapping.layers}"] if mapping.layers else []
        st.text(text.plain(f"Layers: {', '.join(told)} (in {mapping.layer_unit})", 400))


def _preview(here: Here, looked: upload_file.Looked) -> None:
    components.table(
        ["When", "Type", "Query", components.Cell("Took", "n"), components.Cell("Succeeded", "n"),
         components.Cell("Cache", "n"), components.Cell("Layers", "wide")],
        [
            (
                units.moment(m.timestamp, here.view.timezone),
                m.query_type,
                m.query_text or units.UNKNOWN,
                units.ms(m.latency_ms),
                _yes(m.success),
                units.UNKNOWN if m.cache_hit is None else "hit" if m.cache_hit else "miss",
                ", ".join(f"{layer} {units.ms(m.layer_latencies.get(layer))}" for layer in m.layers_queried)
                or units.UNKNOWN,
            )
            for m in looked.records[:8]
        ],
        limit=80,
    )  # fmt: skip
    st.caption(f"The first {min(8, len(looked.records))} queries; times are {here.view.timezone}.")
    _problems([(problem.row, problem.reason) for problem in looked.problems], len(looked.problems))


def _problems(found: list[tuple[int, str]], bad: int) -> None:
    if bad:
        st.text(f"Bad: {_rows(bad)}, left out")
        components.table([components.Cell("Row", "n"), "Why"], [(f"{row:,}", why) for row, why in found[:8]])


def _import(here: Here, upload: upload_file.Upload, looked: upload_file.Looked) -> None:
    state = st.session_state
    keep = bool(state.get("upload-times"))
    came = upload_file.bring(here.service, here.actor, upload, looked.found, keep_times=keep)
    state[_CAME] = (looked.found.path.name, came)
    if came.report.first is not None and came.report.last is not None:
        _choose(came.report.first + came.moved_s, came.report.last + came.moved_s, here.view.timezone)
    state[_ROUND] = state.get(_ROUND, 0) + 1  # the file is done with: the next one gets a fresh place


def _told(here: Here, name: str, came: Stored) -> None:
    report = came.report
    if came.earlier is not None:
        at = units.moment(came.earlier, here.view.timezone)
        st.info(f"{text.markdown(name)} had been imported at {at}: nothing was done.", icon=":material/info:")
        return
    if report.first is None or report.last is None:
        return
    moved = f" Times were moved by {came.moved_s / 86_400:+,.1f} days, to end now." if came.moved_s else ""
    st.success(
        f"{text.markdown(name)}: {units.count(report.records)} queries imported, "
        f"{_rows(report.bad)} left out.{moved}",
        icon=":material/check_circle:",
    )
    st.page_link(
        page_file("overview"),
        label="Show on the charts",
        icon=":material/monitoring:",
        help="The period above is that of the file now.",
    )
    _problems([(problem.row, problem.reason) for problem in report.problems], report.bad)


def _choose(first: float, last: float, timezone: str) -> None:
    """Choose the period of what came in."""
    clock = units.zone(timezone)
    start, end = (datetime.fromtimestamp(t // 60 * 60, clock) for t in (first, last + 60))
    period = {"from": start.replace(tzinfo=None), "to": end.replace(tzinfo=None)}
    st.session_state.update({"range": "custom", "tz": timezone, **period})


def _rows(n: int) -> str:
    return f"{units.count(n)} row{'' if n == 1 else 's'}"


def _yes(known: bool | None) -> str:
    return units.UNKNOWN if known is None else "yes" if known else "no"
