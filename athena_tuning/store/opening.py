"""From a URL to a store."""

from __future__ import annotations

import time as time_module
from collections.abc import Callable
from pathlib import Path
from typing import Any

from athena_tuning.extras import MissingExtra
from athena_tuning.locations import default_store_url
from athena_tuning.plugins import STORES, plugins
from athena_tuning.store.base import Store
from athena_tuning.store.errors import StoreError
from athena_tuning.store.retention import DEFAULT, Retention
from athena_tuning.store.text_policy import TextPolicy, text_policy


def open_store(
    url: str | None = None,
    *,
    text: TextPolicy | str | None = None,
    retention: Retention = DEFAULT,
    clock: Callable[[], float] | None = None,
    create: bool = True,
) -> Store:
    """Open the store that a URL names.

    Args:
        url: ``memory://``, ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or
            ``postgresql://user@host/database``; None: ``ATHENA_TUNING_STORE``, else a file in the data
            folder. After ``sqlite://`` comes the host, which is empty, and a slash. White space around it
            does not count. Other schemes are those of installed packages (``plugins.STORES``).
        text: what to keep of query texts; None: what ``ATHENA_TUNING_TEXTS`` says ("keep", "hash" or
            "drop"), else all.
        retention: how long what is kept.
        clock: Unix seconds; None: the machine's clock, for messages in PostgreSQL the server's.
        create: make a SQLite file that is missing; False for who only wants to look.

    Raises:
        StoreError: if the URL is not understood or the store cannot be used.

    Examples:
        >>> with open_store("memory://") as store:
        ...     store.config_set().head
        0
    """
    url = (url or default_store_url()).strip()
    text = TextPolicy(text) if text is not None else text_policy()
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "memory":
        from athena_tuning.store.memory_store import MemoryStore

        return MemoryStore(text=text, retention=retention, clock=clock or time_module.time)
    if path := sqlite_file(url):
        from athena_tuning.store.sqlite import SqliteStore

        if not create and not path.exists():
            raise StoreError(f"{path}: there is no such file; a manager that is given this store makes it")
        return SqliteStore(path, text=text, retention=retention, clock=clock or time_module.time)
    if separator and scheme in ("postgresql", "postgres"):
        try:
            from athena_tuning.store.postgres import PostgresStore
        except MissingExtra as exc:
            raise StoreError(str(exc)) from exc

        return PostgresStore(url, text=text, retention=retention, clock=clock)
    if separator and scheme in (added := plugins(STORES).by_name):
        return _opened_by(added[scheme], url, text=text, retention=retention, clock=clock, create=create)
    others = "".join(f", {name}://…" for name in sorted(plugins(STORES).by_name))
    troubles = "".join(f"; {trouble}" for trouble in plugins(STORES).troubles)
    raise StoreError(
        f"{_shown(url)}: no store is known by this name; say memory://, sqlite:///path or"
        f" postgresql://…{others}{troubles}"
    )


def _opened_by(opener: Callable[..., Store], url: str, **how: Any) -> Store:
    """Open a store of another package; whatever goes wrong there is a ``StoreError`` without the URL."""
    try:
        return opener(url, **how)
    except (StoreError, ValueError):
        raise
    except Exception as exc:
        scheme = url.partition("://")[0]
        raise StoreError(f"{scheme}://…: the store could not be opened ({type(exc).__name__})") from exc


def sqlite_file(url: str) -> Path | None:
    """Return the file that a URL names; None if it names no SQLite file.

    Examples:
        >>> sqlite_file(" sqlite:////var/store.db "), sqlite_file("memory://")
        (PosixPath('/var/store.db'), None)
    """
    scheme, _, rest = url.strip().partition("://")
    return Path(rest[1:]) if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1 else None


def _shown(url: str) -> str:
    """Return a URL that is not understood, as much of it as cannot be a password.

    Examples:
        >>> _shown("store.db"), _shown("mysql://me:secret@host/db"), _shown("me:secret@host")
        ('store.db', 'mysql://…', '…')
    """
    if not set("@?:") & set(url.partition("://")[2] or url):
        return url
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://…" if separator and scheme.isalnum() else "…"
