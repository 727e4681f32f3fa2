"""A day in seconds from a terminal: into the store or a file, always marked as simulated."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from athena_tuning.interchange import Import
from athena_tuning.store import open_store
from tests.support import command_line


def run(*args: str) -> Result:
    return command_line.run("forward", "--hours", "0.2", *args)


def test_simulated_recalls_are_in_the_store_and_say_so(home: Path) -> None:
    told = json.loads(run("--rate", "2", "--json").stdout)
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        records = store.tail_metrics().records
    assert len(records) == told["recalls"] > 1000
    assert {m.source for m in records} == {told["source"]}
    assert told["source"].startswith("simulated:")


def test_a_lower_limit_makes_the_simulated_recalls_slower_and_an_overload_refused(home: Path) -> None:
    p50, refused = [], []
    for limit in ("1", "2", "40"):
        path = home / f"{limit}.jsonl"
        done = run("--rate", "8", "--evidence", "slow", "--max-concurrent", limit, "--out", str(path))
        assert done.exit_code == 0, done.stderr
        assert "simulated recalls" in done.stdout
        records = list(Import(path).records())
        waits = sorted(m.latency_ms for m in records if not m.cache_hit and m.latency_ms is not None)
        p50.append(waits[len(waits) // 2])
        refused.append(sum(m.latency_ms is None for m in records) / len(records))
    assert p50[0] > 2 * p50[2]
    assert refused[0] > refused[1] > refused[2] == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--evidence", "nowhere"), 1, "no sample workload 'nowhere'"),
        (("--rate", "100000"), 2, "above 20,000,000"),
        (("--rate", "5000"), 1, "at most 1,000,000"),
        (("--mix", "gossip"), 2, "none of temporal"),
        (("--out", "x.txt"), 1, "the ending is the format"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_a_sentence(args: tuple[str, ...], code: int, said: str) -> None:
    done = run(*args)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr
