"""What only some need is not installed unless it is asked for; where it is missing, its name is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtra(ImportError):
    """A package of an extra is not installed; the message says how to install it."""


@contextmanager
def needs_extra(name: str, what: str) -> Iterator[None]:
    """Import in its block what an extra brings.

    Args:
        name: the extra, as pyproject.toml calls it.
        what: what cannot be had without it.

    Raises:
        MissingExtra: if something in the block cannot be imported.

    Example:
        >>> with needs_extra("files", "Parquet"):
        ...     import not_installed
        Traceback (most recent call last):
            ...
        athena_tuning.extras.MissingExtra: Parquet is an extra that is not installed: pip install \
'athena-tuning[files]' (No module named 'not_installed')
    """
    try:
        yield
    except ImportError as exc:
        raise MissingExtra(
            f"{what} is an extra that is not installed: pip install 'athena-tuning[{name}]' ({exc})"
        ) from exc
