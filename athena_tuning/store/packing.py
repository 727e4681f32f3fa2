"""How columns become bytes: numbers relative to their smallest in the fewest bytes, texts once each."""

from __future__ import annotations

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
_PLAIN, _SCALED, _UNKNOWN = 0, 1, 2  # bits of a float column's kind


class Packer:
    """Writes columns one after the other. ``Unpacker`` reads them in the same order.

    Example:
        >>> out = Packer()
        >>> out.ints(np.array([1000, 1003, 1001]))
        >>> out.floats(np.array([1.5, np.nan]))
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

    def ints(self, values: Ints) -> None:
        """Write whole numbers relative to their smallest, in the fewest bytes; equal ones take none."""
        if not len(values):
            return
        low = int(values.min())
        span = int(values.max()) - low
        if span == 0:
            self._parts.append(struct.pack("<Bq", 0, low))
            return
        width = 1 if span < 1 << 8 else 2 if span < 1 << 16 else 4 if span < 1 << 32 else 8
        self._parts.append(struct.pack("<Bq", width, low))
        self._parts.append((values - low).astype(_WIDTHS[width]).tobytes())

    def floats(self, values: Floats, *, exact: bool = False) -> None:
        """Write numbers that may be NaN.

        They are kept to six decimals (of ms: to the nanosecond). What does not fit so, or with ``exact``
        would lose something, is written as it is.
        """
        unknown = np.isnan(values)
        kind = _UNKNOWN if unknown.any() else _PLAIN
        known = np.where(unknown, 0.0, values) if kind else values
        if len(known) == 0 or float(np.abs(known).max()) < _LARGEST:
            scaled = np.rint(known * _SCALE).astype(np.int64)
            if not exact or bool((scaled / _SCALE == known).all()):
                self._kind_and_mask(kind | _SCALED, unknown)
                self.ints(scaled)
                return
        self._kind_and_mask(kind, unknown)
        self._parts.append(known.astype("<f8").tobytes())

    def strings(self, values: Sequence[str]) -> None:
        """Write texts.

        Raises:
            TypeError: if a value is no text.
        """
        encoded = [_encoded(value) for value in values]
        self._parts.append(struct.pack("<I", len(encoded)))
        self.ints(np.array([len(text) for text in encoded], np.int64))
        self._parts.extend(encoded)

    def _kind_and_mask(self, kind: int, unknown: npt.NDArray[np.bool_]) -> None:
        self._parts.append(bytes([kind]))
        if kind & _UNKNOWN:
            self._parts.append(np.packbits(unknown).tobytes())


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
        width, low = struct.unpack("<Bq", self.raw(9))
        if width == 0:
            return np.full(n, low, np.int64)
        if width not in _WIDTHS:
            raise ValueError(f"damaged: numbers of {width} bytes")
        values = np.frombuffer(self.raw(n * width), _WIDTHS[width]).astype(np.int64)
        values += low
        return values

    def floats(self, n: int) -> Floats:
        """Read ``n`` numbers that may be NaN."""
        kind = self.raw(1)[0]
        unknown = np.frombuffer(self.raw((n + 7) // 8), np.uint8) if kind & _UNKNOWN else None
        if kind & _SCALED:
            values = self.ints(n) / _SCALE
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


def numbered(values: Sequence[Hashable]) -> tuple[list[Any], Ints]:
    """Return the distinct values, in order of appearance, and each value's place among them.

    Example:
        >>> numbered(["b", "a", "b"])
        (['b', 'a'], array([0, 1, 0]))
    """
    distinct = dict.fromkeys(values)
    if len(distinct) == 1:
        return list(distinct), np.zeros(len(values), np.int64)
    places = {value: place for place, value in enumerate(distinct)}
    return list(distinct), np.fromiter(map(places.__getitem__, values), np.int64, len(values))


def _encoded(value: str) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value.encode("utf-8", "surrogatepass")
