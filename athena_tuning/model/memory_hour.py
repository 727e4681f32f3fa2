"""What a layer took of memory within an hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class MemoryHour:
    """What one layer took of memory within an hour, or what several of these say together.

    Attributes:
        start: Unix seconds.
        layer: its name.
        index_bytes: of its index in the memory file, as it was last; None where nobody knows.
        returned_bytes: of the items that it gave sampled recalls, written as JSON, all together.
        returned: how many recalls those are.
        peak_bytes: most Python memory that a sampled call took with no other task in flight, or None.
        peaks: how many samples of the peak there are.

    Examples:
        >>> hours = MemoryHour(0, "graph", 4096, 300, 2), MemoryHour(3600, "graph", 8192, 600, 1, 70, 1)
        >>> whole = MemoryHour.joined(hours)
        >>> whole.index_bytes, whole.mean_returned_bytes, whole.peak_bytes
        (8192, 300.0, 70)
    """

    start: int
    layer: str
    index_bytes: int | None = None
    returned_bytes: int = 0
    returned: int = 0
    peak_bytes: int | None = None
    peaks: int = 0

    @property
    def mean_returned_bytes(self) -> float | None:
        """Bytes that it gave a recall; None where nobody knows."""
        return self.returned_bytes / self.returned if self.returned else None

    @classmethod
    def joined(cls, hours: Iterable[Self]) -> Self:
        """Return what hours of one layer, at least one, say together.

        Of one hour the largest index counts: workers may share a file.
        """
        known = sorted(hours, key=lambda hour: (hour.start, hour.index_bytes or 0))
        indexes = [hour.index_bytes for hour in known if hour.index_bytes is not None]
        return cls(
            known[0].start,
            known[0].layer,
            indexes[-1] if indexes else None,
            sum(hour.returned_bytes for hour in known),
            sum(hour.returned for hour in known),
            max((hour.peak_bytes for hour in known if hour.peak_bytes is not None), default=None),
            sum(hour.peaks for hour in known),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a record from what ``to_dict`` gave; what a newer program added is left out."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
