"""Access logs of Envoy (and Istio): JSON by the usual names of its operators, and the default text format."""

from __future__ import annotations

import re
from typing import Any

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import CERTAIN, LIKELY, Recogniser, Recognition, TableReading
from athena_tuning.interchange.shape import Row, Sample

_OPERATORS = frozenset(
    {
        *(
            "response_flags",
            "response_code_details",
            "upstream_service_time",
            "upstream_cluster",
            "authority",
        ),
        *("upstream_host", "bytes_received", "bytes_sent", "protocol", "method", "path", "request_id"),
        *(
            "x_forwarded_for",
            "user_agent",
            "route_name",
            "downstream_remote_address",
            "upstream_local_address",
        ),
        *("downstream_local_address", "requested_server_name", "connection_termination_details"),
        "upstream_transport_failure_reason",
    }
)
_LINE = re.compile(
    r'\[(?P<time>\d{4}-\d\d-\d\dT[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>[^"]+)" '
    r"(?P<code>\d+) (?P<flags>\S+) (?:\S+ \S+ \"[^\"]*\" )?(?P<received>\d+) (?P<sent>\d+) (?P<took>\d+|-) "
)


def _recognise_json(sample: Sample) -> Recognition | None:
    known = _OPERATORS.intersection(sample.columns)
    if not sample.has("start_time", "response_code", "duration") or len(known) < 3:
        return None
    mapping = ColumnMapping(
        start="start_time",
        latency="duration",
        query_id=None,
        query_text="path" if sample.has("path") else None,
        query_type="method" if sample.has("method") else None,
        success="response_code",
        time_unit="text",
        latency_unit="ms",
    )
    reason = f"start_time, response_code and duration beside {', '.join(sorted(known)[:4])}"
    return Recognition(LIKELY, reason, TableReading(mapping, _selected))


def _recognise_text(sample: Sample) -> Recognition | None:
    lines = sample.lines
    if not lines or sum(_LINE.match(line) is not None for line in lines) < 0.9 * len(lines):
        return None
    mapping = ColumnMapping(
        start="time",
        latency="took",
        query_text="path",
        query_type="method",
        success="code",
        time_unit="text",
        latency_unit="ms",
    )
    reason = "lines with [a time], “a request”, status, flags, sizes and a duration"
    return Recognition(CERTAIN, reason, TableReading(mapping, _selected, _row))


def _row(line: str) -> Row | None:
    match = _LINE.match(line)
    return None if match is None else {**match.groupdict(), "response_code": match["code"]}


def _selected(row: Row) -> Row:
    """Return a row in which status 0, that of a connection that broke, is a failure as it is in Envoy."""
    changed: dict[str, Any] = {**row}
    flags = row.get("response_flags", row.get("flags"))
    if str(row.get("response_code")) == "0" and flags not in (None, "", "-"):
        changed["response_code"] = changed["code"] = 503
    return changed


RECOGNISERS = (
    Recogniser("envoy-json", "Envoy access log (JSON)", _recognise_json),
    Recogniser("envoy-text", "Envoy access log (default text)", _recognise_text),
)
