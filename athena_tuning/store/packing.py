"""How columns become bytes: numbers relative to their smallest in the fewest bytes, texts once each."""

from __future__ import annotations

import math
import struct
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WIDTHS = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_SCALE = 1_000_000  # decimal digits that a scaled number keeps: of ms the ns, of s the µs
_LARGEST = 2**53 // _SCALE  # above it a float cannot hold these digits
_SCALED, _UNKNOWN, _SAME, _COARSE = 1, 2, 4, 8  # bits of a float column's kind
_COARSE_SCALE = 1_000
_COLUMN = struct.Struct("<Bq")  # bytes a number, smallest number
_CONSTANT = struct.Struct("<Bd")


class Packer:
    """Writes columns one after the other. ``Unpacker`` reads them in the same order.

    Small batches are what matters: so columns come as Python has them, and what is cheaper without numpy
    (columns of one value, of small numbers) never becomes an array.

    Examples:
        >>> out = Packer()
        >>> out.ints([1000, 1003, 1001])
        >>> out.floats([1.5, None])
        (nan, nan)
        >>> source = Unpacker(out.packed())
        >>> source.ints(3).tolist(), source.floats(2).tolist()
        ([1000, 1003, 1001], [1.5, nan])
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def packed(self) -> bytes:
        """Return everything written so far."""
        return b"".join(self._parts)

    def raw(self, data: bytes) -> None:
        """Write bytes whose length the reader knows."""
        self._parts.append(data)

    def ints(self, values: Sequence[int] | Ints) -> None:
        """Write whole numbers relative to their smallest, in the fewest bytes; equal ones take none.

        Raises:
            TypeError: if a value is no whole number.
            struct.error: if one does not fit into eight bytes.
        """
        if not len(values):
            return
        if isinstance(values, np.ndarray):
            self._relative(values, int(values.min()), int(values.max()))
            return
        try:
            small = bytes(values)
        except ValueError:
            wide = np.frombuffer(struct.pack(f"{len(values)}q", *values), np.int64)
            self._relative(wide, int(wide.min()), int(wide.max()))
            return
        if small.count(small[:1]) == len(small):
            self._parts.append(_COLUMN.pack(0, small[0]))
        else:
            self._parts += (_COLUMN.pack(1, 0), small)

    def floats(self, values: Sequence[float | None] | Floats, *, exact: bool = False) -> tuple[float, float]:
        """Write numbers, of which some may be unknown: None or NaN.

        They are kept to six decimals (of ms: to the nanosecond), and where three are enough to three. What
        does not fit so, or with ``exact`` would lose something, is written as it is.

        Returns:
            The smallest and the largest, NaN if one is unknown or there is none.

        Raises:
            TypeError, ValueError, struct.error: if a value is no number.
        """
        if not len(values):
            return math.nan, math.nan
        if isinstance(values, np.ndarray):
            numbers = values
        elif values.count(values[0]) == len(values):
            return self._constant(values[0], exact)
        elif None in values:
            numbers = np.array(values, np.float64)
        else:
            numbers = np.frombuffer(struct.pack(f"{len(values)}d", *values))
        low, high = float(numbers.min()), float(numbers.max())
        if low == high:
            return self._constant(float(numbers[0]), exact)
        kind, known, ends = 0, numbers, (low, high)
        if math.isnan(low):
            kind, unknown = _UNKNOWN, np.isnan(numbers)
            if bool(unknown.all()):
                return self._constant(math.nan, exact)
            known = np.where(unknown, 0.0, numbers)
            ends = float(known.min()), float(known.max())
        scaled = self._scaled(known, ends, exact)
        kind |= 0 if scaled is None else _SCALED | (_COARSE if scaled[1] == _COARSE_SCALE else 0)
        self._parts.append(bytes((kind,)))
        if kind & _UNKNOWN:
            self._parts.append(np.packbits(unknown).tobytes())
        if scaled is None:
            self._parts.append(known.astype("<f8").tobytes())
        else:
            self._relative(scaled[0], *(round(end * scaled[1]) for end in ends))
        return low, high

    def strings(self, values: Sequence[str]) -> None:
        """Write texts.

        Raises:
            TypeError: if a value is no text.
        """
        encoded = [_encoded(value) for value in values]
        self._parts.append(struct.pack("<I", len(encoded)))
        self.ints(list(map(len, encoded)))
        self._parts.extend(encoded)

    def _constant(self, value: float | None, exact: bool) -> tuple[float, float]:
        kept = math.nan if value is None else value
        if not exact and abs(kept) < _LARGEST:
            kept = round(kept * _SCALE) / _SCALE
        self._parts.append(_CONSTANT.pack(_SAME, kept))
        return kept, kept

    @staticmethod
    def _scaled(known: Floats, ends: tuple[float, float], exact: bool) -> tuple[Floats, int] | None:
        """Return the numbers as whole ones, and by what they were multiplied; None if they do not fit.

        Args:
            known: the numbers.
            ends: the smallest and the largest of them.
            exact: whether nothing may be lost.
        """
        if not max(map(abs, ends)) < _LARGEST:
            return None
        coarse = np.rint(known * _COARSE_SCALE)
        if coarse[0] / _COARSE_SCALE == known[0] and bool((coarse / _COARSE_SCALE == known).all()):
            return coarse, _COARSE_SCALE
        fine = np.rint(known * _SCALE)
        if exact and not bool((fine / _SCALE == known).all()):
            return None
        return fine, _SCALE

    def _relative(self, whole: Ints | Floats, low: int, high: int) -> None:
        """Write whole numbers relative to ``low``; floats among them are below 2**53."""
        span = high - low
        if span == 0:
            self._parts.append(_COLUMN.pack(0, low))
            return
        width = 1 if span < 1 << 8 else 2 if span < 1 << 16 else 4 if span < 1 << 32 else 8
        self._parts += (_COLUMN.pack(width, low), (whole - low).astype(_WIDTHS[width]).tobytes())


class Unpacker:
    """Reads what a ``Packer`` wrote.

    Raises:
        ValueError: from every method, if the bytes end too early or make no sense.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def raw(self, size: int) -> bytes:
        """Read so many bytes."""
        end = self._at + size
        if end > len(self._data):
            raise ValueError(f"cut short: {end} bytes are needed, {len(self._data)} are there")
        part = self._data[self._at : end]
        self._at = end
        return part

    def ints(self, n: int) -> Ints:
        """Read ``n`` whole numbers."""
        if not n:
            return np.zeros(0, np.int64)
        width, low = _COLUMN.unpack(self.raw(_COLUMN.size))
        if width == 0:
            return np.full(n, low, np.int64)
        if width not in _WIDTHS:
            raise ValueError(f"damaged: numbers of {width} bytes")
        values = np.frombuffer(self.raw(n * width), _WIDTHS[width]).astype(np.int64)
        values += low
        return values

    def floats(self, n: int) -> Floats:
        """Read ``n`` numbers that may be NaN."""
        if not n:
            return np.zeros(0)
        kind = self.raw(1)[0]
        if kind & _SAME:
            return np.full(n, struct.unpack("<d", self.raw(8))[0])
        unknown = np.frombuffer(self.raw((n + 7) // 8), np.uint8) if kind & _UNKNOWN else None
        if kind & _SCALED:
            values = self.ints(n) / (_COARSE_SCALE if kind & _COARSE else _SCALE)
        else:
            values = np.frombuffer(self.raw(8 * n), "<f8").astype(np.float64)
        if unknown is not None:
            values[np.unpackbits(unknown, count=n).astype(bool)] = np.nan
        return values

    def strings(self) -> list[str]:
        """Read texts."""
        (n,) = struct.unpack("<I", self.raw(4))
        lengths = self.ints(n).tolist()
        return [str(self.raw(length), "utf-8", "surrogatepass") for length in lengths]


def numbered(values: Sequence[Hashable]) -> tuple[list[Any], Sequence[int]]:
    """Return the distinct values, in order of appearance, and each value's place among them.

    Examples:
        >>> numbered(["b", "a", "b"])
        (['b', 'a'], [0, 1, 0])
    """
    distinct = dict.fromkeys(values)
    if len(distinct) == 1:
        return list(distinct), bytes(len(values))
    places = {value: place for place, value in enumerate(distinct)}
    return list(distinct), list(map(places.__getitem__, values))


def _encoded(value: str) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value.encode("utf-8", "surrogatepass")
