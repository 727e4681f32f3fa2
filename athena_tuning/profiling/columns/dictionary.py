"""Texts and names are kept once: values to small numbers and back, counted, so that unused ones vanish."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=Hashable)
Ids = npt.NDArray[np.int64]


class Dictionary(Generic[T]):
    """Gives each distinct value a small number and counts the records that use it.

    A number whose count falls to zero is free: its value is forgotten and the number is used again. So
    memory follows the window, and numbers stay as small as the window's variety. ``edition`` grows when a
    number gets or loses its value.

    Examples:
        >>> texts = Dictionary[str]()
        >>> wanted = ["a", "b", "a"]
        >>> ids = texts.enter(wanted, texts.look_up(wanted))
        >>> texts.count_in(ids)
        >>> texts.forget(texts.count_out(ids[1:2]))
        >>> texts.used()
        ['a']
    """

    def __init__(self) -> None:
        self.edition = 0
        self._values: list[T | None] = []
        self._ids: dict[T, int] = {}
        self._counts: Ids = np.zeros(16, np.int64)
        self._free: list[int] = []

    def __len__(self) -> int:
        """How many numbers were given out, free ones included."""
        return len(self._values)

    def __getitem__(self, number: int) -> T:
        """Return the value of a number that is in use."""
        return self._values[number]  # type: ignore[return-value]  # only a free number has none

    def get(self, value: T) -> int | None:
        """Return the number of a value, or None if no record uses it."""
        return self._ids.get(value)

    def id_of(self, value: T) -> int:
        """Return the number of a value, a new one if it has none yet."""
        number = self._ids.get(value)
        return self._enter(value) if number is None else number

    def look_up(self, values: Sequence[T]) -> Ids:
        """Return the numbers of at least one value, -1 where a value has none yet."""
        first = values[0]
        if values[-1] is first and values.count(first) == len(values):
            return np.full(len(values), self._ids.get(first, -1), np.int64)
        return np.fromiter(map(self._ids.get, values, repeat(-1)), np.int64, len(values))

    def enter(self, values: Sequence[T], ids: Ids) -> Ids:
        """Give a number to each value of which ``ids`` says -1; return ``ids`` with these filled in."""
        for place in np.flatnonzero(ids < 0).tolist():
            ids[place] = self.id_of(values[place])
        return ids

    def count_in(self, ids: Ids) -> None:
        """Count a use of each number."""
        np.add.at(self._counts, ids, 1)

    def count_one(self, number: int, sign: int) -> bool:
        """Count a use of one number (+1) or take it away (−1); return whether nothing uses it any more."""
        self._counts[number] += sign
        return not self._counts[number]

    def count_out(self, ids: Ids) -> list[int]:
        """Take away a use of each number; return the numbers that nothing uses any more."""
        np.subtract.at(self._counts, ids, 1)
        return list(set(ids[self._counts[ids] == 0].tolist()))

    def forget(self, numbers: Iterable[int]) -> None:
        """Free numbers that nothing uses, with their values; one that came into use again is kept."""
        for number in numbers:
            value = self._values[number]
            if self._counts[number] or self._ids.get(value) != number:  # type: ignore[arg-type]
                continue
            self.edition += 1
            del self._ids[value]  # type: ignore[arg-type]
            self._values[number] = None
            self._free.append(number)

    def items(self) -> Iterator[tuple[int, T]]:
        """Yield number and value of all that is not forgotten."""
        return ((number, value) for value, number in self._ids.items())

    def used(self) -> list[T]:
        """Return the values that records use."""
        return [value for value, number in self._ids.items() if self._counts[number]]

    def _enter(self, value: T) -> int:
        if self._free:
            number = self._free.pop()
            self._values[number] = value
        else:
            number = len(self._values)
            self._values.append(value)
            if number == len(self._counts):
                self._counts = np.concatenate([self._counts, np.zeros(number, np.int64)])
        self._ids[value] = number
        self.edition += 1
        return number
