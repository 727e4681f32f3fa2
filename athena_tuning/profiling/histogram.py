"""Latencies counted so that percentiles can be merged: log-linear buckets from the float's own bits."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SUB_BUCKETS = 64
"""Buckets an octave: a bucket is at most 1/64 = 1.6 % wide."""

_LOWEST = -20  # 2^-20 ms is a nanosecond; what is below shares bucket 0
_HIGHEST = 32  # 2^32 ms are 50 days; what is above shares the last bucket
_SHIFT = 46  # of a float's 52 mantissa bits the upper 6 choose the bucket
_BIAS = ((1023 + _LOWEST) << 6) - 1
_LAST = ((_HIGHEST - _LOWEST) << 6) + 1

BUCKETS = _LAST + 1

_VERSION = 1
_HEAD = struct.Struct("<BBBHI")  # version, gap width, count width, first bucket, buckets
_WIDTHS: dict[int, str] = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
FRACTION_BITS = 40  # sums are whole multiples of 2^-40 ms: adding and taking away leaves nothing behind


def bucket_of(ms: Floats) -> Ints:
    """Return the bucket of each latency (ms, not negative, not NaN): 0 to 3,329, ordered as the latencies."""
    raw = (ms.view(np.int64) >> _SHIFT) - _BIAS
    np.maximum(raw, 0, out=raw)
    np.minimum(raw, _LAST, out=raw)
    return raw


def bucket_of_one(ms: float) -> int:
    """Return the bucket of one latency; the same as ``bucket_of``, without an array."""
    mantissa, exponent = math.frexp(ms)
    bucket = ((exponent - 1 - _LOWEST) << 6) + int(mantissa * 128) - 63 if mantissa else 0
    return min(max(bucket, 0), _LAST)


def bucket_bounds(bucket: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the lower (included) and upper (excluded) bound of each bucket in ms."""
    index = np.asarray(bucket, np.int64)
    low = ((index + _BIAS) << _SHIFT).view(np.float64)
    high = ((index + _BIAS + 1) << _SHIFT).view(np.float64)
    return np.where(index == 0, 0.0, low), high


def bounds_of_one(bucket: int) -> tuple[float, float]:
    """Return the bounds of one bucket; the same as ``bucket_bounds``, without an array."""
    octave, part = divmod(bucket - 1, SUB_BUCKETS)
    low = math.ldexp(1 + part / SUB_BUCKETS, octave + _LOWEST)
    high = math.ldexp(1 + (part + 1) / SUB_BUCKETS, octave + _LOWEST)
    return (low, high) if bucket else (0.0, high)


def exact_sum(ms: Floats) -> int:
    """Return the sum in multiples of 2^-40 ms as a whole number, the same in whatever order one adds."""
    whole = np.floor(ms)
    fraction = ((ms - whole) * (1 << FRACTION_BITS)).astype(np.int64)
    return (int(whole.sum()) << FRACTION_BITS) + int(fraction.sum())


def exact(ms: float) -> int:
    """Return one latency in multiples of 2^-40 ms, as ``exact_sum`` counts it."""
    whole = int(ms)
    return (whole << FRACTION_BITS) + int((ms - whole) * (1 << FRACTION_BITS))


class LatencyHistogram:
    """Counts of latencies in buckets at most 1.6 % wide, 64 an octave, from a nanosecond to 50 days.

    The bucket is read from the float's exponent and upper mantissa bits, so nothing is computed and nothing
    configured; two histograms always fit together. ``merge`` adds counts: it is associative and commutative,
    and a percentile of the merged histogram is the percentile of all values together, which an average of
    percentiles never is. A quantile is interpolated within its bucket: the error is at most the bucket's
    width (1.6 %), on smooth data about a tenth of it.

    Example:
        >>> a, b = LatencyHistogram(), LatencyHistogram()
        >>> a.add(10.0, n=99)
        >>> b.add(1000.0)
        >>> both = a.merge(b)
        >>> both.count, round(both.mean, 1), 990 < both.quantile(0.99) < 1010
        (100, 19.9, True)
    """

    __slots__ = ("_counts", "_exact_sum", "_first", "count")

    def __init__(self) -> None:
        self.count = 0
        self._exact_sum = 0
        self._first = 0
        self._counts: Ints = np.zeros(0, np.int64)

    @property
    def sum(self) -> float:
        """All latencies together in ms."""
        return self._exact_sum / (1 << FRACTION_BITS)

    @property
    def mean(self) -> float:
        """Average latency in ms; NaN when empty."""
        return self.sum / self.count if self.count else float("nan")

    def add(self, ms: float, n: int = 1) -> None:
        """Count one latency ``n`` times; a negative ``n`` takes it away again.

        Raises:
            ValueError: if ``ms`` is negative, NaN or infinite.
        """
        if not 0 <= ms < math.inf:
            raise ValueError(f"a latency is a finite number of ms, at least 0, not {ms}")
        self.add_bucket(bucket_of_one(ms), n, n * exact(ms))

    def add_many(self, ms: npt.ArrayLike) -> None:
        """Count every latency of an array.

        Raises:
            ValueError: if one is negative, NaN or infinite; nothing is counted then.
        """
        values = np.ascontiguousarray(ms, np.float64).ravel()
        _check(values)
        if len(values):
            self.add_buckets(bucket_of(values), 1, exact_sum(values))

    def count_many(self, ms: Floats, sign: int) -> None:
        """Add latencies that were checked before (+1), or take them away again (−1)."""
        known = ms[~np.isnan(ms)]
        if len(known):
            self.add_buckets(bucket_of(known), sign, sign * exact_sum(known))

    def add_bucket(self, bucket: int, n: int, total: int) -> None:
        """Count one value ``n`` times whose bucket and exact sum (times ``n``) are known already."""
        place = bucket - self._first
        if not 0 <= place < len(self._counts):
            self._reach(bucket, bucket)
            place = bucket - self._first
        self._counts[place] += n
        self.count += n
        self._exact_sum += total

    def add_buckets(self, buckets: Ints, sign: int, total: int) -> None:
        """Count values whose buckets and exact sum are known already; for callers that need both anyway.

        Args:
            buckets: from ``bucket_of``, at least one.
            sign: how often each counts; negative takes them away.
            total: from ``exact_sum``, times ``sign``.
        """
        self._reach(int(buckets.min()), int(buckets.max()))
        if len(buckets) > 256:
            counted = np.bincount(buckets - self._first, minlength=len(self._counts))
            self._counts += sign * counted
        else:
            np.add.at(self._counts, buckets - self._first, sign)
        self.count += sign * len(buckets)
        self._exact_sum += total

    def merge(self, other: LatencyHistogram) -> LatencyHistogram:
        """Return a new histogram of both."""
        return LatencyHistogram.merged((self, other))

    @classmethod
    def merged(cls, histograms: Iterable[LatencyHistogram]) -> Self:
        """Return a new histogram of all."""
        result = cls()
        for histogram in histograms:
            result._absorb(histogram)
        return result

    def quantile(self, q: float) -> float:
        """Return the latency in ms of which about the share ``q`` (0 to 1) is below; NaN when empty."""
        (rank,) = ranks_of((q,), self.count)
        return self._interpolated(*self.locate((rank,))[0]) if self.count else math.nan

    def quantiles(self, qs: Sequence[float]) -> Floats:
        """Return several quantiles in ms: the value of rank ``int(q · count)``, interpolated in its bucket.

        Raises:
            ValueError: if a ``q`` is not within 0 to 1.
        """
        ranks = ranks_of(qs, self.count)
        if not self.count:
            return np.full(len(qs), np.nan)
        return np.array([self._interpolated(bucket, rank) for bucket, rank in self.locate(ranks)])

    def _interpolated(self, bucket: int, rank: int) -> float:
        """Return where in its bucket a value lies, as if all of the bucket lay evenly in it."""
        low, high = bounds_of_one(bucket)
        return low + (rank + 0.5) / self._counts.item(bucket - self._first) * (high - low)

    def locate(self, ranks: Sequence[int]) -> list[tuple[int, int]]:
        """Return each rank's bucket and the rank within that bucket."""
        counts, first = self._counts, self._first
        cumulated = counts.cumsum()
        places = []
        for rank, place in zip(ranks, cumulated.searchsorted(ranks, side="right").tolist(), strict=True):
            before = cumulated.item(place) - counts.item(place)
            places.append((place + first, rank - before))
        return places

    def neighbours(self, buckets: Iterable[int], most: int) -> list[int]:
        """Return these buckets and those beside them, ascending: on each side up to ``most`` values."""
        wanted = set(buckets)
        for bucket in list(wanted):
            for step in (-1, 1):
                beside, values = bucket + step, 0
                while self._first <= beside < self._first + len(self._counts):
                    values += int(self._counts[beside - self._first])
                    if values > most:
                        break
                    wanted.add(beside)
                    beside += step
        return sorted(wanted)

    def buckets(self) -> tuple[Ints, Ints]:
        """Return the buckets that hold something, ascending, and their counts."""
        index = np.flatnonzero(self._counts)
        return index + self._first, self._counts[index]

    def to_bytes(self) -> bytes:
        """Return a compact form: a version byte, then bucket gaps and counts in the fewest bytes that fit."""
        index, counts = self.buckets()
        gaps = np.diff(index, prepend=index[:1])
        gap_width, count_width = _width(gaps), _width(counts)
        first = int(index[0]) if len(index) else 0
        head = _HEAD.pack(_VERSION, gap_width, count_width, first, len(index))
        total = self._exact_sum.to_bytes(16, "little")
        body = gaps.astype(_WIDTHS[gap_width]).tobytes() + counts.astype(_WIDTHS[count_width]).tobytes()
        return head + total + body

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Make a histogram from what ``to_bytes`` gave.

        Raises:
            ValueError: if the bytes are of another version, cut short or inconsistent.
        """
        result = cls()
        result.add_bytes(blob)
        return result

    def add_bytes(self, blob: bytes) -> None:
        """Merge what ``to_bytes`` gave into this histogram, without an object in between.

        Raises:
            ValueError: if the bytes are of another version, cut short or inconsistent; nothing is added then.
        """
        if len(blob) < _HEAD.size + 16:
            raise ValueError(f"a histogram has at least {_HEAD.size + 16} bytes, not {len(blob)}")
        version, gap_width, count_width, first, n = _HEAD.unpack_from(blob)
        if version != _VERSION:
            raise ValueError(f"histogram of version {version}; this program reads version {_VERSION}")
        at = _HEAD.size + 16
        if gap_width not in _WIDTHS or count_width not in _WIDTHS:
            raise ValueError(f"histogram with numbers of {gap_width} and {count_width} bytes")
        if len(blob) != at + n * (gap_width + count_width):
            raise ValueError(f"histogram of {n} buckets has {len(blob)} bytes: cut short or damaged")
        if not n:
            return
        index = np.frombuffer(blob, _WIDTHS[gap_width], n, at).cumsum(dtype=np.int64) + first
        if index[-1] > _LAST:
            raise ValueError(f"histogram bucket {index[-1]} is beyond the last one, {_LAST}")
        counts = np.frombuffer(blob, _WIDTHS[count_width], n, at + n * gap_width).astype(np.int64)
        self._reach(first, int(index[-1]))
        self._counts[index - self._first] += counts
        self.count += int(counts.sum())
        self._exact_sum += int.from_bytes(blob[_HEAD.size : at], "little")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LatencyHistogram):
            return NotImplemented
        mine, theirs = self.buckets(), other.buckets()
        same = self.count == other.count and self._exact_sum == other._exact_sum
        return same and np.array_equal(mine[0], theirs[0]) and np.array_equal(mine[1], theirs[1])

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"LatencyHistogram(count={self.count}, mean={self.mean:.3g} ms)"

    def __reduce__(self) -> tuple[Any, ...]:
        return (LatencyHistogram.from_bytes, (self.to_bytes(),))

    def _absorb(self, other: LatencyHistogram) -> None:
        if len(other._counts):
            self._reach(other._first, other._first + len(other._counts) - 1)
            start = other._first - self._first
            self._counts[start : start + len(other._counts)] += other._counts
        self.count += other.count
        self._exact_sum += other._exact_sum

    def _reach(self, low: int, high: int) -> None:
        """Widen the held range so that it includes buckets ``low`` to ``high``."""
        held = len(self._counts)
        if held and self._first <= low and high < self._first + held:
            return
        first = min(low, self._first) if held else low
        last = max(high, self._first + held - 1) if held else high
        counts = np.zeros(last - first + 1, np.int64)
        counts[self._first - first : self._first - first + held] = self._counts
        self._first, self._counts = first, counts


def ranks_of(qs: Sequence[float], count: int) -> list[int]:
    """Return the rank of each quantile among ``count`` sorted values: ``int(q · count)``, at most the last.

    Raises:
        ValueError: if a ``q`` is not within 0 to 1.
    """
    for q in qs:
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is within 0 to 1, not {q}")
    return [min(int(q * count), count - 1) for q in qs]


def _check(values: Floats) -> None:
    good = (values >= 0) & (values < np.inf)
    if not good.all():
        raise ValueError(f"a latency is a finite number of ms, at least 0, not {values[~good][0]}")


def _width(numbers: Ints) -> int:
    largest = int(numbers.max()) if len(numbers) else 0
    return 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4 if largest < 1 << 32 else 8
