"""Bring a workload of one's own: look at the file, correct how it is read, import it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from athena_tuning.interchange import ColumnMapping, Question, Stored
from athena_tuning.interchange.plausibility import EARLIEST
from athena_tuning.model import Source
from athena_tuning.model.source import of_batch
from athena_tuning.service import text, units, upload_file
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.exploring import look_at
from athena_tuning.ui.frame.navigation import page_file
from athena_tuning.ui.frame.page_context import PageContext

_UPLOAD, _IMPORTED, _ROUND = "upload", "imported file", "upload round"
_UNKNOWN = ""
_BY_RULE = "as the rules say"
_UNITS = {"time_unit": ("s", "ms", "us", "ns", "text"), "latency_unit": ("s", "ms", "us", "ns")}


def card(page: PageContext) -> None:
    """Draw the place for a file, and what became of the last one."""
    imported = st.session_state.get(_IMPORTED)
    if imported is not None:
        _result(page, *imported)
    file = st.file_uploader(
        "A file of queries that were measured elsewhere",
        type=list(upload_file.SUFFIXES),
        max_upload_size=upload_file.MOST_MB,
        key=f"upload-{st.session_state.get(_ROUND, 0)}",
        disabled=not page.is_operator,
        help="Traces (OpenTelemetry, Jaeger, Zipkin, Phoenix, LangSmith, Langfuse), results of load tests "
        "(k6, JMeter, vegeta, hey, oha), access logs, any table as CSV, JSON or Parquet; gzip too. At most "
        f"{upload_file.MOST_MB} MB, {upload_file.MOST_ROWS:,} rows and {upload_file.MOST_COLUMNS} columns "
        "here; `athena-tuning import` takes any size.",
    )
    if file is None:
        st.session_state.pop(_UPLOAD, None)
        return
    upload = None
    try:
        upload = _kept(file.file_id, file.name, file.getvalue)
        with st.spinner("Reading the file"):
            preview = upload_file.preview(upload, _reading())
    except (ValueError, OSError) as refusal:
        if upload is not None:
            _format_choice()
        st.warning(f"This file cannot be read: {text.markdown(refusal, 600)}", icon=":material/block:")
        return
    _shown(page, upload, preview)


def _kept(file_id: str, name: str, content: Any) -> upload_file.Upload:
    known = st.session_state.get(_UPLOAD)
    if known is None or known[0] != file_id:
        _forget("map-", "read-")
        known = st.session_state[_UPLOAD] = (file_id, upload_file.Upload(name, content()))
    upload: upload_file.Upload = known[1]
    return upload


def _forget(*prefixes: str) -> None:
    """Forget what the person said of another file, or of the same one in another format."""
    for key in [key for key in map(str, st.session_state) if key.startswith(prefixes)]:
        del st.session_state[key]


def _reading() -> upload_file.UploadReading:
    """Return how the person wants the file read; nothing where they left the guess."""
    state = st.session_state
    said = {key.removeprefix("map-"): state[key] for key in map(str, state) if key.startswith("map-")}
    corrections = {name: value for name, value in said.items() if value is not None}
    if isinstance(origin := corrections.get("origin"), datetime):
        corrections["origin"] = origin.replace(tzinfo=UTC).timestamp()
    return upload_file.UploadReading(
        format=state.get("read-format") or None,
        recall_span=state.get("read-recall") or None,
        layer_attribute=state.get("read-layer") or None,
        corrections=tuple(sorted(corrections.items())),
        whole=bool(state.get("upload-whole")),
    )


def _shown(page: PageContext, upload: upload_file.Upload, preview: upload_file.UploadPreview) -> None:
    found = preview.opened
    chips(
        [
            Chip(found.title, "read as", "accent", found.reason),
            Chip(f"{found.confidence:.0%}", "sure", tip=found.reason),
            Chip(found.path.name, "file"),
            *([Chip(str(len(found.columns)), "columns")] if found.columns else []),
        ]
    )
    for note in found.notes:
        st.text(text.plain(note, 300))
    with st.grid(3, min_column_width=200, gap="small"):
        _format_choice()
        if found.span_names:
            _span_choices(found.span_names, found.attribute_names)
    if found.mapping is not None and not found.mapping.is_spans:
        _mapping(found.mapping, found.columns, found.questions, relative=_is_relative(preview))
    if preview.trouble:
        st.warning(text.markdown(preview.trouble, 400), icon=":material/help:")
        return
    _preview(page, preview)
    confirmed = _doubts(preview, found.questions)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Import",
            type="primary",
            icon=":material/upload:",
            disabled=not page.is_operator or not preview.records or (bool(preview.doubts) and not confirmed),
            on_click=lambda: notices.act(lambda: _import(page, upload, preview, confirmed=confirmed)),
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


def _format_choice() -> None:
    known = upload_file.formats()
    st.selectbox(
        "Format",
        [_UNKNOWN, *known],
        key="read-format",
        format_func=lambda name: known.get(name, "told by its content"),
        on_change=lambda: _forget("map-"),
    )


def _span_choices(names: tuple[str, ...], attributes: tuple[str, ...]) -> None:
    st.selectbox(
        "A recall is the span",
        [_UNKNOWN, *names],
        key="read-recall",
        accept_new_options=True,
        format_func=lambda name: text.plain(name, 60) if name else _BY_RULE,
        help="A name, or ATTRIBUTE=VALUE. By the rules: spans with athena.query attributes, else the "
        "outermost retrievals, else the first span of each trace.",
    )
    st.selectbox(
        "A layer is named by",
        [_UNKNOWN, *attributes],
        key="read-layer",
        accept_new_options=True,
        format_func=lambda name: text.plain(name, 60) if name else _BY_RULE,
        help="An attribute of the spans below. By the rules: athena.layer, else the names of the retrievers, "
        "else those of the spans right below.",
    )


def _mapping(
    mapping: ColumnMapping, columns: tuple[str, ...], questions: tuple[Question, ...], *, relative: bool
) -> None:
    st.caption("What the columns are taken for. What no column holds stays unknown.")
    choices = [_UNKNOWN, *columns]
    open_units = {question.setting for question in questions}
    with st.grid(5, min_column_width=150, gap="small"):
        for name, label in upload_file.WHAT.items():
            guessed = getattr(mapping, name)
            st.selectbox(
                label,
                choices,
                index=choices.index(guessed) if guessed in choices else 0,
                key=f"map-{name}",
                format_func=lambda column: text.plain(column, 40) if column else units.UNKNOWN,
                on_change=(lambda: _forget("map-time_unit", "map-latency_unit"))
                if name in ("start", "end", "latency")
                else "rerun",
            )
        for name, label in (("time_unit", "Times are in"), ("latency_unit", "Took is in")):
            known = _UNITS[name]
            st.selectbox(
                label,
                known,
                index=None if name in open_units else known.index(getattr(mapping, name)),
                key=f"map-{name}",
                placeholder="say which",
            )
        if relative:
            st.datetime_input(
                "Time 0 is (UTC)",
                value=None,
                key="map-origin",
                help="Times in this file count from a beginning of its own: set the origin to place them. "
                "Else they are moved, so that the newest is now.",
            )
    for question in questions:
        st.warning(text.markdown(f"{question}. Say which.", 400), icon=":material/straighten:")
    if mapping.layer_columns or mapping.layers:
        told = [f"{layer} from {column}" for layer, column in mapping.layer_columns.items()]
        told += [f"all from {mapping.layers}"] if mapping.layers else []
        st.text(text.plain(f"Layers: {', '.join(told)} (in {mapping.layer_unit})", 400))


def _is_relative(preview: upload_file.UploadPreview) -> bool:
    """Whether times count from the file's own beginning, or did until the person said when that was."""
    first = preview.seen.report.first if preview.seen is not None else None
    return st.session_state.get("map-origin") is not None or (first is not None and first < EARLIEST)


def _doubts(preview: upload_file.UploadPreview, questions: tuple[Question, ...]) -> bool:
    """Ask whether what is odd is right; open units are to be said, not waved through."""
    doubts = [doubt for doubt in preview.doubts if doubt.about != "unit"]
    for doubt in doubts:
        st.warning(text.markdown(str(doubt), 400), icon=":material/help:")
    if not doubts:
        return not questions
    said = st.checkbox("It is right as it is", key="read-confirmed")
    return said and not questions


def _preview(page: PageContext, preview: upload_file.UploadPreview) -> None:
    seen = preview.seen
    if seen is not None:
        known = seen.succeeded + seen.failed
        chips(
            [
                Chip(units.count(seen.count), "queries"),
                Chip(units.ms(seen.quantile_ms(0.5)), "p50"),
                Chip(units.ms(seen.quantile_ms(0.99)), "p99"),
                Chip(units.percent(seen.succeeded / known) if known else units.UNKNOWN, "succeeded"),
                Chip(units.UNKNOWN if seen.at_once is None else f"{seen.at_once:,.1f}", "at once",
                     tip="by Little's law: the rate of the queries times their mean latency"),
                Chip(units.seconds(seen.length_s), "length"),
            ]
        )  # fmt: skip
    components.static_table(
        ["When", "Type", "Query", components.Cell("Took", "n"), components.Cell("Succeeded", "n"),
         components.Cell("Cache", "n"), components.Cell("Layers", "wide")],
        [
            (
                units.moment(m.timestamp, page.view.timezone),
                m.query_type,
                m.query_text or units.UNKNOWN,
                units.ms(m.latency_ms),
                _yes(m.success),
                units.UNKNOWN if m.cache_hit is None else "hit" if m.cache_hit else "miss",
                ", ".join(f"{layer} {units.ms(m.layer_latencies.get(layer))}" for layer in m.layers_queried)
                or units.UNKNOWN,
            )
            for m in preview.records[:8]
        ],
        limit=80,
    )  # fmt: skip
    st.caption(f"The first {min(8, len(preview.records))} queries; times are {page.view.timezone}.")
    _problems([(problem.row, problem.reason) for problem in preview.problems], len(preview.problems))


def _problems(found: list[tuple[int, str]], bad: int) -> None:
    if bad:
        st.text(f"Bad: {_rows(bad)}, left out")
        components.static_table(
            [components.Cell("Row", "n"), "Why"], [(f"{row:,}", why) for row, why in found[:8]]
        )


def _import(
    page: PageContext, upload: upload_file.Upload, preview: upload_file.UploadPreview, *, confirmed: bool
) -> None:
    state = st.session_state
    keep = bool(state.get("upload-times"))
    found = preview.opened
    stored = upload_file.import_upload(
        page.service, page.actor, upload, found, keep_times=keep, confirmed=confirmed
    )
    state[_IMPORTED] = (found.path.name, stored)
    if stored.report.first is not None and stored.report.last is not None:
        look_at(of_batch(Source.IMPORTED, stored.batch))
    state[_ROUND] = state.get(_ROUND, 0) + 1  # the file is done with: the next one gets a fresh place


def _result(page: PageContext, name: str, stored: Stored) -> None:
    report = stored.report
    if stored.earlier is not None:
        at = units.moment(stored.earlier, page.view.timezone)
        st.info(f"{text.markdown(name)} had been imported at {at}: nothing was done.", icon=":material/info:")
        return
    if report.first is None or report.last is None:
        return
    moved = (
        f" Times were moved by {stored.moved_s / 86_400:+,.1f} days, to end now." if stored.moved_s else ""
    )
    st.success(
        f"{text.markdown(name)}: {units.count(report.records)} queries imported, "
        f"{_rows(report.bad)} left out.{moved}",
        icon=":material/check_circle:",
    )
    st.page_link(
        page_file("overview"),
        label="Show on the charts",
        icon=":material/monitoring:",
        help="The file is looked at by itself now.",
    )
    _problems([(problem.row, problem.reason) for problem in report.problems], report.bad)


def _rows(n: int) -> str:
    return f"{units.count(n)} row{'' if n == 1 else 's'}"


def _yes(known: bool | None) -> str:
    return units.UNKNOWN if known is None else "yes" if known else "no"
