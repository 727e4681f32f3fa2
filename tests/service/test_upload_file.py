"""A file that somebody brings: bounded, read as they say, stored once, and by operators only."""

from __future__ import annotations

import gzip
import time

import pytest

from athena_tuning.interchange import ImportRefused
from athena_tuning.service import upload_file, window_reads
from athena_tuning.service.roles import NotAllowed
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.upload_file import Upload, UploadReading, import_upload, preview
from athena_tuning.service.view import View
from tests.support.dashboard import OPERATOR, VIEWER


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Notes of imports go into a folder of the test's own."""
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path_factory.mktemp("home")))


def table(rows: int, *, bad: int = 0) -> bytes:
    now = time.time()
    good = [f"{now - rows + i:.3f},{1500 + i},/search" for i in range(rows)]
    return "\n".join(["ts,took_us,endpoint", *good, *["never,1,/x"] * bad]).encode()


def reading(**corrections: str) -> UploadReading:
    return UploadReading(corrections=tuple(corrections.items()))


def test_what_is_not_in_the_file_stays_unknown() -> None:
    seen = preview(Upload("log.csv", table(30)))
    assert seen.trouble is None
    first = seen.records[0]
    assert (first.query_type, first.latency_ms) == ("/search", 1.5)
    assert (first.success, first.cache_hit, first.layers_queried) == (None, None, [])


def test_a_mapping_is_corrected_and_one_without_a_time_is_told_not_raised() -> None:
    upload = Upload("log.csv", table(5))
    assert preview(upload, reading(latency_unit="ms")).records[0].latency_ms == 1500
    assert preview(upload, reading(query_type="", query_text="endpoint")).records[0].query_text == "/search"
    without = preview(upload, reading(start=""))
    assert without.records == []
    assert without.trouble is not None
    assert "no column says when" in without.trouble


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "empty"),
        ("photo.csv", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "picture"),
        ("big.csv", b"x" * ((upload_file.MOST_MB << 20) + 1), "command line"),
        ("wide.csv", b",".join(b"c%d" % i for i in range(300)) + b"\n" + b",".join([b"1"] * 300), "200"),
        ("bomb.csv.gz", gzip.compress(b"a,b\n" + b"0" * (120 << 20)), "bytes come out"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_with_the_reason(name: str, content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        preview(Upload(name, content))


def test_a_name_cannot_leave_its_folder() -> None:
    upload = Upload("../../etc/passwd.csv", table(2))
    assert upload.path.name == "passwd.csv"
    assert upload.path.parent.name.startswith("athena-upload-")


def test_an_operator_imports_a_file_once_and_sees_it_marked(service: TuningService) -> None:
    upload = Upload("log.csv", table(40, bad=2))
    came = import_upload(service, OPERATOR, upload, preview(upload).opened)
    assert (came.report.records, came.report.bad, came.earlier) == (40, 2, None)
    alone = frozenset({f"imported:{came.batch}"})
    view = View(service.now - 3600, service.now + 5, sources=alone)
    assert window_reads.sources(service.window, view) == {"imported": 40}
    assert window_reads.summary(service.window, view).cache_known == 0
    again = import_upload(service, OPERATOR, upload, preview(upload).opened)
    assert again.earlier is not None
    assert window_reads.summary(service.window, view).count == 40
    assert "40 queries imported from log.csv" in [note.text for note in service.store.annotations()]


def test_a_file_with_a_bad_row_or_too_many_rows_leaves_nothing_behind(
    service: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, long = Upload("log.csv", table(9, bad=1)), Upload("log.csv", table(9000))
    with pytest.raises(ImportRefused):
        import_upload(service, OPERATOR, bad, preview(bad, UploadReading(whole=True)).opened)
    monkeypatch.setattr(upload_file, "MOST_ROWS", 3000)
    with pytest.raises(ValueError, match="more than 3,000 rows"):
        import_upload(service, OPERATOR, long, preview(long).opened)
    assert not service.store.tail_metrics().records


def test_a_viewer_imports_nothing(service: TuningService) -> None:
    upload = Upload("log.csv", table(9))
    with pytest.raises(NotAllowed):
        import_upload(service, VIEWER, upload, preview(upload).opened)
    assert not service.store.tail_metrics().records
