"""Results of load tests, logs and tables as their tools document them, made of requests that are known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from athena_tuning.testing.made_requests import BEGIN, MadeFile, MadeRequest, truth_of

_ZERO = BEGIN * 1_000_000
_K6 = (
    "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,proto,"
    "scenario,service,status,subproto,tls_version,url,extra_tags,metadata"
)
_JTL = (
    "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,"
    "sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect"
)
_HEY = "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset"


def made_tables(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    """Give a file of each format that is a table, a log or the result of a load test."""
    yield from _k6(requests)
    yield from _load_tests(requests)
    yield from _logs(requests)


def refused_files() -> Iterator[MadeFile]:
    """Give files that are known in order to be refused."""
    for name, form, lines in (
        (
            "wrk2.txt",
            "wrk2",
            (
                "Running 30s test @ http://127.0.0.1:80/index.html",
                "  2 threads and 100 connections",
                "  Thread Stats   Avg      Stdev     Max   +/- Stdev",
                "    Latency   635.91us    0.89ms  12.92ms   93.69%",
                "Requests/sec:   2000.15",
            ),
        ),
        (
            "spectrum.hgrm",
            "wrk2",
            (
                "       Value     Percentile TotalCount 1/(1-Percentile)",
                "",
                "       0.250     0.000000            1         1.00",
                "       0.518     0.100000         2000         1.11",
            ),
        ),
        (
            "run_stats_history.csv",
            "locust",
            (
                "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,"
                "99.99%,100%,Total Request Count,Total Failure Count,Total Median Response Time,"
                "Total Average Response Time,Total Min Response Time,Total Max Response Time,"
                "Total Average Content Size",
                "1790000000,10,,Aggregated,9.5,0.0,51,60,70,80,90,95,99,99,120,120,120,95,0,51,52.3,8,120,500",
                "1790000001,10,,Aggregated,9.7,0.0,51,60,70,80,90,95,99,99,120,120,120,105,0,51,52.1,8,120,500",
            ),
        ),
        (
            "run_stats.csv",
            "locust",
            (
                "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,"
                "Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,50%,99%",
                "GET,/search,300,14,51,52.3,8,210,500,20.1,0.9,51,210",
            ),
        ),
        (
            "run_stats.json",
            "locust",
            (
                '[{"name": "/search", "method": "GET", "last_request_timestamp": 1790000031.6,',
                ' "start_time": 1790000000.2, "num_requests": 300, "num_failures": 14,',
                ' "total_response_time": 15690.4, "max_response_time": 210.7, "min_response_time": 8.6,',
                ' "response_times": {"22": 112, "51": 188}, "num_reqs_per_sec": {"1790000000": 300}}]',
            ),
        ),
        (
            "statements.csv",
            "database-statistics",
            (
                "userid,dbid,queryid,query,calls,total_exec_time,mean_exec_time,rows",
                "10,16384,1790000000000000001,SELECT 1,300,15300.0,51.0,300",
            ),
        ),
        (
            "digests.csv",
            "database-statistics",
            (
                "SCHEMA_NAME,DIGEST,DIGEST_TEXT,COUNT_STAR,SUM_TIMER_WAIT,AVG_TIMER_WAIT,FIRST_SEEN,LAST_SEEN",
                "shop,abc,SELECT ?,300,15300000000000,51000000000,2026-09-21 10:00:00,2026-09-21 11:00:00",
            ),
        ),
        (
            "oha.json",
            "oha",
            (
                '{"summary": {"successRate": 1.0, "total": 14.0, "slowest": 0.2, "average": 0.05},',
                ' "responseTimeHistogram": {"0.01": 3}, "latencyPercentiles": {"p50": 0.05},',
                ' "statusCodeDistribution": {"200": 300}, "errorDistribution": {}}',
            ),
        ),
        (
            "range.json",
            "prometheus",
            (
                '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"api"},'
                '"values":[[1790000000,"0.05"],[1790000015,"0.06"]]}]}}',
            ),
        ),
        (
            "results.xml",
            "jmeter",
            (
                '<?xml version="1.0" encoding="UTF-8"?>',
                '<testResults version="1.2">',
                '<httpSample t="51" lt="20" ts="1790000000000" s="true" lb="Search" rc="200"/>',
                "</testResults>",
            ),
        ),
    ):
        yield MadeFile(name, form, "\n".join([*lines, ""]).encode())


def _k6(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    """Four of the rows that k6 writes for each request; its timestamp is the end, in whole seconds."""
    rows = []
    points: list[dict[str, Any]] = [
        {
            "type": "Metric",
            "data": {"name": "http_req_duration", "type": "trend", "contains": "time"},
            "metric": "http_req_duration",
        }
    ]
    for request in requests:
        ok, took = request.ok, request.took_us / 1e3
        status, end = (200 if ok else 503), request.end_us
        metrics = (
            ("http_reqs", 1.0),
            ("http_req_duration", took),
            ("http_req_blocked", 0.01),
            ("http_req_waiting", took * 0.8),
        )
        for metric, value in metrics:
            cells = [metric, end // 1_000_000, f"{value:.6f}", "", "", "" if ok else 1503, str(ok).lower()]
            url = f"http://host/search?q={request.number}"
            cells += ["", "GET", "http://host/search", "HTTP/1.1", "default", "", status, "", "", url, "", ""]
            rows.append(cells)
            tags = {"name": "http://host/search", "url": url, "status": str(status), "method": "GET"}
            tags |= {"expected_response": str(ok).lower(), "scenario": "default", "group": ""}
            data = {"time": _written(end), "value": value, "tags": tags}
            points.append({"metric": metric, "type": "Point", "data": data})
    yield MadeFile("k6.csv", "k6-csv", _csv(_K6.split(","), rows), truth_of(requests, within_s=1.001))
    yield MadeFile("k6.json", "k6-json", _lines(points), truth_of(requests))


def _load_tests(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    rows: list[list[Any]] = []
    for r in requests:
        ok, ms = str(r.ok).lower(), (r.start_us // 1000, round(r.took_us / 1e3))
        code, why = (200, "") if r.ok else (500, "boom")
        rows.append(
            [*ms, "Search", code, "OK", "Group 1-1", "text", ok, why, 900, 120, 4, 4, "http://h/s", 20, 0, 3]
        )
        if r.number % 10 == 9:  # ten requests are a transaction, of which JMeter writes a row too
            said = "Number of samples in transaction : 10, number of failing samples : 1"
            rows.append([ms[0], 999, "Tour", "", said, "Group 1-1", "", ok, "", 0, 0, 4, 4, "null", 0, 0, 0])
    exact = truth_of(requests, within_ms=0.5, within_s=0.001)
    yield MadeFile("run.jtl", "jmeter", _csv(_JTL.split(","), rows), exact)

    results = [
        {
            "attack": "", "seq": r.number, "code": 200 if r.ok else 0,
            "timestamp": _written(r.start_us, "+02:00"), "latency": r.took_us * 1000, "bytes_out": 0,
            "bytes_in": 9, "error": "" if r.ok else "dial tcp: connection refused", "body": None,
            "method": "GET", "url": f"http://host/search?q={r.number}", "headers": None,
        }
        for r in requests
    ]  # fmt: skip
    yield MadeFile("vegeta.json", "vegeta-json", _lines(results), truth_of(requests))
    rows = [
        [r.start_us * 1000, 200 if r.ok else 503, r.took_us * 1000, 0, 9, "" if r.ok else "503", "", "",
         r.number, "GET", "http://host/search", ""]
        for r in requests
    ]  # fmt: skip
    yield MadeFile("vegeta.csv", "vegeta-csv", _csv(None, rows), truth_of(requests))

    relative = truth_of(requests, origin_us=_ZERO, within_ms=0.06, within_s=0.0001)
    rows = [
        [f"{r.took_us / 1e6:.4f}", "0.0010", "0.0000", "0.0001", f"{r.took_us / 2e6:.4f}", "0.0001",
         200 if r.ok else 503, f"{(r.start_us - _ZERO) / 1e6:.4f}"]
        for r in requests
    ]  # fmt: skip
    yield MadeFile("hey.csv", "hey", _csv(_HEY.split(","), rows), relative)
    rows = [
        [(r.start_us - _ZERO) / 1e6, 0, 0, r.took_us / 2e6, r.took_us / 1e6, 9, 200 if r.ok else 503]
        for r in requests
    ]
    names = ["request-start", "DNS", "DNS+dialup", "Response-delay", "request-duration", "bytes", "status"]
    yield MadeFile("oha.csv", "oha", _csv(names, rows), relative)

    rows = [["starttime", "seconds", "ctime", "dtime", "ttime", "wait"]]
    for r in sorted(requests, key=lambda r: r.took_us):
        start, took = r.start_us // 1_000_000, r.took_us // 1000
        rows.append(
            [f"{datetime.fromtimestamp(start, UTC):%a %b %d %H:%M:%S %Y}", start, 0, took, took, took]
        )
    content = "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()
    in_seconds = truth_of(requests, failures=False, successes=False, within_ms=1.0, within_s=1.0)
    yield MadeFile("ab.tsv", "ab", content, in_seconds)


def _logs(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    in_ms = truth_of(requests, within_ms=0.51, within_s=1.001)
    status = {True: "200", False: "502"}
    rows: list[dict[str, Any]] = [
        {
            "time_iso8601": _written(r.end_us)[:19] + "+00:00", "remote_addr": "10.0.0.1",
            "status": status[r.ok], "request": f"GET /search?q={r.number} HTTP/1.1", "body_bytes_sent": "900",
            "request_time": f"{r.took_us / 1e6:.3f}", "upstream_response_time": f"{r.took_us / 2e6:.3f}",
        }
        for r in requests
    ]  # fmt: skip
    yield MadeFile("nginx.json", "nginx-json", _lines(rows), in_ms)

    def combined(r: MadeRequest, end: str) -> str:
        at = datetime.fromtimestamp((r.end_us if end else r.start_us) // 1_000_000, UTC)
        head = f'10.0.0.1 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET /search?q={r.number} HTTP/1.1"'
        return f'{head} {status[r.ok]} 900 "-" "curl/8.0"{end}'

    timed = "\n".join(combined(r, f' rt={r.took_us / 1e6:.3f} urt="0.010"') for r in requests)
    yield MadeFile("access-timed.log", "access-log", f"{timed}\n".encode(), in_ms)
    behind = "\n".join(
        combined(r, f" 423 {r.took_us / 1e6:.3f} [web-80] [] 10.0.0.2:80 900 {r.took_us / 2e6:.3f} 200 id")
        for r in requests
    )
    yield MadeFile("ingress.log", "access-log", f"{behind}\n".encode(), in_ms)
    plain = truth_of(requests, within_s=1.001)
    untimed = type(plain)(
        plain.count, None, None, plain.succeeded, plain.failed, plain.first, plain.last, within_s=1.001
    )
    text = "\n".join(combined(r, "") for r in requests)
    yield MadeFile("access.log", "access-log", f"{text}\n".encode(), untimed)

    started = truth_of(requests, within_ms=0.51, within_s=0.002)
    rows = [
        {
            "start_time": _written(r.start_us // 1000 * 1000)[:23] + "Z", "method": "GET", "path": "/search",
            "protocol": "HTTP/1.1", "response_code": 200 if r.ok else 503,
            "response_flags": "-" if r.ok else "UH", "bytes_received": 0, "bytes_sent": 900,
            "duration": round(r.took_us / 1e3),
            "upstream_service_time": "9", "authority": "host", "upstream_host": "10.0.0.2:80",
            "request_id": f"id-{r.number}",
        }
        for r in requests
    ]  # fmt: skip
    yield MadeFile("envoy.json", "envoy-json", _lines(rows), started)
    lines = (
        f'[{row["start_time"]}] "GET /search HTTP/1.1" {row["response_code"]} {row["response_flags"]} 0 900 '
        f'{row["duration"]} 9 "-" "curl/8.0" "{row["request_id"]}" "host" "10.0.0.2:80"'
        for row in rows
    )
    yield MadeFile("envoy.log", "envoy-text", ("\n".join(lines) + "\n").encode(), started)

    entries: list[dict[str, Any]] = []
    for r in requests:
        entries.append({"event": "asked", "level": "info", "timestamp": _written(r.start_us), "q": r.text})
        done = {"event": "answered", "level": "info" if r.ok else "error", "timestamp": _written(r.end_us)}
        entries.append({**done, "duration_ms": r.took_us / 1e3, "success": r.ok})
    yield MadeFile("structlog.jsonl", "structlog", _lines(entries), truth_of(requests))

    names = ["ts", "took_us", "endpoint", "error"]
    cells = [[r.start_us / 1e6, r.took_us, "/search", "" if r.ok else "boom"] for r in requests]
    yield MadeFile("table.csv", "columns", _csv(names, cells), truth_of(requests))


def _written(us: int, zone: str = "Z") -> str:
    """Return a time in RFC 3339, in UTC or in another zone."""
    hours = int(zone[1:3]) if zone != "Z" else 0
    at = datetime.fromtimestamp(us // 1_000_000 + hours * 3600, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{us % 1_000_000:06d}{zone}"


def _csv(names: Sequence[str] | None, rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names is not None:
        writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def _lines(rows: Iterable[Any]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()
