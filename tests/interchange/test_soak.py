"""Long: thousands of broken files, and files far larger than the memory that they may take."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

from athena_tuning.interchange import Import
from athena_tuning.testing.formats import made_files, mutated

pytestmark = pytest.mark.soak

MUTATIONS = 10_000
GIGABYTE = 1_000_000_000
MOST_MB = 300.0
READ = """
import sys
from pathlib import Path
from athena_tuning.interchange import Import
found = Import(sys.argv[1])
print(sum(1 for _ in found.records()), found.report.bad, len(found.report.problems))
print(*[line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")])
"""


def test_ten_thousand_broken_files_raise_nothing_but_refusals(tmp_path):
    rng = random.Random(20_261_128)
    files, seen = made_files(), Counter()
    for n in range(MUTATIONS):
        file = files[n % len(files)]
        content = mutated(file.content, rng)
        for _ in range(rng.randrange(3)):
            content = mutated(content, rng)
        path = tmp_path / f"file.{file.name.rpartition('.')[2]}"
        path.write_bytes(content)
        try:
            opened = Import(path)
            for record in opened.records():
                assert record.latency_ms is None or record.latency_ms >= 0, (n, file.name)
                assert record.timestamp > 0, (n, file.name)
        except ValueError:
            seen["refused"] += 1
        else:
            seen["bad rows" if opened.report.bad else "read"] += 1
    assert sum(seen.values()) == MUTATIONS
    assert min(seen.values()) > 100, seen


def lines(file):
    line = {"ts": 0, "latency_ms": 5.5, "query": "x" * 180, "request_id": ""}
    n = size = 0
    while size < GIGABYTE:
        text = json.dumps({**line, "ts": 1_790_000_000 + n / 100, "request_id": f"{n:012d}"}) + "\n"
        size += file.write(text)
        n += 1
    return n


def one_resource(file):
    """Write spans of traces that come one after the other, all in one resource as in a dump of a backend."""
    size = file.write('{"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [')
    n = 0
    while size < GIGABYTE // 2:
        start = 1_790_000_000_000_000_000 + n * 10_000_000
        spans = [
            {
                "traceId": f"{n + 1:032x}",
                "spanId": f"{own + 1:016x}",
                **({"parentSpanId": f"{1:016x}"} if own else {}),
                "name": ("ask", "semantic", "graph")[own],
                "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(start + 5_000_000),
                "attributes": [{"key": "note", "value": {"stringValue": "x" * 120}}],
            }
            for own in range(3)
        ]
        size += file.write(("," if n else "") + json.dumps(spans)[1:-1])
        n += 1
    file.write("]}]}]}")
    return n


@pytest.mark.parametrize(("name", "write"), [("large.jsonl", lines), ("large.json", one_resource)])
def test_a_large_file_is_read_to_its_end_in_little_memory(tmp_path, name, write):
    path = tmp_path / name
    with path.open("w") as file:
        expected = write(file)
    done = subprocess.run([sys.executable, "-c", READ, path], check=True, capture_output=True, text=True)
    path.unlink()
    count, bad, _, _, peak_kb, _ = done.stdout.split()
    print(f"{name}: {expected:,} queries, peak {int(peak_kb) / 1024:.0f} MB")
    assert (int(count), int(bad)) == (expected, 0)
    assert int(peak_kb) / 1024 <= MOST_MB
