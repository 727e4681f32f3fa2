"""Access logs of nginx and Apache: JSON by the names of nginx's variables, and the combined format."""

from __future__ import annotations

import re
from typing import Any

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import CERTAIN, LIKELY, Recogniser, Recognition, TableReading
from athena_tuning.interchange.shape import Row, Sample

_VARIABLES = frozenset(
    {
        *("time_iso8601", "time_local", "msec", "request", "request_uri", "uri", "request_method", "status"),
        *("request_time", "body_bytes_sent", "bytes_sent", "request_length", "remote_addr", "remote_user"),
        *("http_referer", "http_user_agent", "http_x_forwarded_for", "http_host", "server_name", "host"),
        *("upstream_addr", "upstream_status", "upstream_response_time", "upstream_connect_time"),
        *("upstream_header_time", "connection", "request_id", "args", "scheme", "server_protocol"),
    }
)
_TIMES = (("msec", "s"), ("time_iso8601", "text"), ("time_local", "text"))
_LINE = re.compile(
    r'(?P<host>\S+) \S+ (?P<user>.*?) \[(?P<time>[^\]]{20,40})\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r"(?P<status>\d{3}) (?P<size>\d+|-)(?P<rest>.*)"
)
_NAMED_TIME = re.compile(r'\b(?:rt|request_time)="?(\d+\.\d+)\b')
_AGENT = re.compile(r'\s*"(?:[^"\\]|\\.)*"\s*"(?:[^"\\]|\\.)*"')
_TIME = re.compile(r'(?<![^\s",])(\d{1,7}\.\d{3})(?![^\s",])')
_PLACEHOLDERS = ("", "-")


def _recognise_json(sample: Sample) -> Recognition | None:
    known = _VARIABLES.intersection(sample.columns)
    time = next(((name, unit) for name, unit in _TIMES if sample.has(name)), None)
    if time is None or len(known) < 4 or not known & {"request", "request_uri", "uri", "request_time"}:
        return None
    question = next((name for name in ("request_uri", "uri", "request") if sample.has(name)), None)
    mapping = ColumnMapping(
        end=time[0],
        latency="request_time" if sample.has("request_time") else None,
        query_id=_unique(sample, "request_id"),
        query_text=question,
        query_type="request_method" if sample.has("request_method") else None,
        success="status" if sample.has("status") else None,
        time_unit=time[1],
        latency_unit="s",
    )
    reason = f"variables of nginx: {', '.join(sorted(known)[:6])}"
    if mapping.latency is None:  # then the time of the line is all there is
        mapping = mapping.corrected(start=mapping.end, end="")
        note = "this log has no request_time: latency stays unknown"
        return Recognition(LIKELY, reason, TableReading(mapping, without_latency=True), (note,))
    return Recognition(LIKELY, reason, TableReading(mapping), ("a line is written when the request ends",))


def _recognise_combined(sample: Sample) -> Recognition | None:
    lines = sample.lines
    if not lines or sum(_LINE.match(line) is not None for line in lines) < 0.9 * len(lines):
        return None
    timed = sum("latency" in row for line in lines if (row := _row(line)) is not None) > 0.5 * len(lines)
    mapping = ColumnMapping(
        start=None if timed else "time",
        end="time" if timed else None,
        latency="latency" if timed else None,
        query_text="request",
        query_type="method",
        success="status",
        time_unit="text",
        latency_unit="s",
    )
    note = (
        "the time of a request is the one that is named rt or request_time, else the longest with three "
        "decimals: that of the server behind it is a part of it"
        if timed
        else "this log has no time of a request that is understood: latency stays unknown"
    )
    reading = TableReading(mapping, line=_row, without_latency=not timed)
    return Recognition(
        CERTAIN, "lines with an address, [a time], “a request”, status and size", reading, (note,)
    )


def _row(line: str) -> Row | None:
    match = _LINE.match(line.rstrip("\r\n"))
    if match is None:
        return None
    row: dict[str, Any] = {name: match[name] for name in ("host", "time", "request", "status", "size")}
    method, _, path = match["request"].partition(" ")
    row["method"], row["request"] = method, path.rpartition(" ")[0] or path
    if (took := _time_in(match["rest"])) is not None:
        row["latency"] = took
    return row


def _time_in(rest: str) -> str | None:
    """Return the time of the request among what follows its size, without who asked and from where."""
    if named := _NAMED_TIME.search(rest):
        return named[1]
    agent = _AGENT.match(rest)
    return max(_TIME.findall(rest, agent.end() if agent else 0), key=float, default=None)


def _unique(sample: Sample, name: str) -> str | None:
    values = [str(row[name]) for row in sample.rows if row.get(name) not in (*_PLACEHOLDERS, None)]
    return name if values and len(set(values)) == len(values) else None


RECOGNISERS = (
    Recogniser("nginx-json", "nginx access log (JSON)", _recognise_json),
    Recogniser("access-log", "nginx and Apache access log (combined)", _recognise_combined),
)
