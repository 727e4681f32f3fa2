"""The small pieces that pages are made of: chips, cards, tables, charts, designed emptiness."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from athena_tuning.model import QueryMetrics
from athena_tuning.service import text, units
from athena_tuning.service.facts import Situation
from athena_tuning.service.window_reads import record_row
from athena_tuning.ui.charts import recall_charts
from athena_tuning.ui.charts.panel import Chart
from athena_tuning.ui.charts.plotly_figure import CONFIG
from athena_tuning.ui.frame import addresses, notices
from athena_tuning.ui.frame.drawing import drawing
from athena_tuning.ui.frame.exploring import look_at, name_of
from athena_tuning.ui.frame.navigation import page_file

if TYPE_CHECKING:
    import pandas as pd

    from athena_tuning.service.tuning_service import TuningService
    from athena_tuning.ui.frame.page_context import PageContext


class Cell(NamedTuple):
    """A table cell.

    Attributes:
        value: what it says.
        kind: its classes: "n" number, "was", "now", "wide" (left out on narrow screens).
        share: length of a bar behind it, of the cell's width; 0 draws none.
        link: where it leads; "" nowhere.
    """

    value: object
    kind: str = ""
    share: float = 0.0
    link: str = ""


def heads(kind: str, *names: str) -> list[Cell]:
    """Return heads of columns of one kind.

    Examples:
        >>> heads("n", "p50", "p99")
        [Cell(value='p50', kind='n', share=0.0, link=''), Cell(value='p99', kind='n', share=0.0, link='')]
    """
    return [Cell(name, kind) for name in names]


def static_table(
    columns: Sequence[str | Cell], rows: Sequence[Sequence[object]], *, limit: int = 240
) -> None:
    """Draw a small table, if it has rows. Text is shown as it is, at most ``limit`` characters of it."""
    if not rows:
        return
    heads = [column if isinstance(column, Cell) else Cell(column) for column in columns]
    top = "".join(_head(head) for head in heads)
    body = "".join(
        "<tr>"
        + "".join(_cell(value, head.kind, limit) for value, head in zip(row, heads, strict=True))
        + "</tr>"
        for row in rows
    )
    head = f"<thead><tr>{top}</tr></thead>" if any(head.value for head in heads) else ""
    st.html(
        f'<div class="scroll" tabindex="0"><table class="sheet">{head}<tbody>{body}</tbody></table></div>'
    )


def table(
    frame: pd.DataFrame, columns: Mapping[str, Any], key: str, *, alt: str, tall: int = 420, **more: Any
) -> Any:
    """Draw columns of a table, which a reader may sort. Texts are shown as they are.

    Args:
        frame: what to show.
        columns: by the name of a column its label, or how it is shown.
        key: of the widget.
        alt: what the table is, in words.
        tall: largest height in pixels; beyond it the table scrolls.
        more: as ``st.dataframe`` takes it.
    """
    shown = frame[list(columns)]
    known = shown.notna()
    texts = {
        name: [text.plain(value, 240) for value in shown[name].astype(object).where(known[name], "")]
        for name in columns
        if shown.dtypes[name].kind == "O"
    }
    return st.dataframe(
        shown.assign(**texts),
        hide_index=True,
        key=key,
        height=min(tall, 38 + 35 * len(shown)),
        column_config=dict(columns),
        placeholder="",
        alt=alt,
        **more,
    )


def moment_column(label: str, timezone: str) -> Any:
    """Return how a column of times is shown."""
    return st.column_config.DatetimeColumn(label, format="YYYY-MM-DD HH:mm:ss", timezone=timezone)


@contextmanager
def card(
    key: str, title: str | None = None, note: str | None = None, *, stacked: bool = False
) -> Iterator[None]:
    """A card with a title and a line that says how to read it. Both are the project's own words.

    A card is as high as its row, unless it is ``stacked`` on others in its column: then as its content.
    """
    with st.container(key=f"card-{key}", gap="small", height="content" if stacked else "stretch"):
        if title:
            st.markdown(f"## {title}", help=note)
        yield


def statement(situation: Situation) -> None:
    """Draw what there is to say first of a page: a sentence and its reasons."""
    reasons = "".join(f"<p>{html.escape(text.plain(reason, 320))}</p>" for reason in situation.reasons)
    sentence = html.escape(text.plain(situation.sentence, 240))
    with st.container(key=f"situation-{situation.level}"):
        st.html(f'<div class="say" role="status"><h2>{sentence}</h2>{reasons}</div>')


def live_chart(chart: Chart, key: str, *, height: int = 260, **more: Any) -> Any:
    """Draw an ECharts chart that updates in place."""
    return st.echarts_chart(chart.spec, height=height, key=key, alt=chart.alt, **more)


def analysis_chart(chart: Chart, key: str, **more: Any) -> Any:
    """Draw a Plotly chart."""
    return st.plotly_chart(drawing(chart), key=key, config=CONFIG, alt=chart.alt, **more)


def metrics(*figures: tuple[str, str, str | None], width: int = 165) -> None:
    """Draw figures side by side, all alike.

    Args:
        figures: name, value and, where it needs one, an explanation.
        width: least width of one in px.
    """
    with st.grid(len(figures), min_column_width=width, gap="small"):
        for name, value, about in figures:
            st.metric(name, value, height="stretch", help=about)


def records(recalls: Sequence[QueryMetrics], timezone: str, key: str, **more: Any) -> Any:
    """Draw recalls as a table. The texts are shown as they are."""
    return st.dataframe(
        [record_row(record, timezone) for record in recalls],
        hide_index=True,
        key=key,
        column_config={
            "Latency": st.column_config.NumberColumn("ms", format="%.1f", width=70),
            "Type": st.column_config.TextColumn(width=90),
            "Query": st.column_config.TextColumn(width="large"),
            "Config": st.column_config.NumberColumn("v", format="%d", width=50),
            "When": st.column_config.TextColumn(width=150),
            "Layers": st.column_config.TextColumn(width=150),
            "Answer": st.column_config.TextColumn(width=70),
        },
        alt=f"{len(recalls)} recalls, slowest {units.ms(recalls[0].latency_ms) if recalls else '–'}",
        **more,
    )


def slow_recalls(recalls: Sequence[QueryMetrics], timezone: str) -> None:
    """Draw recalls as a small table that costs few bytes to renew; each text leads to its recall."""
    rows = [(record_row(m, timezone), addresses.relative("recalls", recall=m.query_id)) for m in recalls]
    static_table(
        [Cell("Latency", "n"), "Query", *heads("wide name", "Type", "Answer"), Cell("When", "n wide")],
        [
            (
                units.ms(r["Latency"]),
                Cell(r["Query"], link=link),
                r["Type"],
                r["Answer"],
                r["When"].partition(" ")[2],
            )
            for r, link in rows
        ],
        limit=120,
    )


def waterfall(record: QueryMetrics, timezone: str) -> None:
    """Draw one recall: its text, what became of it, and its layers along its time."""
    st.code(text.plain(record.query_text, 400), language=None, wrap_lines=True)
    if record.tasks:
        analysis_chart(recall_charts.waterfall(record), f"waterfall-{record.query_id}")
    elif record.cache_hit:
        empty("The cache answered: no layer ran.", icon="bolt")
    elif record.refused:
        empty("Refused at once: more recalls came than could be served, so no layer was asked.", icon="block")
    else:
        empty("Nothing was measured of its layers.")
    if outside := recall_charts.outside_layers(record):
        st.caption(f"{outside}: to choose layers, to fuse what they found, or because the machine was busy.")
    answer = record_row(record, timezone)
    st.caption(
        f"{units.ms(record.latency_ms)} · {answer['Answer']} answer · {answer['When']} · "
        f"config v{record.config_version} · {units.count(record.result_count)} results"
    )
    if record.error:
        st.text(text.plain(record.error, 300))
    with st.popover("Link to this recall", icon=":material/link:", key=f"link-{record.query_id}"):
        st.code(addresses.address("recalls", recall=record.query_id), language=None, wrap_lines=True)


def workers_in_force(service: TuningService) -> None:
    """Draw which manager runs which version."""
    head, workers = service.configs().head, service.workers()
    alive = [worker for worker in workers if service.is_alive(worker)]
    static_table(
        ["Manager", Cell("Version", "n"), Cell("Seen", "n")],
        [
            (
                Cell(worker.worker_id),
                Cell(f"v{worker.config_version}", "now" if worker.config_version == head else "was"),
                units.age(service.now - worker.last_seen),
            )
            for worker in alive[:8]
        ],
        limit=40,
    )
    behind = sum(worker.config_version != head for worker in alive)
    st.caption(
        f"{len(alive)} alive, {len(workers) - len(alive)} gone"
        + (f", {behind} not yet at v{head}" if behind else f", all at v{head}" if alive else "")
    )


def chosen_cell(event: Any, chart: Chart) -> tuple[int, int] | None:
    """Return hour and weekday of the heatmap's chosen cell; None without one."""
    cells = chart.spec["series"][0]["data"]
    for group in event.selection.selected:
        for index in group["data_indices"]:
            if 0 <= index < len(cells):
                return int(cells[index][0]), int(cells[index][1])
    return None


def empty_view(page: PageContext) -> None:
    """Say that the view is empty and offer what fills it."""
    service = page.service
    proposal = page.proposal()
    with card("empty", "Nothing to show for this view"):
        if proposal is not None and proposal.missing:
            st.text(f"{proposal.missing} needed before anything can be concluded.")
            if proposal.recalls:  # an empty bar is drawn as a stray dot
                st.progress(proposal.recalls / proposal.needed)
        else:
            st.text(
                "There are recalls, but none in this period with this filter. "
                "Take a longer period, or all queries."
            )
        batches_menu(page)
        samples_menu(page, "empty")
        with st.container(horizontal=True):
            label = "Bring a file, or simulate a day"
            st.page_link(page_file("workloads"), label=label, icon=":material/upload_file:")
            if page.can_write and service.embedded is not None and not service.embedded.demo_is_on:
                st.page_link(page_file("system"), label="Start the demo load", icon=":material/play_arrow:")


def batches_menu(page: PageContext) -> None:
    """Offer to look at what the store holds beside live recalls, each by itself; nothing if it holds none."""
    with st.container(horizontal=True):
        for batch in page.service.sources()[:4]:
            st.button(
                f"Look at {text.markdown(name_of(batch), 90)}",
                key=f"explore-{batch.source}",
                icon=":material/frame_inspect:",
                on_click=look_at,
                args=(batch.source,),
            )


def samples_menu(page: PageContext, key: str) -> None:
    """Offer a sample workload to load, or, where managers run elsewhere, say how to start one."""
    if page.service.embedded is None:
        st.text("This dashboard watches a store that managers share. Start one in a terminal:")
        st.code("athena-tuning manager --load 3", language=None)
        st.caption("With the same ATHENA_TUNING_STORE, on this machine or another.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = {sample.name: sample.title for sample in page.service.samples()}
        chosen = st.selectbox(
            "Sample workload", list(names), format_func=names.__getitem__, key=f"{key}-sample", width=340
        )
        st.button(
            "Load a sample",
            key=f"{key}-load",
            type="primary",
            icon=":material/download:",
            disabled=not page.can_write,
            on_click=lambda: notices.act(
                lambda: look_at(
                    page.service.take_sample(page.actor, st.session_state[f"{key}-sample"]).source
                ),
                f"Loaded “{names.get(chosen, chosen)}”, to be looked at by itself",
            ),
        )


def empty(words: str, *, icon: str = "hourglass_empty") -> None:
    """Say in a card's place why there is nothing yet. The words are the project's own."""
    with st.container(horizontal_alignment="center", gap="small"):
        st.space("small")
        st.markdown(f":material/{icon}: {words}", text_alignment="center")
        st.space("small")


def ms_cell(value: float | None) -> Cell:
    """Return a duration in ms as a cell."""
    return Cell(units.ms(value), "n")


def _cell(value: object, kind: str, limit: int) -> str:
    cell = value if isinstance(value, Cell) else Cell(value)
    kinds = " ".join(filter(None, (kind, cell.kind)))
    bar = f' style="--share: {cell.share:.0%}"' if cell.share else ""
    words = html.escape(text.plain(cell.value, limit))
    if cell.link:
        words = f'<a href="{html.escape(cell.link)}" target="_self">{words}</a>'
    return f'<td class="{kinds}"{bar}>{words}</td>'


def _head(head: Cell) -> str:
    tag = "th" if head.value else "td"  # a head without words is none
    return f'<{tag} class="{head.kind}">{_safe(head.value)}</{tag}>'


def _safe(value: object) -> str:
    return html.escape(text.plain(value, 120))
