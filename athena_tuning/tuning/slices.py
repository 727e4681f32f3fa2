"""Work that pauses: a generator that yields between slices and returns what it came to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Slice = TypeVar("Slice")
Result = TypeVar("Result")


def run_through(
    slices: Generator[Slice, None, Result], progress: Callable[[Slice], object] | None = None
) -> Result:
    """Return what the work comes to, without a pause; ``progress`` is told what each slice yields.

    Examples:
        >>> def work():
        ...     yield 0.5
        ...     return "done"
        >>> run_through(work(), print)
        0.5
        'done'
    """
    while True:
        try:
            done = next(slices)
        except StopIteration as end:
            result: Result = end.value
            return result
        if progress is not None:
            progress(done)


def paced(slices: Generator[int, None, Result], most: int) -> Generator[None, None, Result]:
    """Join slices that yield how much they did to slices of at least ``most``."""
    done = 0
    while True:
        try:
            done += next(slices)
        except StopIteration as end:
            result: Result = end.value
            return result
        if done >= most:
            yield
            done = 0
