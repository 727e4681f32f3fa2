"""The conformance suite for recognisers of file formats, with files of every format that is built in."""

from __future__ import annotations

import gzip
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from athena_tuning.interchange import Import, Recogniser, registry
from athena_tuning.interchange.registry import Registry
from athena_tuning.interchange.row_source import sample_of
from athena_tuning.interchange.shape import Sample
from athena_tuning.model import QueryMetrics
from athena_tuning.testing.made_requests import MadeFile, Truth, made_requests, truth_of
from athena_tuning.testing.made_tables import made_tables, refused_files
from athena_tuning.testing.made_traces import made_traces

__all__ = ["FormatSuite", "MadeFile", "Truth", "made_files", "made_requests", "mutated", "truth_of"]

_MUTATIONS = 6


@cache
def made_files() -> tuple[MadeFile, ...]:
    """Return files of the formats that are built in, as their tools document them, and what they say."""
    requests = made_requests()
    return (*made_tables(requests), *made_traces(requests), *refused_files())


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a file with something broken: cut, overwritten, doubled, or with something strange put in."""
    at, to = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    match rng.randrange(6):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + content[to:]
        case 2:
            return content[:to] + content[at:]
        case 3:
            noise = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
            return content[:at] + noise + content[at + len(noise) :]
        case 4:
            strange = rng.choice(
                (
                    b"\xff\xfe",
                    b"\0" * 9,
                    b'"',
                    b"{",
                    b"]",
                    b"\n\n",
                    b"1e999",
                    b"-1",
                    b"null",
                    b"NaN",
                    b'{"a":' * 2000,
                )
            )
            return content[:at] + strange + content[at:]
        case _:
            digits = bytearray(content)
            for _ in range(rng.randrange(1, 60)):
                place = rng.randrange(len(digits)) if digits else 0
                if digits[place : place + 1].isdigit():
                    digits[place] = rng.choice(b"0123456789-eE.")
            return bytes(digits)


@cache
def _samples() -> tuple[tuple[MadeFile, Sample, float], ...]:
    """Return a sample of each file that is built in, and how sure its own recogniser is of it."""
    surest = []
    for file in made_files():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file.name)
            path.write_bytes(file.content)
            sample = sample_of(path)
        recognised = registry().named(file.format).recognise(sample)
        assert recognised is not None, file.name
        surest.append((file, sample, recognised.confidence))
    return tuple(surest)


class FormatSuite:
    """What holds for every format; a subclass gives the recogniser and files, and is a test class of pytest.

    Attributes:
        recogniser: of the format.
        files: files of the format, with what they say.

    Examples:
        >>> from athena_tuning.interchange.recognisers import hey
        >>> class TestHey(FormatSuite):
        ...     recogniser = hey.RECOGNISERS[0]
        ...     files = [file for file in made_files() if file.format == "hey"]
        >>> TestHey().test_files_say_what_is_true()
    """

    recogniser: Recogniser
    files: Sequence[MadeFile]

    def test_it_has_files(self) -> None:
        """A format without a file of it is not tested."""
        assert self.files, f"{self.recogniser.name} has no files"

    def test_it_is_taken_for_nothing_else(self) -> None:
        """Its files are known by their content alone, and the reason is said."""
        for file in self.files:
            if file.truth is None:
                continue
            with self._opened(file) as opened:
                assert opened.format == self.recogniser.name, (file.name, opened.format, opened.reason)
                assert opened.reason, file.name
                assert 0.0 < opened.confidence <= 1.0, file.name

    def test_it_takes_no_files_of_others(self) -> None:
        """The files of the other formats that are known stay theirs."""
        for file, sample, confidence in _samples():
            if file.format == self.recogniser.name:
                continue
            recognised = self.recogniser.recognise(sample)
            assert recognised is None or recognised.confidence < confidence, (file.name, recognised.reason)

    def test_files_say_what_is_true(self) -> None:
        """Count, percentiles, outcomes, layers and times are those of the truth, and no row is bad."""
        for file in self.files:
            if file.truth is not None:
                with self._opened(file) as opened:
                    _agrees(file.name, opened, file.truth)

    def test_what_is_refused_is_refused_in_words(self) -> None:
        """A file that is only known to be refused says what it is, and what would do instead."""
        for file in self.files:
            if file.truth is not None:
                continue
            try:
                with self._opened(file):
                    pass
            except ValueError as refusal:
                words = str(refusal)
                assert self.recogniser.name in words, (file.name, words)
                assert len(words.split()) > 12, (file.name, words)
            else:
                raise AssertionError(f"{file.name} was not refused")

    def test_it_reads_the_same_twice_and_packed(self) -> None:
        """Reading is repeatable, and gzip makes no difference."""
        for file in self.files:
            if file.truth is None:
                continue
            with self._opened(file) as opened:
                once, again = list(opened.records()), list(opened.records())
            assert once == again or _texts(once) == _texts(again), file.name
            if file.content.startswith(b"PAR1"):
                continue  # it is packed inside
            with self._opened(file, gzip.compress(file.content)) as packed:
                assert _texts(packed.records()) == _texts(once), file.name

    def test_a_file_that_is_cut_gives_what_was_whole(self) -> None:
        """What came before the cut is there, and nothing is made up."""
        for file in self.files:
            if file.truth is None:
                continue
            try:
                with self._opened(file, file.content[: len(file.content) * 3 // 4]) as opened:
                    count = len(list(opened.records()))
            except ValueError:
                continue  # a file that needs its end, like Parquet
            assert 0 < count <= file.truth.count, (file.name, count)

    def test_broken_files_are_read_or_refused(self) -> None:
        """Whatever is wrong with a file, it is said: no other exception than ``ValueError``, and no hang."""
        rng = random.Random(self.recogniser.name)
        for file in self.files:
            for _ in range(_MUTATIONS):
                content = mutated(file.content, rng)
                try:
                    with self._opened(file, content) as opened:
                        for record in opened.records():
                            assert record.latency_ms is None or record.latency_ms >= 0, file.name
                except ValueError:
                    continue

    @contextmanager
    def _opened(self, file: MadeFile, content: bytes | None = None) -> Iterator[Import]:
        known = registry()
        if self.recogniser not in known.recognisers:
            known = Registry((self.recogniser, *known.recognisers))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file.name)
            path.write_bytes(file.content if content is None else content)
            yield Import(path, formats=known)


def _agrees(name: str, opened: Import, truth: Truth) -> None:
    records = list(opened.records())
    assert opened.report.bad == 0, (name, opened.report.problems[:3])
    assert len(records) == truth.count, (name, len(records), truth.count)
    took = sorted(m.latency_ms for m in records if m.latency_ms is not None)
    if truth.p50_ms is None or truth.p99_ms is None:
        assert not took, name
    else:
        assert len(took) == truth.count, (name, len(took))
        middle = (took[(len(took) - 1) // 2] + took[len(took) // 2]) / 2
        assert abs(middle - truth.p50_ms) <= truth.within_ms, (name, middle, truth.p50_ms)
        high = took[int(0.99 * len(took))]
        assert abs(high - truth.p99_ms) <= truth.within_ms, (name, high, truth.p99_ms)
    assert sum(m.success is True for m in records) == truth.succeeded, name
    assert sum(m.success is False for m in records) == truth.failed, name
    starts = [m.timestamp for m in records]
    assert abs(min(starts) - truth.first) <= truth.within_s, (name, min(starts), truth.first)
    assert abs(max(starts) - truth.last) <= truth.within_s, (name, max(starts), truth.last)
    layers = {layer for m in records for layer in m.layers_queried}
    assert layers == truth.layers, (name, layers)
    timed = {layer for m in records for layer in m.layer_latencies}
    assert timed <= truth.layers, (name, timed)


def _texts(records: Iterator[QueryMetrics] | list[QueryMetrics]) -> list[str]:
    """Return records as texts: a figure that is unknown is not equal to itself."""
    return [repr(record) for record in records]
