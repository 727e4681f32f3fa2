"""Which answers are thin for their type, so that what was left out is asked for them."""

from __future__ import annotations

_RARE = 0.1
_KEPT = 200


class ThinAnswers:
    """Tells answers that rest on little, though most of their type rest on more.

    An answer is thin if it rests on fewer pieces of evidence than a config says, and at most a tenth of the
    answers of its type that found anything rest on as little, among the newest few hundred. So a type whose
    layers always give one thing, and are right, does not ask all others every time: what asking for more
    costs is at most a tenth of what leaving layers out saves. A manager's first answer of a type may be thin.

    May be used from any thread: an answer that is not counted, because two came at once, changes nothing.

    Examples:
        >>> answers = ThinAnswers()
        >>> [answers.is_thin("factual", pieces, below=3) for pieces in [10] * 20 + [2, 10, 1]]
        [False, False, False, ..., True, False, True]
        >>> [answers.is_thin("plans", 1, below=3) for _ in range(4)]
        [True, False, False, False]
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], list[int]] = {}

    def is_thin(self, query_type: str, pieces: int, below: int) -> bool:
        """Count an answer and tell whether it is thin.

        Args:
            query_type: its type.
            pieces: of evidence that it rests on; ``below`` or more are all the same.
            below: fewer may be thin.
        """
        counts = self._counts.get((query_type, below))
        if counts is None:
            counts = self._counts[query_type, below] = [0] * (below + 1)
        pieces = min(pieces, below)
        thin = pieces < below and sum(counts[: pieces + 1]) <= _RARE * sum(counts)
        counts[pieces] += 1
        if counts[pieces] >= _KEPT:
            counts[:] = [count // 2 for count in counts]
        return thin
